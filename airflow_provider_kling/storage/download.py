"""
Fetching a file in constant memory: checked on the way, resumed where it broke off.

Imported where the first file is fetched, because ``requests`` is slow to import. No API key is sent: links
are public, and whoever serves one is told nothing else.
"""

from __future__ import annotations

import hashlib
import re
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urljoin

import requests
from tenacity import RetryCallState, Retrying, retry_if_exception_type
from urllib3.exceptions import HTTPError

from airflow_provider_kling.hooks.proxies import proxy_for
from airflow_provider_kling.hooks.segmind_session import reason
from airflow_provider_kling.media.measure import HEAD, MediaType, media_type
from airflow_provider_kling.segmind.errors import KlingDownloadError, KlingDownloadRefusedError, KlingFileExpiredError
from airflow_provider_kling.segmind.sanitize import excerpt, one_line
from airflow_provider_kling.segmind.settings import CONNECT_TIMEOUT
from airflow_provider_kling.storage.download_hosts import shown
from airflow_provider_kling.storage.download_session import checked_session
from airflow_provider_kling.storage.partial_file import NOT_LOST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_kling.hooks.http_session import Deadline
    from airflow_provider_kling.storage.download_hosts import Hosts
    from airflow_provider_kling.storage.partial_file import Part

#: Bytes read at once; a connection that breaks loses less than that, and one that brings less in the timeout is broken
#: off: whoever sends a byte a minute would keep a worker for good.
CHUNK = 64 * 1024
#: How often in a row a download may break off without as much more than before.
MAX_FRUITLESS = 4
MAX_REDIRECTS = 5

_MOVED = {301, 302, 303, 307, 308}
_GONE = {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.GONE}
_PASSING = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}
#: Any number of bytes that a file may have; Python reads more signs as digits, and not all of them as numbers.
_NUMBER = re.compile(r"[0-9]{1,18}")
_RANGE = re.compile(rf"bytes ({_NUMBER.pattern})-{_NUMBER.pattern}/({_NUMBER.pattern}|\*)")


class _BrokenOffError(Exception):
    """The download can go on from where it is."""


@dataclass(frozen=True, slots=True)
class _Version:
    """Which bytes a link leads to, as far as its server tells."""

    validator: str | None
    total: int | None

    @classmethod
    def of(cls, response: requests.Response) -> _Version:
        length = response.headers.get("Content-Length", "").strip()
        validator = response.headers.get("ETag") or response.headers.get("Last-Modified")
        return cls(validator, int(length) if _NUMBER.fullmatch(length) else None)

    @property
    def digest(self) -> str:
        return hashlib.sha256(f"{self.validator} {self.total}".encode()).hexdigest()[:8]


class Download:
    """
    One file on its way from a link into a part.

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
        self.hosts = hosts
        self.timeout = timeout
        self.max_bytes = max_bytes
        self.log = log
        self._part: Part | None = None
        self._version: _Version | None = None
        self._fruitless = 0
        self._furthest = 0
        self._session = checked_session(hosts)

    def run(self) -> tuple[Part, MediaType]:
        """
        Fetch the whole file; the part is closed and has been checked, all but whether it decodes.

        :raises KlingFileExpiredError: nothing is at the link any more.
        :raises KlingDownloadRefusedError: it is not allowed to be fetched.
        :raises KlingDownloadError: it could not be fetched, or is not what it should be.
        :raises KlingStorageError: it could not be written.
        """
        again = Retrying(
            retry=retry_if_exception_type(_BrokenOffError),
            stop=lambda _: self._fruitless >= MAX_FRUITLESS,
            wait=self._pause,
            before_sleep=self._tell,
            reraise=True,
        )
        try:
            part: Part = again(self._attempt)
            type_ = self._checked_type(part)
            part.close()
        except _BrokenOffError as exc:
            self._leave(keep=True)
            raise KlingDownloadError(f"{shown(self.link)!r} could not be fetched: {exc}. {NOT_LOST}") from None
        except Exception:
            self._leave(keep=False)
            raise
        except BaseException:  # a timeout, or the worker is told to stop
            self._leave(keep=True)
            raise
        finally:
            self._session.close()
        return part, type_

    def _leave(self, *, keep: bool) -> None:
        if self._part is not None:
            self._part.keep() if keep else self._part.discard()

    def _attempt(self) -> Part:
        if self._part is None:
            with self._get() as (response, deadline):
                self._version = _Version.of(response)
                self._refuse_above(self._version.total)
                self._part = self.begin(self._version.digest)
                if not self._part.size:
                    return self._pour(response, deadline)
        part, version = self._part, self._version
        if part.size and (version is None or not version.validator):
            part.restart()  # nobody could tell whether the rest is of the same file
        if version and part.size == version.total:
            return part
        with self._get(part.size, version.validator if version else None) as (response, deadline):
            if part.size and not self._continues(response, part.size):
                self.log.info("%s cannot be resumed; it is fetched from its beginning.", shown(self.link))
                part.restart()
                if response.status_code != HTTPStatus.OK:
                    raise _BrokenOffError(f"HTTP {response.status_code} in place of the rest")
                self._version = _Version.of(response)
            return self._pour(response, deadline)

    def _continues(self, response: requests.Response, offset: int) -> bool:
        """Whether what comes is the rest of the same file, and not another file or the whole of it."""
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
        except _BrokenOffError as exc:
            # Further than ever: one that is fetched from its beginning each time must end too.
            gained = part.size - self._furthest
            self._fruitless = 0 if gained >= CHUNK and not deadline.has_passed else self._fruitless + 1
            self._furthest = max(part.size, self._furthest)
            told = "an untold number" if total is None else total
            raise _BrokenOffError(f"it broke off after {part.size} of {told} bytes ({exc})") from None
        return part

    def _chunks(self, response: requests.Response, deadline: Deadline) -> Iterator[bytes]:
        chunks = response.raw.stream(CHUNK, decode_content=False)
        since_moved = CHUNK
        while True:
            if since_moved >= CHUNK:  # each chunk of HTTP comes by itself, and may have a single byte
                deadline.move(self.timeout)
                since_moved = 0
            chunk = None
            try:
                with _breaks():
                    chunk = next(chunks, None)
            except _BrokenOffError:
                if not deadline.has_passed:
                    raise
            if chunk:
                since_moved += len(chunk)
                yield chunk
            # The end of what was broken off looks like the end of the file.
            if deadline.has_passed:
                raise _BrokenOffError(f"less than {CHUNK // 1024} KiB came within {self.timeout:g} s")
            if chunk is None:
                return

    def _checked_type(self, part: Part) -> MediaType:
        type_ = media_type(part.head)
        if type_ is not None and self.kind in {None, type_.kind}:
            return type_
        wanted = f"a {self.kind}" if self.kind else "a picture, a video or a sound"
        found = type_.mime if type_ else f"something that begins with {excerpt(part.head)!r}"
        page = " It is a web page: a proxy or a sign-in may stand between." if _is_page(part.head) else ""
        raise KlingDownloadError(f"At {shown(self.link)!r} there is {found} in place of {wanted}.{page} {NOT_LOST}")

    def _refuse_above(self, size: int | None) -> None:
        if size is not None and size > self.max_bytes:
            raise KlingDownloadRefusedError(
                f"{shown(self.link)!r} has {size} bytes or more, and max_bytes allows {self.max_bytes}; raise it. "
                f"{NOT_LOST}"
            )

    @contextmanager
    def _get(self, offset: int = 0, validator: str | None = None) -> Iterator[tuple[requests.Response, Deadline]]:
        """Ask for the file from an offset on; a redirect is followed to where a download may go."""
        headers = {"Accept": "*/*", "Accept-Encoding": "identity"}
        if offset and validator:
            headers |= {"Range": f"bytes={offset}-", "If-Range": validator}
        link = self.link
        for _ in range(MAX_REDIRECTS + 1):
            self.hosts.check_link(link)
            if proxy_for(link):
                self.hosts.check_name(link)
            with (
                self._session.within(CONNECT_TIMEOUT + self.timeout) as deadline,
                self._answer(link, headers) as response,
            ):
                if response.status_code in _MOVED and "Location" in response.headers:
                    link = _led_on(link, response.headers["Location"])
                    continue
                self._check_status(response, resumes="Range" in headers)
                yield response, deadline
                return
        raise KlingDownloadRefusedError(f"{shown(self.link)!r} leads on more than {MAX_REDIRECTS} times. {NOT_LOST}")

    def _answer(self, link: str, headers: dict[str, str]) -> requests.Response:
        try:
            with _breaks():
                return self._session.get(
                    link, headers=headers, stream=True, allow_redirects=False, timeout=(CONNECT_TIMEOUT, self.timeout)
                )
        except _BrokenOffError:
            self._fruitless += 1
            raise

    def _check_status(self, response: requests.Response, *, resumes: bool) -> None:
        code = response.status_code
        if code == HTTPStatus.OK or (
            resumes and code in {HTTPStatus.PARTIAL_CONTENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE}
        ):
            encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
            if encoding not in {"", "identity"}:
                raise KlingDownloadError(
                    f"{shown(self.link)!r} comes compressed as {encoding[:30]!r}, which was not asked for: a proxy may "
                    f"do so. {NOT_LOST}"
                )
            return
        if code in _GONE:
            raise KlingFileExpiredError(f"Nothing is at {shown(self.link)!r} any more (HTTP {code}).", status_code=code)
        if code in _PASSING or code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self._fruitless += 1
            raise _BrokenOffError(f"HTTP {code}")
        raise KlingDownloadError(
            f"{shown(self.link)!r} could not be fetched: HTTP {code} in place of a file. {NOT_LOST}", status_code=code
        )

    def _pause(self, _: RetryCallState) -> float:
        """Go on soon while it gets further, later and later while it does not."""
        return 0.25 * 2.0**self._fruitless

    def _tell(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        seconds = state.next_action.sleep if state.next_action else 0
        self.log.warning("%s: %s. Going on in %.1f s.", shown(self.link), error, seconds)


@contextmanager
def _breaks() -> Iterator[None]:
    """Take whatever a connection can break off with for what it is; requests passes on what it does not expect."""
    try:
        yield
    except requests.RequestException as exc:
        raise _BrokenOffError(one_line(reason(exc))) from None  # without the link, whose query may hold a signature
    except (HTTPError, HTTPException, OSError, ValueError) as exc:
        raise _BrokenOffError(one_line(exc)) from None


def _led_on(link: str, location: str) -> str:
    """
    Return where a redirect leads.

    :raises KlingDownloadRefusedError: it leads to no address.
    """
    try:
        return urljoin(link, location.encode("latin-1").decode())  # as a header's bytes are mostly meant
    except ValueError:
        raise KlingDownloadRefusedError(
            f"{shown(link)!r} leads on to {shown(location)!r}, which is no link to a file. {NOT_LOST}"
        ) from None


def _check_length(size: int, total: int | None) -> None:
    if total is not None and size < total:
        raise _BrokenOffError("the connection was closed early")
    if total is not None and size > total:
        raise _BrokenOffError(f"{size - total} bytes more came than were announced")


def _is_page(head: bytes) -> bool:
    return head.lstrip().lower().startswith((b"<!doc", b"<html", b"<?xml", b"<head"))
