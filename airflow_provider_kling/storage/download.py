"""
Downloads a file in constant memory: checked while it arrives, resumed where it broke off.

Imported where the first file is downloaded, because ``requests`` is slow to import.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal

from tenacity import RetryCallState, Retrying, retry_if_exception_type

from airflow_provider_kling.media.measure import HEAD, MediaType, media_type
from airflow_provider_kling.segmind.errors import KlingDownloadError, KlingDownloadRefusedError
from airflow_provider_kling.storage.download_hosts import shown
from airflow_provider_kling.storage.download_request import NUMBER, BrokenOffError, DownloadRequest, Version, breaks
from airflow_provider_kling.storage.partial_file import NOT_LOST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import requests

    from airflow_provider_kling.hooks.http_session import Deadline
    from airflow_provider_kling.storage.download_hosts import Hosts
    from airflow_provider_kling.storage.partial_file import Part

#: Bytes read at once. A connection that breaks loses less than that, and one that brings less in the timeout is
#: aborted: a server that sends a byte a minute would occupy a worker for ever.
CHUNK = 64 * 1024
#: How often in a row a download may break off with less progress than that.
MAX_FRUITLESS = 4

_RANGE = re.compile(rf"bytes ({NUMBER.pattern})-{NUMBER.pattern}/({NUMBER.pattern}|\*)")


class Download:
    """
    The download of one file from a link into a part.

    :param link: where it is.
    :param begin: opens the part, once it is known which bytes will come.
    :param kind: what it has to be, where that is known.
    :param hosts: where it may come from.
    :param timeout: seconds that the server may take to answer, once connected, and then for each :data:`CHUNK`.
    :param max_bytes: the largest file that is fetched.
    :param log: the task's logger.
    """

    def __init__(
        self,
        link: str,
        begin: Callable[[str], Part],
        *,
        kind: Literal["image", "video"] | None,
        hosts: Hosts,
        timeout: float,
        max_bytes: int,
        log: Any,
    ) -> None:
        self.link = link
        self.begin = begin
        self.kind = kind
        self.timeout = timeout
        self.max_bytes = max_bytes
        self.log = log
        self._part: Part | None = None
        self._version: Version | None = None
        self._fruitless = 0
        self._furthest = 0
        self._request = DownloadRequest(link, hosts, timeout)

    def run(self) -> tuple[Part, MediaType]:
        """
        Fetch the whole file; the part is closed and has been checked, except whether it decodes.

        :raises KlingFileExpiredError: nothing is at the link any more.
        :raises KlingDownloadRefusedError: it is not allowed to be fetched.
        :raises KlingDownloadError: it could not be fetched, or is not what it should be.
        :raises KlingStorageError: it could not be written.
        """
        again = Retrying(
            retry=retry_if_exception_type(BrokenOffError),
            stop=lambda _: self._fruitless >= MAX_FRUITLESS,
            wait=self._pause,
            before_sleep=self._tell,
            reraise=True,
        )
        try:
            part: Part = again(self._attempt)
            type_ = self._checked_type(part)
            part.close()
        except BrokenOffError as exc:
            self._leave(keep=True)
            raise KlingDownloadError(f"{shown(self.link)!r} could not be fetched: {exc}. {NOT_LOST}") from None
        except Exception:
            self._leave(keep=False)
            raise
        except BaseException:  # a timeout, or the worker is stopped
            self._leave(keep=True)
            raise
        finally:
            self._request.close()
        return part, type_

    def _leave(self, *, keep: bool) -> None:
        if self._part is not None:
            self._part.keep() if keep else self._part.discard()

    def _attempt(self) -> Part:
        try:
            return self._go_on()
        except BrokenOffError as exc:
            self._fruitless += exc.fruitless
            raise

    def _go_on(self) -> Part:
        if self._part is None:
            with self._request.get() as (response, deadline):
                self._version = Version.of(response)
                self._refuse_above(self._version.total)
                self._part = self.begin(self._version.digest)
                if not self._part.size:
                    return self._pour(response, deadline)
        part, version = self._part, self._version
        if part.size and (version is None or not version.validator):
            part.restart()  # it is unknown whether the rest is of the same file
        if version and part.size == version.total:
            return part
        with self._request.get(part.size, version.validator if version else None) as (response, deadline):
            if part.size and not self._continues(response, part.size):
                self.log.info("%s cannot be resumed; it is fetched from its beginning.", shown(self.link))
                part.restart()
                if response.status_code != HTTPStatus.OK:
                    raise BrokenOffError(f"HTTP {response.status_code} in place of the rest")
                self._version = Version.of(response)
            return self._pour(response, deadline)

    def _continues(self, response: requests.Response, offset: int) -> bool:
        """Whether the answer is the rest of the same file, not another file or the whole of it."""
        told = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
        total = self._version.total if self._version else None
        return (
            response.status_code == HTTPStatus.PARTIAL_CONTENT
            and told is not None
            and int(told[1]) == offset
            and (told[2] == "*" or total is None or int(told[2]) == total)
        )

    def _pour(self, response: requests.Response, deadline: Deadline) -> Part:
        part = self._part
        total = self._version.total if self._version else None
        if part is None:
            raise AssertionError("a part is begun before anything is written")
        self._refuse_above(total)
        try:
            for chunk in self._chunks(response, deadline):
                part.write(chunk)
                if part.size >= HEAD:
                    self._checked_type(part)
                self._refuse_above(part.size)
            _check_length(part.size, total)
        except BrokenOffError as exc:
            # Progress is measured from the furthest point: a download that restarts each time must end too.
            gained = part.size - self._furthest
            self._fruitless = 0 if gained >= CHUNK and not deadline.has_passed else self._fruitless + 1
            self._furthest = max(part.size, self._furthest)
            of = "" if total is None else f" of {total}"
            raise BrokenOffError(f"it broke off after {part.size}{of} bytes ({exc})") from None
        return part

    def _chunks(self, response: requests.Response, deadline: Deadline) -> Iterator[bytes]:
        chunks = response.raw.stream(CHUNK, decode_content=False)
        since_moved = CHUNK
        while True:
            if since_moved >= CHUNK:  # each HTTP chunk arrives by itself, and may be a single byte
                deadline.move(self.timeout)
                since_moved = 0
            chunk = None
            try:
                with breaks():
                    chunk = next(chunks, None)
            except BrokenOffError:
                if not deadline.has_passed:
                    raise
            if chunk:
                since_moved += len(chunk)
                yield chunk
            # The end of an aborted download looks like the end of the file.
            if deadline.has_passed:
                raise BrokenOffError(f"less than {CHUNK // 1024} KiB came within {self.timeout:g} s")
            if chunk is None:
                return

    def _checked_type(self, part: Part) -> MediaType:
        type_ = media_type(part.head)
        if type_ is not None and self.kind in {None, type_.kind}:
            return type_
        wanted = f"a {self.kind}" if self.kind else "a picture, a video or a sound"
        # Its begin is not quoted: a secret that a proxy put there may be cut, and is not found then.
        found = type_.mime if type_ else "something else"
        page = " It is a web page: a proxy or a sign-in may stand between." if _is_page(part.head) else ""
        raise KlingDownloadError(f"At {shown(self.link)!r} there is {found} in place of {wanted}.{page} {NOT_LOST}")

    def _refuse_above(self, size: int | None) -> None:
        if size is not None and size > self.max_bytes:
            raise KlingDownloadRefusedError(
                f"{shown(self.link)!r} has {size} bytes or more, and max_bytes allows {self.max_bytes}; raise it. "
                f"{NOT_LOST}"
            )

    def _pause(self, _: RetryCallState) -> float:
        """Retry soon while there is progress, later and later while there is none."""
        return 0.25 * 2.0**self._fruitless

    def _tell(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        seconds = state.next_action.sleep if state.next_action else 0
        self.log.warning("%s: %s. Going on in %.1f s.", shown(self.link), error, seconds)


def _check_length(size: int, total: int | None) -> None:
    if total is not None and size < total:
        raise BrokenOffError("the connection was closed early")
    if total is not None and size > total:
        raise BrokenOffError(f"{size - total} bytes more came than were announced")


def _is_page(head: bytes) -> bool:
    return head.lstrip().lower().startswith((b"<!doc", b"<html", b"<?xml", b"<head"))
