"""
Requests a file: where a link leads, and what its server answers.

No API key is sent: links are public, and their servers get nothing else.
"""

from __future__ import annotations

import hashlib
import math
import re
import time
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import requests
from urllib3.exceptions import HTTPError

from airflow_provider_kling.hooks.proxies import proxy_for
from airflow_provider_kling.hooks.segmind_session import reason
from airflow_provider_kling.segmind.errors import KlingDownloadError, KlingDownloadRefusedError, KlingFileExpiredError
from airflow_provider_kling.segmind.redaction import hide
from airflow_provider_kling.segmind.sanitize import one_line
from airflow_provider_kling.segmind.settings import CONNECT_TIMEOUT
from airflow_provider_kling.storage.download_hosts import shown
from airflow_provider_kling.storage.download_session import checked_session
from airflow_provider_kling.storage.partial_file import NOT_LOST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_kling.hooks.http_session import Deadline
    from airflow_provider_kling.storage.download_hosts import Hosts

MAX_REDIRECTS = 5

_MOVED = {301, 302, 303, 307, 308}
_GONE = {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.GONE}
_PASSING = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}
#: Any size that a file may have; Python reads more characters as digits, and not all of them as numbers.
NUMBER = re.compile(r"[0-9]{1,18}")


class BrokenOffError(Exception):
    """
    The download broke off and can be resumed.

    :param fruitless: whether the request brought nothing.
    """

    def __init__(self, reason: str, *, fruitless: bool = False) -> None:
        super().__init__(reason)
        self.fruitless = fruitless


@dataclass(frozen=True, slots=True)
class Version:
    """Which bytes a link leads to, as far as its server says."""

    validator: str | None
    total: int | None

    @classmethod
    def of(cls, response: requests.Response) -> Version:
        """Return what an answer's headers say about its bytes."""
        length = response.headers.get("Content-Length", "").strip()
        validator = response.headers.get("ETag") or response.headers.get("Last-Modified")
        return cls(validator, int(length) if NUMBER.fullmatch(length) else None)

    @property
    def digest(self) -> str:
        """A short name of it."""
        return hashlib.sha256(f"{self.validator} {self.total}".encode()).hexdigest()[:8]


class DownloadRequest:
    """
    Asks for one file, as often as it takes, on one session.

    :param link: where it is.
    :param hosts: where it may come from.
    :param timeout: seconds that the server may take to answer, once connected.
    :param until: when to ask no more, redirects included, by ``time.monotonic()``.
    """

    def __init__(self, link: str, hosts: Hosts, timeout: float, *, until: float = math.inf) -> None:
        self.link = link
        self.hosts = hosts
        self.timeout = timeout
        self.until = until
        self._session = checked_session(hosts)

    def close(self) -> None:
        """Close the session."""
        self._session.close()

    @contextmanager
    def get(self, offset: int = 0, validator: str | None = None) -> Iterator[tuple[requests.Response, Deadline]]:
        """
        Request the file from an offset on; a redirect is followed if its target is allowed.

        :raises BrokenOffError: no answer came, or a temporary error: it counts as fruitless.
        """
        headers = {"Accept": "*/*", "Accept-Encoding": "identity"}
        if offset and validator:
            headers |= {"Range": f"bytes={offset}-", "If-Range": validator}
        link = self.link
        for _ in range(MAX_REDIRECTS + 1):
            self.hosts.check_link(link)
            if proxy_for(link):
                self.hosts.check_name(link)
            left = self.until - time.monotonic()
            if left <= 0:
                raise BrokenOffError("it has taken too long", fruitless=True)
            with (
                self._session.within(min(CONNECT_TIMEOUT + self.timeout, left)) as deadline,
                self._answer(link, headers) as response,
            ):
                if deadline.has_passed:  # what has come of the answer may look like one
                    raise BrokenOffError("it has taken too long", fruitless=True)
                if response.status_code in _MOVED and "Location" in response.headers:
                    link = _led_on(link, response.headers["Location"])
                    continue
                self._check_status(response, resumes="Range" in headers)
                yield response, deadline
                return
        raise KlingDownloadRefusedError(f"{shown(self.link)!r} redirects more than {MAX_REDIRECTS} times. {NOT_LOST}")

    def _answer(self, link: str, headers: dict[str, str]) -> requests.Response:
        try:
            with breaks():
                return self._session.get(
                    link, headers=headers, stream=True, allow_redirects=False, timeout=(CONNECT_TIMEOUT, self.timeout)
                )
        except BrokenOffError as exc:
            exc.fruitless = True
            raise

    def _check_status(self, response: requests.Response, *, resumes: bool) -> None:
        code = response.status_code
        if code == HTTPStatus.OK or (
            resumes and code in {HTTPStatus.PARTIAL_CONTENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE}
        ):
            encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
            if encoding not in {"", "identity"}:
                named = hide(encoding)[:30]
                raise KlingDownloadError(
                    f"{shown(self.link)!r} comes compressed as {named!r}, which was not asked for: a proxy may do so. "
                    f"{NOT_LOST}"
                )
            return
        if code in _GONE:
            raise KlingFileExpiredError(f"Nothing is at {shown(self.link)!r} any more (HTTP {code}).", status_code=code)
        if code in _PASSING or code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise BrokenOffError(f"HTTP {code}", fruitless=True)
        raise KlingDownloadError(
            f"{shown(self.link)!r} could not be fetched: HTTP {code} in place of a file. {NOT_LOST}", status_code=code
        )


@contextmanager
def breaks() -> Iterator[None]:
    """Turn any error of a broken connection into BrokenOffError; requests does not wrap all of them."""
    try:
        yield
    except requests.RequestException as exc:
        raise BrokenOffError(one_line(reason(exc))) from None  # without the link: its query may hold a signature
    except (HTTPError, HTTPException, OSError, ValueError) as exc:
        raise BrokenOffError(one_line(exc)) from None


def _led_on(link: str, location: str) -> str:
    """
    Return where a redirect leads.

    :raises KlingDownloadRefusedError: it does not lead to an address.
    """
    try:
        return urljoin(link, location.encode("latin-1").decode())  # most headers' bytes are meant so
    except ValueError:
        raise KlingDownloadRefusedError(
            f"{shown(link)!r} redirects to {shown(location)!r}, which is not a link to a file. {NOT_LOST}"
        ) from None
