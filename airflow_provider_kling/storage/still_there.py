"""Whether the files of a finished job can still be had: from Segmind, or from where they were saved."""

from __future__ import annotations

import hashlib
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.media.measure import HEAD, media_type
from airflow_provider_kling.segmind.errors import KlingFileExpiredError, SegmindError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_kling.hooks.segmind import SegmindHook

#: Most links that are asked: as many as are saved of a job.
MOST_LINKS = 16
#: Seconds for all of them together; what was not asked by then counts as good.
LONGEST_LOOK = 60.0
#: Seconds after which a file that seems to be gone is asked for again: one answer may be wrong.
PAUSES = (1.0, 2.0)
#: Bytes of a saved file that are read at once.
BLOCK = 1024**2


def links_answer(links: Sequence[str], hook: SegmindHook) -> bool:
    """
    Return whether there is a file at each link.

    A link that cannot be asked now counts as good, because paying again is worse than another try; one that is refused
    for good, or leads to anything but a file, does not.
    """
    until = time.monotonic() + LONGEST_LOOK
    return all(time.monotonic() > until or _answers(link, hook, until) for link in links[:MOST_LINKS])


def _answers(link: str, hook: SegmindHook, until: float) -> bool:
    from airflow_provider_kling.storage.download_hosts import Hosts
    from airflow_provider_kling.storage.download_request import BrokenOffError, DownloadRequest, breaks

    request = DownloadRequest(link, Hosts.of(hook.settings), min(hook.settings.timeout, LONGEST_LOOK / 4))
    try:
        for pause in (*PAUSES, None):
            try:
                with request.get() as (response, _), breaks():
                    return media_type(response.raw.read(HEAD)) is not None
            except KlingFileExpiredError:
                if pause is None or time.monotonic() > until:
                    return False
                time.sleep(pause)
    except BrokenOffError:
        return True
    except SegmindError:
        return False
    finally:
        request.close()
    return False


def are_saved(links: Sequence[str], saved: Sequence[Mapping[str, Any]]) -> bool:
    """
    Return whether the file of each link is where it was saved, unchanged.

    :param saved: as :func:`~airflow_provider_kling.storage.save.save_outputs` says it, in the order of the links.
    """
    with suppress(Exception):  # a storage may raise anything; then the file cannot be had
        return 0 < len(saved) == len(links) and all(map(_is_unchanged, saved))
    return False


def _is_unchanged(file: Mapping[str, Any]) -> bool:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    from airflow_provider_kling.storage.open_files import opened

    place = ObjectStoragePath(file["path"])
    if place.stat().st_size != file["size"]:  # which costs less than to read it
        return False
    whole = hashlib.sha256()
    with opened(place.fs, place.path, block_size=BLOCK) as content:
        while chunk := content.read(BLOCK):
            whole.update(chunk)
    return whole.hexdigest() == str(file["sha256"])
