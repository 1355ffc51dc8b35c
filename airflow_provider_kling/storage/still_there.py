"""Whether the files of a finished job can still be had: from Segmind, or from where they were saved."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.segmind.errors import KlingFileExpiredError, SegmindError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_kling.hooks.segmind import SegmindHook


def is_still_there(
    links: Sequence[str], saved: Sequence[Mapping[str, Any]], hook: SegmindHook, *, copies: bool
) -> bool:
    """
    Return whether each file can be had.

    A link that cannot be asked now counts as good: paying again is worse than another try.

    :param saved: where the files were saved, as :func:`~airflow_provider_kling.storage.save.save_outputs` says it.
    :param copies: whether a saved file does as well as a link.
    """
    return all(_answers(link, hook) for link in links) or (copies and _are_saved(links, saved))


def _answers(link: str, hook: SegmindHook) -> bool:
    from airflow_provider_kling.storage.download_hosts import Hosts
    from airflow_provider_kling.storage.download_request import BrokenOffError, DownloadRequest

    request = DownloadRequest(link, Hosts.of(hook.settings), hook.settings.timeout)
    try:
        with request.get():
            return True
    except KlingFileExpiredError:
        return False
    except (BrokenOffError, SegmindError):
        return True
    finally:
        request.close()


def _are_saved(links: Sequence[str], saved: Sequence[Mapping[str, Any]]) -> bool:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    if len(saved) != len(links):
        return False
    with suppress(Exception):  # a storage may raise anything; then the file cannot be had
        return all(ObjectStoragePath(file["path"]).stat().st_size == file["size"] for file in saved)
    return False
