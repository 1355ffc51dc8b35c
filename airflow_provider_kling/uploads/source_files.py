"""
Source files: read once, and checked before anything is sent.

A file is copied to a temporary one while its content is hashed. So what was checked is what is uploaded,
whatever happens to the original meanwhile, and memory stays flat. Whether it may be read is checked again as it is
opened, for its real path at that moment.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from typing import IO, TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowNotFoundException

from airflow_provider_kling.media.measure import HEAD, MediaType, Shape, media_type, shape
from airflow_provider_kling.payloads.limits import LARGEST_UPLOAD, megabytes
from airflow_provider_kling.storage.allowed_paths import (
    UPLOAD_ALLOWED_PATHS,
    Named,
    connection_of,
    is_pattern,
    on_disk,
    plain,
)
from airflow_provider_kling.storage.open_files import UnfitFileError, open_real, opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow.providers.common.compat.sdk import ObjectStoragePath
    from fsspec import AbstractFileSystem

    from airflow_provider_kling.payloads.limits import Media

_BLOCK = 1024**2
#: Characters of a pattern: as many as a path has.
LONGEST_PATTERN = 4096


@dataclass(frozen=True, slots=True)
class Staged:
    """
    A file that was read and is known to be a picture, a video or sound.

    :param source: how it was given.
    :param place: where it was read: on a disk its real path.
    :param copy: its content, available until it is closed; see :meth:`content`.
    :param again: reads the file once more.
    :param size: in bytes.
    :param sha256: of its content.
    :param type: by its first bytes.
    """

    source: str
    place: str
    copy: IO[bytes]
    size: int
    sha256: str
    type: MediaType
    again: Callable[[], Staged]

    @contextmanager
    def content(self) -> Iterator[IO[bytes]]:
        """
        Yield its content from its beginning, also if the copy is closed, as for a large batch.

        :raises UnfitFileError: it has been changed since it was checked.
        :raises Exception: whatever its storage raises; a retry may help.
        """
        if not self.copy.closed:
            self.copy.seek(0)
            yield self.copy
            return
        staged = self.again()
        with staged.copy as copy:
            if staged.sha256 != self.sha256:
                raise UnfitFileError(f"{self.source!r} has been changed since it was checked")
            copy.seek(0)
            yield copy


def located(source: str, conn_id: str | None = None) -> ObjectStoragePath:
    """
    Return where a file is.

    :param source: an absolute path on the worker, or a URL.
    :param conn_id: the connection to its storage, where the URL names none.
    """
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    connection = connection_of(source, conn_id)
    options = {} if connection is None else {"conn_id": connection}
    place = plain(source)
    return ObjectStoragePath(f"file://{place}" if place.startswith("/") else place, **options)


def expanded(source: str, conn_id: str | None = None) -> list[str]:
    """
    Return the files that a pattern matches, sorted; what is not a pattern, or is itself a file, is returned as it is.

    :raises UnfitFileError: the storage cannot be opened.
    :raises Exception: whatever else the storage raises; a retry may help.
    """
    if not is_pattern(source):
        return [source]
    if len(source) > LONGEST_PATTERN:
        raise UnfitFileError(f"has {len(source)} characters; a pattern has at most {LONGEST_PATTERN}")
    with _refusals(source):
        path = located(source, conn_id)
        if path.fs.exists(path.path):
            return [source]
        found = _matching(path.fs, str(path.path))
    scheme, separator, rest = source.rpartition("://")
    connection = rest[: rest.index("@") + 1] if "@" in rest.partition("/")[0] else ""
    return [
        f"{scheme}{separator}{connection}{name}" for name, facts in sorted(found.items()) if facts["type"] == "file"
    ]


def _matching(fs: AbstractFileSystem, pattern: str) -> dict[str, Any]:
    """
    Return what lies below the folder in front of the first wildcard and matches a pattern, part by part.

    The filesystems' own ``glob`` tries every way in which stars may share a name, which may take for ever.
    """
    parts = pattern.split("/")
    first = next(number for number, part in enumerate(parts) if is_pattern(part))
    folder, wanted = "/".join(parts[:first]), parts[first:]
    depth = None if "**" in wanted else len(wanted)
    below = fs.find(folder or "/", maxdepth=depth, detail=True)
    return {name: facts for name, facts in below.items() if _fits(name[len(folder) :].strip("/").split("/"), wanted)}


def _fits(parts: list[str], wanted: list[str]) -> bool:
    """Whether the parts of a path match those of a pattern, in which ``**`` matches any number of folders."""
    # Several ``**`` in a row count as one, so that no place is passed twice.
    wanted = [part for part, before in zip(wanted, ["", *wanted], strict=False) if (part, before) != ("**", "**")]

    def passed(places: set[int]) -> set[int]:
        return places | {place + 1 for place in places if wanted[place : place + 1] == ["**"]}

    places = passed({0})
    for part in parts:
        fitting = [place for place in places if place < len(wanted)]
        places = passed(
            {place for place in fitting if wanted[place] == "**"}
            | {place + 1 for place in fitting if fnmatchcase(part, wanted[place])}
        )
    return len(wanted) in places


def stage(source: str, conn_id: str | None = None, written: Named | None = None) -> Staged:
    """
    Read a file once.

    :param written: what the author wrote for it; by default the file as it is.
    :raises UnfitFileError: it does not exist, cannot be opened, is too large, is not media, or may not be uploaded: a
        link has appeared since that was checked.
    :raises Exception: whatever else its storage raises; a retry may help.
    """
    if not source.isprintable():  # a URL loses such a character on its way
        raise UnfitFileError("has a line break or a control character in its name; rename it")
    with _refusals(source), ExitStack() as undo:
        copy = undo.enter_context(tempfile.TemporaryFile())
        with _original(source, conn_id, written) as (place, original):
            size, sha256, type_ = _copied(original, copy)
        staged = Staged(source, place, copy, size, sha256, type_, partial(stage, source, conn_id, written))
        undo.pop_all()
        return staged


@contextmanager
def _original(source: str, conn_id: str | None, written: Named | None) -> Iterator[tuple[str, IO[bytes]]]:
    """Open a file; yield its real place, too."""
    if (path := on_disk(source)) is not None:
        real = os.path.realpath(path)
        if written is not None and not Named(source, conn_id).is_written(written):
            _refuse_foreign(real, written)
        with open_real(real) as file:
            _refuse_large(os.fstat(file.fileno()).st_size)
            yield real, file
        return
    elsewhere = located(source, conn_id)
    elsewhere.fs.invalidate_cache()  # it may still list what was there before
    _refuse_large(elsewhere.fs.info(elsewhere.path)["size"])
    with opened(elsewhere.fs, elsewhere.path) as file:
        yield source, file


def _refuse_foreign(real: str, written: Named) -> None:
    if reason := Named(real).refusal(written, UPLOAD_ALLOWED_PATHS):
        raise UnfitFileError(f"may not be uploaded: {reason}")


@contextmanager
def _refusals(source: str) -> Iterator[None]:
    """Turn errors that no retry fixes into words."""
    try:
        yield
    except UnfitFileError:
        raise
    except (FileNotFoundError, NotADirectoryError):
        where = " on this worker" if source.startswith(("/", "file:", "local:")) else ""
        raise UnfitFileError(f"does not exist{where}") from None
    except (PermissionError, AirflowNotFoundException) as exc:
        raise UnfitFileError(f"cannot be opened ({exc})") from exc
    except (ImportError, ValueError) as exc:
        raise UnfitFileError(f"cannot be opened ({exc}); install the Airflow provider of that storage") from exc


def reason_it_does_not_fit(staged: Staged, media: Media) -> str | None:
    """Return the reason a file does not fit a model, which is what the file is; None if it fits."""
    fits = media.kind in {None, staged.type.kind} and staged.type.extension in (
        media.extensions or {staged.type.extension}
    )
    if not fits or staged.size > media.largest:
        return _told(staged)
    if not media.needs_measuring:
        return None
    staged.copy.seek(0)
    try:
        measured = shape(staged.copy)  # type: ignore[arg-type]  # IO[bytes] is what tempfile calls a BinaryIO
    except ValueError as exc:
        return f"{_told(staged)}, but {exc}"
    if measured is None or (_within(measured.width, media.width) and _within(measured.duration, media.seconds)):
        return None
    return _told(staged, measured)


def _copied(original: IO[bytes], copy: IO[bytes]) -> tuple[int, str, MediaType]:
    """Copy a file; return its size in bytes, its sha256 and its type."""
    digest, size = hashlib.sha256(), 0
    block = original.read(_BLOCK)
    known = media_type(block[:HEAD])
    if known is None:
        raise UnfitFileError("is no picture, video or sound by its first bytes" if block else "is empty")
    while block:
        size += len(block)
        _refuse_large(size)  # it may grow, and its storage may not report its size
        digest.update(block)
        copy.write(block)
        block = original.read(_BLOCK)
    return size, digest.hexdigest(), known


def _refuse_large(size: int | None) -> None:
    if size is not None and size > LARGEST_UPLOAD:
        raise UnfitFileError(f"has {megabytes(size)}; at most {megabytes(LARGEST_UPLOAD)} are uploaded")


def _within(measured: float | None, allowed: tuple[int, int] | None) -> bool:
    return measured is None or allowed is None or allowed[0] <= round(measured) <= allowed[1]


def _told(staged: Staged, measured: Shape | None = None) -> str:
    facts = [f"{staged.type.mime} of {megabytes(staged.size)}"]
    if measured is not None and measured.width:
        facts.append(f"{measured.width} px wide")
    if measured is not None and measured.duration:
        facts.append(f"{measured.duration:.1f} s")
    return f"is {', '.join(facts)}"
