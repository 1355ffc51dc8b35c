"""A file that is being written: beside its final place, under another name, until it is complete."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from fsspec.implementations.local import LocalFileSystem

from airflow_provider_kling.media.measure import HEAD
from airflow_provider_kling.segmind.errors import KlingNameTakenError, KlingStorageError
from airflow_provider_kling.segmind.sanitize import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fsspec import AbstractFileSystem

#: What is held in memory of an upload to an object store, in bytes; the smallest parts of S3 are 5 MiB.
BLOCK = 8 * 1024**2
#: What an error says when a finished job's file did not arrive.
NOT_LOST = (
    "The job is not lost: Segmind keeps its file for seven days after it was made, and a retry of this task, or "
    "clearing it, fetches it and pays nothing."
)
_NO_SUCH_NAME = {errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG}
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Part:
    """
    The bytes of a file so far, hashed on the way.

    A disk keeps what a killed attempt had written, and the next one goes on from there. An object store keeps
    nothing of an upload that was not completed.

    :param fs: the filesystem.
    :param path: where the part is, on it.
    """

    def __init__(self, fs: AbstractFileSystem, path: str) -> None:
        self.fs = fs
        self.path = path
        self.size = 0
        self.head = b""
        self._hash = hashlib.sha256()
        self._file: Any = None

    @classmethod
    def begin(cls, fs: AbstractFileSystem, folder: str, file: str, version: str) -> Part:
        """
        Open a part, with what an earlier attempt left of it.

        :param file: identifies the output.
        :param version: identifies its bytes; what is left of other versions is removed.
        """
        part = cls(fs, f"{folder}/.{file}.{version}.part")
        with storing(folder):
            if isinstance(fs, LocalFileSystem):
                fs.makedirs(folder, exist_ok=True)
                for name in fs.ls(folder, detail=False):
                    last = name.rpartition("/")[2]
                    if last.startswith(f".{file}.") and last.endswith(".part") and name != part.path:
                        fs.rm_file(name)
            part._open()
        return part

    @property
    def sha256(self) -> str:
        """The checksum of what is written so far."""
        return self._hash.hexdigest()

    def write(self, chunk: bytes) -> None:
        """Append."""
        with storing(self.path):
            self._file.write(chunk)
        self._count(chunk)

    def restart(self) -> None:
        """Start again with an empty part."""
        self.discard()
        self.size, self.head, self._hash = 0, b"", hashlib.sha256()
        with storing(self.path):
            self._open()

    def close(self) -> None:
        """
        Write what is still in memory.

        :raises KlingStorageError: there is no room for it, or somebody else wrote to it too.
        """
        with storing(self.path):
            if isinstance(self.fs, LocalFileSystem):  # a machine that fails must not leave a name without its bytes
                self._file.flush()
                os.fsync(self._file.fileno())
            self._file.close()
            self.fs.invalidate_cache(self.path.rpartition("/")[0])
            there = self.fs.size(self.path)
        if there != self.size:
            self.discard()
            raise KlingStorageError(
                f"{self.path!r} has {there} bytes in place of {self.size}: another attempt of this task may still "
                f"write to it. {NOT_LOST}"
            )

    def move(self, target: str) -> None:
        """Give the file its final name; before this no file has that name."""
        with storing(target):
            if isinstance(self.fs, LocalFileSystem):
                Path(self.path).replace(target)  # never into a folder that a link of that name leads to
            else:
                self.fs.mv(self.path, target)
            self.fs.invalidate_cache(target.rpartition("/")[0])

    def keep(self) -> None:
        """Leave what there is for another attempt, where that can use it."""
        if isinstance(self.fs, LocalFileSystem):
            with suppress(OSError):
                self._file.close()
        else:
            self.discard()

    def discard(self) -> None:
        """Remove it; a failure to remove it does not hide another error."""
        with suppress(Exception):
            self._file.close()
        with suppress(Exception):
            self.fs.rm_file(self.path)

    def _open(self) -> None:
        """Open it to append; what an earlier attempt left of it is counted."""
        if not isinstance(self.fs, LocalFileSystem):
            self._file = self.fs.open(self.path, "wb", block_size=BLOCK)
            return
        self._file = _own_file(self.path)
        while chunk := self._file.read(1024**2):
            self._count(chunk)

    def _count(self, chunk: bytes) -> None:
        if len(self.head) < HEAD:
            self.head += chunk[: HEAD - len(self.head)]
        self._hash.update(chunk)
        self.size += len(chunk)


def create(fs: AbstractFileSystem, path: str, document: bytes) -> None:
    """
    Write a small file that must not exist yet; of two writers at once, one succeeds.

    :raises FileExistsError: it exists.
    """
    if not isinstance(fs, LocalFileSystem):
        fs.pipe_file(path, document, mode="create")
        return
    with _drafted(path, document) as draft:
        try:
            Path(path).hardlink_to(draft)
        except FileExistsError:
            raise
        except OSError:  # a mount without links
            with fs.open(path, "xb") as file:
                file.write(document)


def replace(fs: AbstractFileSystem, path: str, document: bytes) -> None:
    """Write a small file over one that may exist; on a disk a link itself is replaced, not its target."""
    if not isinstance(fs, LocalFileSystem):
        fs.pipe_file(path, document)
        return
    with _drafted(path, document) as draft:
        draft.replace(path)


@contextmanager
def _drafted(path: str, document: bytes) -> Iterator[Path]:
    """Yield a temporary file with a document, beside the file that it is meant for."""
    draft = Path(path).with_name(f".kling-{uuid.uuid4().hex}.part")
    try:
        with draft.open("xb") as file:
            file.write(document)
        yield draft
    finally:
        draft.unlink(missing_ok=True)


def _own_file(path: str) -> IO[bytes]:
    """Open a part on a disk, created if there is none; a link that somebody put under its name is removed."""
    with suppress(FileNotFoundError):
        there = os.lstat(path)
        if not stat.S_ISREG(there.st_mode) or there.st_nlink > 1:
            Path(path).unlink()
    # Opened to append, so that two writers are noticed by its size. If the link is back by now, this fails.
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
    return os.fdopen(os.open(path, flags, 0o666), "r+b")


def refuses_name(error: KlingStorageError) -> bool:
    """Whether a storage refused the name, as far as it says: most only say that something is wrong."""
    return isinstance(error.__cause__, OSError) and error.__cause__.errno in {*_NO_SUCH_NAME, errno.EINVAL}


@contextmanager
def storing(place: str) -> Iterator[None]:
    """Turn an error of a storage into one that names the place, and says that the file is not lost."""
    try:
        yield
    except OSError as exc:
        if exc.errno in _FULL:
            raise KlingStorageError(
                f"There is no room at {place!r} ({one_line(exc)}); free some, or choose another destination. {NOT_LOST}"
            ) from exc
        if exc.errno in _NO_SUCH_NAME:
            raise KlingNameTakenError(
                f"{place!r} is no name for a file ({one_line(exc)}): it is too long, or a file stands where it needs a "
                f"folder, or the other way round. Choose another name. {NOT_LOST}"
            ) from exc
        raise KlingStorageError(
            f"{place!r} cannot be used ({one_line(exc) or type(exc).__name__}); check that the bucket or folder "
            f"exists and that its connection may read and write there. {NOT_LOST}"
        ) from exc
