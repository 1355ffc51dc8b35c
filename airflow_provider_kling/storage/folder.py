"""The folder of a store, opened: its filesystem, its path there, and the URLs of its files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from fsspec.implementations.local import LocalFileSystem

from airflow_provider_kling.segmind.errors import KlingNameTakenError
from airflow_provider_kling.storage.allowed_paths import STORE_ALLOWED_PATHS, Named, on_disk

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

    from airflow_provider_kling.storage.store import Store


@dataclass(frozen=True, slots=True)
class Folder:
    """
    A store's destination.

    :param fs: the filesystem.
    :param root: the folder's path on it, without a slash at the end.
    :param protocol: of its URLs.
    :param conn: the storage connection, as it is in a URL: ``my_aws@``, or nothing.
    """

    fs: AbstractFileSystem
    root: str
    protocol: str
    conn: str

    @classmethod
    def of(cls, store: Store) -> Folder:
        """
        Open the destination of a store with rendered templates.

        :raises SegmindInputError: no installed package can reach such a storage.
        """
        path = store.folder()
        # Airflow 2 has it among the options only.
        conn_id = getattr(path, "conn_id", None) or path.storage_options.get("conn_id")
        return cls(path.fs, str(path.path).rstrip("/"), path.protocol or "file", f"{conn_id}@" if conn_id else "")

    def path(self, below: str) -> str:
        """
        Return the path of a file in it.

        :raises KlingNameTakenError: on a disk, a link in the folder leads out of it.
        """
        path = f"{self.root}/{below}"
        above = Named(path.rpartition("/")[0])
        if not isinstance(self.fs, LocalFileSystem) or above.lies_in(Named(self.root)):
            return path
        if above.is_configured(STORE_ALLOWED_PATHS):
            return path
        raise KlingNameTakenError(
            f"destination: a link leads out of {self.root!r}, from {above.text!r} to {os.path.realpath(above.text)!r}. "
            f"Remove it, or add that folder to [kling] {STORE_ALLOWED_PATHS} in Airflow's config."
        )

    def real(self, url: str) -> str:
        """Return the URL of a file with the links in its folder's path resolved, if it is on a disk."""
        if not isinstance(self.fs, LocalFileSystem) or (path := on_disk(url)) is None:
            return url
        folder, _, name = path.rpartition("/")
        return f"{self.protocol}://{os.path.realpath(folder)}/{name}"

    def url(self, path: str, conn: str | None = None) -> str:
        """Return the URL of a path, with the storage connection in it, or with another."""
        where = urlsplit(path).path if "://" in path else path
        return f"{self.protocol}://{self.conn if conn is None else conn}{where}"
