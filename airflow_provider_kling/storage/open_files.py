"""
Opens files for reading: ordinary ones only, so that none makes a task wait or leads to another file.

On a disk this is checked on the file itself as it is opened. If somebody replaces a file or a folder after its path was
checked, a link there is not followed, and a named pipe or a device is not opened.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from fsspec.implementations.local import LocalFileSystem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fsspec import AbstractFileSystem

#: A folder may also be one that can be passed through but not listed, if the system has O_PATH.
_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
#: If a pipe is there by now, opening it does not block.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class UnfitFileError(ValueError):
    """A file cannot be used as it is, and no retry will change that; the message says what it is."""


def open_real(real_path: str) -> IO[bytes]:
    """
    Open a file on a disk by a path that has no link in it; one that has become a link is not followed.

    :param real_path: as :func:`os.path.realpath` returns it.
    :raises UnfitFileError: it is no ordinary file.
    :raises OSError: it is gone, cannot be read, or a part of the path has become a link.
    """
    *folders, name = real_path.lstrip("/").split("/")
    at = os.open("/", _FOLDER)
    try:
        for folder in folders:
            above, at = at, os.open(folder, _FOLDER, dir_fd=at)
            os.close(above)
        _refuse_special(os.stat(name or ".", dir_fd=at, follow_symlinks=False).st_mode)
        opened = os.open(name, _FILE, dir_fd=at)
    finally:
        os.close(at)
    file = os.fdopen(opened, "rb")
    try:
        _refuse_special(os.fstat(opened).st_mode)
    except UnfitFileError:
        file.close()
        raise
    return file


@contextmanager
def opened(fs: AbstractFileSystem, path: str, **options: Any) -> Iterator[IO[bytes]]:
    """
    Open an ordinary file for reading, wherever it is.

    :param path: on the filesystem; on a disk it must not be a link itself, but the folder above may be one.
    :param options: for the filesystem's own ``open``, if it is not a disk.
    :raises UnfitFileError: it is no ordinary file.
    """
    if isinstance(fs, LocalFileSystem):
        folder, _, name = path.rpartition("/")
        with open_real(f"{os.path.realpath(folder or '/').rstrip('/')}/{name}") as file:
            yield file
        return
    if (type_ := fs.info(path)["type"]) != "file":
        raise UnfitFileError(f"is a {type_}, not a file")
    with fs.open(path, "rb", **options) as file:
        yield file


def _refuse_special(mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = "directory" if stat.S_ISDIR(mode) else "link" if stat.S_ISLNK(mode) else "pipe or device"
        raise UnfitFileError(f"is a {kind}, not a file")
