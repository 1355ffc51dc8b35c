"""Copies a file from where it was saved before: a link is dead after a week, a saved file is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_kling.media.measure import media_type
from airflow_provider_kling.segmind.errors import KlingDownloadRefusedError, KlingStorageError
from airflow_provider_kling.segmind.sanitize import one_line
from airflow_provider_kling.storage.open_files import UnfitFileError, opened
from airflow_provider_kling.storage.partial_file import NOT_LOST, Part, storing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_kling.media.measure import MediaType

#: Bytes read at once.
BLOCK = 1024**2


def copied(saved: Mapping[str, Any], fs: Any, folder: str, file: str, *, max_bytes: int) -> tuple[Part, MediaType]:
    """
    Copy a saved file into a part beside its new place.

    :param saved: its ``path`` and ``sha256``, as :func:`~airflow_provider_kling.storage.save.save_outputs` says it.
    :param fs: the filesystem of the new place.
    :param folder: of the new place.
    :param file: identifies the output there.
    :param max_bytes: the largest file that is copied.
    :raises KlingStorageError: it cannot be read, or is another file by now.
    :raises KlingDownloadRefusedError: it is larger.
    """
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    place = ObjectStoragePath(saved["path"])
    if saved["size"] > max_bytes:
        raise KlingDownloadRefusedError(
            f"{one_line(place)!r} has {saved['size']} bytes, and max_bytes allows {max_bytes}; raise it. {NOT_LOST}"
        )
    part = Part.begin(fs, folder, file, str(saved["sha256"])[:8])
    if part.size:
        part.restart()
    try:
        with storing(str(place)), opened(place.fs, place.path, block_size=BLOCK) as source:
            left = int(saved["size"]) + 1  # one byte more shows that it is another file
            while left and (chunk := source.read(min(BLOCK, left))):
                part.write(chunk)
                left -= len(chunk)
        part.close()
        type_ = _checked(part, saved["sha256"])
    except UnfitFileError as error:
        part.discard()
        raise KlingStorageError(f"{one_line(place)!r} cannot be used again: {error}. {NOT_LOST}") from None
    except Exception:
        part.discard()
        raise
    return part, type_


def _checked(part: Part, sha256: str) -> MediaType:
    if part.sha256 != sha256:
        raise UnfitFileError("it has other content than when it was saved")
    if (type_ := media_type(part.head)) is None:
        raise UnfitFileError("it is neither a picture nor a video")
    return type_
