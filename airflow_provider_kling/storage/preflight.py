"""Checks that a file can be saved, before its job is paid for."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook
from fsspec.implementations.local import LocalFileSystem

from airflow_provider_kling.media.measure import extensions
from airflow_provider_kling.payloads import get_payload_class
from airflow_provider_kling.segmind.errors import KlingStorageError, SegmindError, SegmindInputError
from airflow_provider_kling.segmind.sanitize import one_line
from airflow_provider_kling.storage.folder import Folder
from airflow_provider_kling.storage.name_claim import NameClaim, Owner
from airflow_provider_kling.storage.names import Name, render, task_values

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_kling.storage.store import Store

#: As long as Segmind's ids are.
_ANY_REQUEST = "0" * 36
#: Most bytes of an object's key at Amazon, Google and Azure; the bucket's name in front of it counts here, too.
LONGEST_KEY = 1024
_UNPAID = "Nothing was uploaded, sent or paid."
_WAY_OUT = (
    f"{_UNPAID} Move it away, or put {{request_id}}, {{run_id}}, {{map_index}} or another placeholder into name=."
)


def check_place(context: Context, store: Store, model: str) -> None:
    """
    Refuse a place in which the file of a job could not be saved: a name that is taken, a folder that cannot be written.

    The folder is tried with a small hidden file, which is removed at once. Only the first output's name is checked; if
    it contains ``{request_id}``, which is unknown yet and unique, only the folder and the length are.

    :param context: of the task that will save it.
    :param store: its templates are rendered.
    :param model: the slug of the model.
    :raises KlingStorageError: the storage connection does not exist; Amazon's hooks would go on without it.
    :raises KlingNameTakenError: the name is taken; nothing was sent.
    :raises KlingStorageError: the folder cannot be read or written; nothing was sent.
    """
    folder = Folder.of(store)
    try:
        _check_connection(folder.conn.removesuffix("@"))
        values = {**task_values(context), "index": 0, "request_id": _ANY_REQUEST, "model": model}
        name = render(store.name, values)
        sidecar = folder.path(name.sidecar)
        where = sidecar.rpartition("/")[0]
        targets = [folder.path(file) for file in _files(name, model)]
        _check_length([sidecar, *targets], folder)
        folder.fs.invalidate_cache(where)
        if _ANY_REQUEST not in name.stem:
            NameClaim(folder, Owner.of(context), None, _WAY_OUT).refuse_taken(sidecar, targets)
        _try_to_write(folder, where, max(map(len, [sidecar, *targets])))
    except SegmindError:
        raise
    except Exception as exc:
        reason = one_line(exc) or type(exc).__name__
        raise KlingStorageError(
            f"destination: {folder.url(folder.root)!r} cannot be used ({reason}); check that the bucket or folder "
            f"exists and that its connection may read and write there. {_UNPAID}"
        ) from exc


def _check_connection(conn_id: str) -> None:
    try:
        if conn_id:
            BaseHook.get_connection(conn_id)
    except AirflowNotFoundException as exc:
        raise KlingStorageError(
            f"storage_conn_id: the connection {conn_id!r} does not exist, or what holds it did not answer; add it, or "
            f"name another. {_UNPAID}"
        ) from exc


def _files(name: Name, model: str) -> list[str]:
    """Return the names that the file may get."""
    payload_class = get_payload_class(model)
    kind = payload_class.output if payload_class else None
    return [name.file("")] if name.fixed else [name.file(extension) for extension in extensions(kind)]


def _check_length(paths: list[str], folder: Folder) -> None:
    longest = max(paths, key=lambda path: len(path.encode()))
    if not isinstance(folder.fs, LocalFileSystem) and len(longest.encode()) > LONGEST_KEY:
        raise SegmindInputError(
            f"name: {longest[:80]!r}… has {len(longest.encode())} bytes, and object stores take at most {LONGEST_KEY}; "
            f"shorten it. {_UNPAID}"
        )


def _try_to_write(folder: Folder, where: str, length: int) -> None:
    """
    Write and remove a file; on a disk in the nearest folder that exists, so that none is created needlessly.

    :param length: of the longest path that will be written; except on a disk, the trial's path is as long.
    """
    if isinstance(folder.fs, LocalFileSystem):
        while where and not folder.fs.exists(where):
            where = where.rpartition("/")[0]
    trial = f"{where}/.kling-{uuid.uuid4().hex}.part"
    if not isinstance(folder.fs, LocalFileSystem) and length > len(trial):
        trial = f"{trial.removesuffix('.part')}{'x' * (length - len(trial))}.part"
    folder.fs.pipe_file(trial, b"May a file be saved here?")
    folder.fs.rm_file(trial)
