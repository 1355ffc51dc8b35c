"""
Which files may be uploaded, and where results may go: what a DAG's author wrote, or what Airflow's config allows.

A path that is written in the DAG file is the author's responsibility, its links included. One that was filled in (by a
run's parameter, a task upstream, the name of a file) has to lie below a folder that the author wrote in front of the
template, or below one of the config's. It must not contain ``..``, and on a disk its real path counts, so that no link
leads out. The connection of an object store is a part of the folder. A pattern is written in the DAG file, but not the
files that it matches: these have to lie in the folder in front of the pattern's first wildcard.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow.configuration import conf

from airflow_provider_kling.get_provider_info import CONFIG_SECTION, STORE_ALLOWED_PATHS, UPLOAD_ALLOWED_PATHS
from airflow_provider_kling.payloads.templates import renders_to_nothing
from airflow_provider_kling.segmind.errors import SegmindSettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "STORE_ALLOWED_PATHS",
    "UPLOAD_ALLOWED_PATHS",
    "Named",
    "authors_folder",
    "connection_of",
    "is_pattern",
    "on_disk",
    "plain",
    "refused",
]

_TEMPLATE_MARK = re.compile(r"\{[{%#]")
_PATTERN_MARK = re.compile(r"\{[{%#]|[*?\[]")
_DISK = re.compile(r"((?:file|local)://)?/+(.*)", re.DOTALL)
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(?:([^/]*)@)?([^/]*)(.*)", re.DOTALL)
_ON_THE_WORKER = {"file", "local"}
#: Most characters of a path, as on Linux.
LONGEST_PATH = 4096
#: Most files that a message names.
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Named:
    """
    A file or folder as it was given: its text, and the connection to its storage if the text names none.

    Also what the author wrote for it, a template or an XComArg, which names nothing until it is rendered.

    :param is_pattern: whether what the author wrote names files by a pattern.
    """

    text: Any
    conn_id: Any = None
    is_pattern: bool = False

    def refusal(self, written: Named, option: str) -> str | None:
        """
        Return why it may not be used and what to do about it, or None if it may.

        :param written: what was in its place before anything was filled in; nothing if all of it was filled in.
        :param option: of Airflow's config, the folders that are allowed besides.
        """
        if self.is_written(written):
            return None
        configured = _configured(option)
        folders = [folder for folder in (written.folder(), *configured) if folder.text is not None]
        if any(self.lies_in(folder) for folder in folders):
            return None
        if left := next((folder for folder in folders if self._begins_in(folder)), None):
            return f"'..', a backslash or a link leads out of {left.text!r}; name what is in it"
        number = len(configured)
        entries = "is empty" if not number else f"has {number} {'entry' if number == 1 else 'entries'}"
        return (
            f"it lies in no folder that the DAG's author wrote, and in none of [{CONFIG_SECTION}] {option}, which "
            f"{entries} for this process. Write the folder in the DAG, as in '/data/kling/{{{{ params.name }}}}', or "
            "add it there, for object storage with its connection: s3://my_aws@bucket/folder"
        )

    def is_written(self, written: Named) -> bool:
        """Whether it is written in the DAG file as it is; a template that renders to its own text is not."""
        if isinstance(written.text, str) and _TEMPLATE_MARK.search(written.text):
            return False
        return bool(
            not written.is_pattern and self.text == written.text and self._connection() == written._connection()
        )

    def is_configured(self, option: str) -> bool:
        """Whether it lies in a folder that Airflow's config allows."""
        return any(self.lies_in(folder) for folder in _configured(option))

    def folder(self) -> Named:
        """Return the folder that the author wrote in front of the first template or wildcard."""
        return Named(_folder_before(_PATTERN_MARK if self.is_pattern else _TEMPLATE_MARK, self.text), self.conn_id)

    def lies_in(self, folder: Named) -> bool:
        """Whether it is that folder or lies in it, at any depth."""
        own, above = self._location(), folder._location()
        if own is None or above is None or own.store != above.store or ".." in own.path.split("/"):
            return False
        if "\\" in own.path and own.store[0] != "file":  # a network share reads it as a slash
            return False
        return f"{own.real_path}/".startswith(f"{above.real_path.rstrip('/')}/")

    def _begins_in(self, folder: Named) -> bool:
        """Whether its text begins with that folder, wherever it leads."""
        own, above = self._location(), folder._location()
        return (
            own is not None
            and above is not None
            and own.store == above.store
            and own.path.startswith(f"{above.path.rstrip('/')}/")
        )

    def _connection(self) -> str:
        return "" if on_disk(self.text) else connection_of(self.text, self.conn_id) or ""

    def _location(self) -> _Location | None:
        if not isinstance(self.text, str) or "::" in self.text:  # fsspec would open one storage by way of another
            return None
        if len(self.text) > LONGEST_PATH:  # following its links would take quadratic time
            return None
        if path := on_disk(self.text):
            return _Location(("file", "", ""), path)
        if (url := _URL.fullmatch(self.text)) is None or not url[3] or url[1] in _ON_THE_WORKER:
            return None
        return _Location((url[1], self._connection(), url[3]), url[4])


@dataclass(frozen=True, slots=True)
class _Location:
    """Where a file or folder is: the scheme, connection and bucket of its storage, and its path there."""

    store: tuple[str, str, str]
    path: str

    @property
    def real_path(self) -> str:
        return os.path.realpath(self.path) if self.store[0] == "file" else self.path


def authors_folder(written: Any) -> str | None:
    """
    Return the folder above the first template in a text: ``/data`` of ``/data/{{ params.name }}.png``.

    None if there is none: a text without a template names a file, not a folder, and neither the root of a disk nor a
    storage without a bucket counts.
    """
    return _folder_before(_TEMPLATE_MARK, written)


def is_pattern(text: str) -> bool:
    """Whether a text may be a pattern that files match."""
    return any(mark in text for mark in "*?[")


def on_disk(text: Any) -> str | None:
    """Return the path of a file on the worker's own disk; None if it is elsewhere."""
    found = _DISK.fullmatch(text) if isinstance(text, str) else None
    return None if found is None else f"/{found[2]}"


def plain(text: str) -> str:
    """Return the same path with a single slash in front, because fsspec reads two as a relative path."""
    found = _DISK.fullmatch(text)
    return text if found is None else f"{found[1] or ''}/{found[2]}"


def connection_of(text: Any, conn_id: Any = None) -> str | None:
    """Return the connection to the storage of a file: the one in its URL, else the one that is given beside it."""
    url = _URL.fullmatch(text) if isinstance(text, str) else None
    if url is not None and url[2]:
        return url[2]
    return None if renders_to_nothing(conn_id) else str(conn_id)


def refused(files: Iterable[tuple[str, Named, Named]], option: str) -> str | None:
    """
    Say which files may not be uploaded, why, and what to do; None if all may.

    :param files: for each, its name in the message, how it was given, and what the author wrote for it.
    :param option: of Airflow's config, the folders that are allowed besides.
    """
    by_reason: dict[str, list[str]] = {}
    for called, named, written in files:
        if (reason := named.refusal(written, option)) is not None:
            by_reason.setdefault(reason, []).append(called)
    told = [f"{_listed(called)} may not be uploaded: {reason}" for reason, called in by_reason.items()]
    return f"{'. '.join(told)}. Nothing was uploaded." if told else None


def _listed(called: list[str]) -> str:
    shown = ", ".join(called[:_SHOWN])
    return shown if len(called) <= _SHOWN else f"{shown} and {len(called) - _SHOWN} more"


def _folder_before(mark: re.Pattern[str], written: Any) -> str | None:
    if not isinstance(written, str) or not mark.search(written):
        return None
    folder = mark.split(written, maxsplit=1)[0].rpartition("/")[0]
    location = Named(folder)._location()  # noqa: SLF001 is of this module
    return None if location is None or location.real_path == "/" else folder


def _configured(option: str) -> list[Named]:
    listed = re.split(r"[,\n]", conf.get(CONFIG_SECTION, option, fallback=""))
    folders = [Named(entry.strip()) for entry in listed if entry.strip()]
    for folder in folders:
        if folder._location() is None:  # noqa: SLF001 is of this module
            raise SegmindSettingsError(
                f"[{CONFIG_SECTION}] {option}: {folder.text!r} in Airflow's config is neither an absolute path nor the "
                "URL of a folder such as s3://my_aws@bucket/inbox."
            )
    return folders
