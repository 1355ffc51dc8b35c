"""Whether the files of a finished job can still be had: from Segmind, or from where they were saved."""

from __future__ import annotations

import hashlib
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.media.measure import HEAD, media_type
from airflow_provider_kling.segmind.errors import KlingFileExpiredError, SegmindError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_kling.hooks.segmind import SegmindHook
    from airflow_provider_kling.storage.download_request import DownloadRequest

#: Most links that are asked: as many as are saved of a job.
MOST_LINKS = 16
#: Seconds for all of them together; what was not asked by then is in doubt.
LONGEST_LOOK = 60.0
#: Seconds after which a file that seems to be gone is asked for again: one answer may be wrong.
PAUSES = (1.0, 2.0)
#: Bytes of a saved file that are read at once.
BLOCK = 1024**2


def links_answer(links: Sequence[str], hook: SegmindHook, kind: str | None, *, is_old: bool) -> bool:
    """
    Return whether there is a file at each link.

    A link that cannot be asked now counts as good, because paying again is worse than another try, unless Segmind has
    deleted its file by now; one that is refused for good, or leads to anything but such a file, does not.

    :param kind: of the files, "image" or "video"; None if it is not known.
    :param is_old: whether Segmind does not keep the files any more.
    """
    look = Look(hook, kind, not is_old, time.monotonic() + LONGEST_LOOK)
    return all(look.finds(link) for link in links[:MOST_LINKS])


@dataclass(frozen=True, slots=True)
class Look:
    """
    A look for files at links.

    :param kind: of the files.
    :param in_doubt: what counts of a link that cannot be asked.
    :param until: when it ends, by ``time.monotonic()``.
    """

    hook: SegmindHook
    kind: str | None
    in_doubt: bool
    until: float

    def finds(self, link: str) -> bool:
        """Whether the file is there."""
        from airflow_provider_kling.storage.download_hosts import Hosts
        from airflow_provider_kling.storage.download_request import BrokenOffError, DownloadRequest

        timeout = min(self.hook.settings.timeout, LONGEST_LOOK / 4)
        request = DownloadRequest(link, Hosts.of(self.hook.settings), timeout, until=self.until)
        try:
            for pause in (*PAUSES, None):
                try:
                    return self._is_there(request)
                except KlingFileExpiredError:
                    if pause is None:
                        return False
                    time.sleep(max(0.0, min(pause, self.until - time.monotonic())))
        except BrokenOffError:
            return self.in_doubt
        except SegmindError:
            return False
        finally:
            request.close()
        return False

    def _is_there(self, request: DownloadRequest) -> bool:
        from airflow_provider_kling.storage.download_request import breaks

        with request.get() as (response, _), breaks():
            found = media_type(response.raw.read(HEAD))
        return found is not None and self.kind in {None, found.kind}


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
