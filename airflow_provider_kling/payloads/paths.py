"""Paths as objects: what a payload may name a file by besides text."""

from __future__ import annotations

import os
from typing import Any


def is_path(value: Any) -> bool:
    """Whether the value is a path object: Airflow's ObjectStoragePath, or one of pathlib."""
    return _is_object_storage_path(value) or isinstance(value, os.PathLike)


def path_text(path: Any) -> str:
    """
    Return a path object as the text that names the same file, the connection id included.

    :raises ValueError: it holds options that text cannot carry.
    """
    if not _is_object_storage_path(path):
        return str(os.fspath(path))
    lost = sorted(name for name in path.storage_options if name != "conn_id")
    if lost:
        raise ValueError(f"{path} carries storage options ({', '.join(lost)}); put them into a connection, name its id")
    return str(path)


def _is_object_storage_path(value: Any) -> bool:
    # By its attributes, so that payloads need no Airflow.
    return all(hasattr(type(value), name) for name in ("protocol", "storage_options", "joinpath"))
