"""
Downloads the outputs of one finished job, each from its current link.

A link may be dead although the file still exists: the request history has a newer link, or the file is not there yet.
"""

from __future__ import annotations

import hashlib
import time
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from airflow_provider_kling.segmind.errors import (
    KlingDownloadError,
    KlingDownloadRefusedError,
    KlingFileExpiredError,
    KlingStorageError,
    SegmindError,
    SegmindRequestNotFoundError,
)
from airflow_provider_kling.segmind.history import created_at

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow_provider_kling.hooks.segmind import SegmindHook
    from airflow_provider_kling.media.measure import MediaType
    from airflow_provider_kling.segmind.history import HistoryRow
    from airflow_provider_kling.storage.name_claim import Owner
    from airflow_provider_kling.storage.partial_file import Part
    from airflow_provider_kling.storage.store import Store

T = TypeVar("T")

#: How long Segmind keeps a job's files.
KEPT_FOR = timedelta(days=7)
#: Seconds after which a file that should be there is requested again.
YOUNG_PAUSES = (1.0, 2.0, 4.0)


class OutputDownloads:
    """
    Downloads the outputs of one job.

    :param request_id: the job.
    :param owner: the task that saves them: what it has left of a download is continued.
    :param store: where the files go, and how large they may be.
    :param fs: the filesystem of the store.
    :param outputs: how many there are.
    :param saved_before: where the same outputs were saved before, in their order, each time that they were.
    """

    def __init__(
        self,
        request_id: str,
        owner: Owner,
        store: Store,
        hook: SegmindHook,
        fs: Any,
        log: Any,
        saved_before: Sequence[Sequence[Mapping[str, Any]]] = (),
        *,
        outputs: int = 1,
    ) -> None:
        self._request_id = request_id
        self._owner = owner
        self._store = store
        self._hook = hook
        self._fs = fs
        self._log = log
        self._saved_before = saved_before
        self._outputs = outputs
        #: The links of outputs that were copied, because they are dead.
        self.dead_links: set[str] = set()
        self._silent = False

    def download(
        self, index: int, link: str, sidecar: str, kind: Literal["image", "video"] | None
    ) -> tuple[Part, MediaType]:
        """
        Download an output from its link, or from the history's newer one; try again if it should be there.

        :param kind: what it has to be, where that is known.
        :raises KlingDownloadError: see :meth:`Download.run`.
        :raises KlingFileExpiredError: Segmind has deleted it.
        """
        first, renewed = link, False
        for pause in (*YOUNG_PAUSES, None):
            try:
                return self._download(index, link, sidecar, kind)
            except KlingFileExpiredError as error:
                gone = error
            if (copy := self._copied(index, sidecar)) is not None:
                self.dead_links.add(first)
                return copy
            fresh = self._fresh_link(index)
            if fresh not in {None, link} and not renewed:  # once: a signed link differs each time
                self._log.warning("%s The request history has a link that is newer.", gone)
                link, renewed = str(fresh), True
                continue
            self._refuse_expired(index, gone)
            if pause is not None:
                self._log.warning("%s It should be there; trying again in %.0f s.", gone, pause)
                time.sleep(pause)
        self._refuse_expired(index, gone)
        raise KlingDownloadError(
            f"{gone} {self._age()}: a retry, or clearing this task, downloads it again. Nothing is paid for that.",
            request_id=self._request_id,
            status_code=gone.status_code,
        )

    def _refuse_expired(self, index: int, gone: KlingFileExpiredError) -> None:
        created = created_at(self.row) if self.row else None
        if created is not None and datetime.now(tz=UTC) - created > KEPT_FOR:
            raise KlingFileExpiredError(
                f"{gone} Segmind keeps a file for seven days, and its request history has no other link: output "
                f"{index} of request {self._request_id} has expired. Only a new job can make it again.",
                request_id=self._request_id,
                status_code=gone.status_code,
            )

    @cached_property
    def row(self) -> HistoryRow | None:
        """The request history's row of the job; None if it has none."""
        return self._asked(lambda: self._hook.find_row(self._request_id))

    def _age(self) -> str:
        if self.row and created_at(self.row):
            return f"Request {self._request_id} is not {KEPT_FOR.days} days old, so its file should be there"
        return (
            f"The request history does not show how old request {self._request_id} is; Segmind keeps its file for "
            f"{KEPT_FOR.days} days"
        )

    def _fresh_link(self, index: int) -> str | None:
        found = self._asked(lambda: self._hook.find_request(self._request_id))
        return found.urls[index] if found and index < len(found.urls) else None

    def _asked(self, ask: Callable[[], T]) -> T | None:
        """Ask the history; if it does not answer, return None, and do not ask it again for another file."""
        if self._silent:
            return None
        try:
            return ask()
        except SegmindRequestNotFoundError:
            return None
        except SegmindError as error:
            self._silent = True
            self._log.warning("The request history of request %s cannot be read: %s", self._request_id, error)
            return None

    def _download(
        self, index: int, link: str, sidecar: str, kind: Literal["image", "video"] | None
    ) -> tuple[Part, MediaType]:
        from airflow_provider_kling.storage.download import Download
        from airflow_provider_kling.storage.download_hosts import Hosts
        from airflow_provider_kling.storage.partial_file import Part

        return Download(
            link,
            lambda version: Part.begin(self._fs, sidecar.rpartition("/")[0], self._name(sidecar, index), version),
            kind=kind,
            hosts=Hosts.of(self._hook.settings),
            timeout=self._hook.settings.timeout,
            max_bytes=self._store.max_bytes,
            log=self._log,
        ).run()

    def _copied(self, index: int, sidecar: str) -> tuple[Part, MediaType] | None:
        """Copy an output from the first place where it is still as it was saved; None if there is none."""
        from airflow_provider_kling.storage.saved_copy import copied

        folder, name = sidecar.rpartition("/")[0], self._name(sidecar, index)
        too_large: KlingDownloadRefusedError | None = None
        for files in self._saved_before:
            if len(files) != self._outputs:  # one of them was not saved, so that it is not known which is which
                continue
            place = files[index].get("path")
            try:
                found = copied(files[index], self._fs, folder, name, max_bytes=self._store.max_bytes)
            except KlingStorageError as error:
                self._log.info("%s", error)
                continue
            except KlingDownloadRefusedError as error:
                too_large = error
                continue
            self._log.info("The link is dead; the file is copied from %s.", place)
            return found
        if too_large is not None:
            raise too_large
        return None

    def _name(self, sidecar: str, index: int) -> str:
        """Return a part's name: what another task has left of a download is no part of this one."""
        made = f"{sidecar} {self._request_id} {index} {self._owner}"  # a request id alone may be anybody's
        return f"kling-{hashlib.sha256(made.encode()).hexdigest()[:16]}"
