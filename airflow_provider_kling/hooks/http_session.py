"""
A requests session that checks the address of each connection before it is made, and can abort it.

Imported where the first request is made, because ``requests`` is slow to import.
"""

from __future__ import annotations

import socket
import time
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse, parse_headers
from http.cookiejar import DefaultCookiePolicy
from threading import Condition, Thread
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit
from weakref import WeakSet

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError
from urllib3.util.connection import allowed_gai_family

from airflow_provider_kling.hooks.logs import hide_in_logs
from airflow_provider_kling.segmind.settings import CONNECT_TIMEOUT, is_this_machine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from urllib3 import PoolManager
    from urllib3.connectionpool import HTTPConnectionPool


#: Bytes of a line between the chunks of an answer's body.
LONGEST_LINE = 64 * 1024
#: Informational answers before the one that counts.
MOST_INFORMATIONAL = 20

hide_in_logs("urllib3.connection", "urllib3.connectionpool")


class WatchedSession(requests.Session):
    """
    A session that connects to allowed addresses only, and closes its connections at a deadline.

    It follows no redirect, its adapters do not retry, and it reaches this machine without a proxy.

    :param check: called with the host, the port and each address of the host, before any connection to it is made; an
        exception from it ends the request. The connections of a proxy are not checked.
    """

    def __init__(self, check: Callable[[str, int, str], None] | None = None) -> None:
        super().__init__()
        self._check = check
        self._sockets: WeakSet[socket.socket] = WeakSet()
        self._deadline: Deadline | None = None
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # no cookie is stored or sent back
        for scheme in ("http://", "https://"):
            self.mount(scheme, _Adapter(self))

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Follow no redirect, and do not read its body: requests would, whatever its size."""

    def merge_environment_settings(self, url: Any, *args: Any, **kwargs: Any) -> Any:
        """Use no proxy for a host on this machine: the API key for it must not leave the machine."""
        settings = super().merge_environment_settings(url, *args, **kwargs)
        if is_this_machine(urlsplit(url).hostname or ""):
            settings["proxies"] = {}
        return settings

    @contextmanager
    def within(self, seconds: float) -> Iterator[Deadline]:
        """
        Abort all connections after that many seconds: a timeout of requests counts between two bytes only.

        What was read by then may look complete: check whether the deadline has passed.
        """
        try:
            with Deadline(seconds, self._break_off) as self._deadline:
                yield self._deadline
        finally:
            self._deadline = None

    def made(self, made: socket.socket) -> None:
        """Register a connection; one that was made after the deadline is closed at once."""
        self._sockets.add(made)
        if self._deadline is not None and self._deadline.has_passed:
            self._break_off()

    def check_address(self, host: str, port: int, address: str) -> None:
        """Refuse an address before a connection to it is made, or do nothing."""
        if self._check is not None:
            self._check(host, port, address)

    def _break_off(self) -> None:
        for open_socket in list(self._sockets):
            with suppress(OSError):
                # Below TLS: a reader of the TLS socket sees the connection end.
                socket.socket.shutdown(open_socket, socket.SHUT_RDWR)


class Deadline:
    """
    Calls something at a set time, unless the block has ended before.

    :param seconds: from now.
    :param passed: what is called, in a thread.
    """

    def __init__(self, seconds: float, passed: Callable[[], None]) -> None:
        self.has_passed = False
        self._passed = passed
        self._is_over = False
        self._changed = Condition()
        self._seconds, self._at = seconds, time.monotonic() + seconds

    def __enter__(self) -> Self:
        Thread(target=self._wait, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._is_over = True
            self._changed.notify()

    def move(self, seconds: float) -> None:
        """Set the time again, from now."""
        with self._changed:
            before, self._at = self._at, time.monotonic() + seconds
            self._seconds = seconds
            if self._at < before:
                self._changed.notify()

    def check(self) -> None:
        """
        Make sure that it has not passed.

        :raises TimeoutError: it has.
        """
        if self.has_passed:
            raise TimeoutError(f"it was not done within {self._seconds:g} s")

    def _wait(self) -> None:
        with self._changed:
            while (left := self._at - time.monotonic()) > 0 and not self._is_over:
                self._changed.wait(left)
            if self._is_over:
                return
            self.has_passed = True
        self._passed()


class _Adapter(HTTPAdapter):
    def __init__(self, session: WatchedSession) -> None:
        self._session = session
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        _watch(self.poolmanager, self._session, proxied=False)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        is_new = proxy not in self.proxy_manager
        manager = super().proxy_manager_for(proxy, **kwargs)
        if is_new:
            _watch(manager, self._session, proxied=True)
        return manager


class _FinalResponse(HTTPResponse):
    """An answer after the informational (1xx) ones, such as early hints, of which Python skips the 100 only."""

    def _read_status(self) -> tuple[str, int, str]:  # there is no public access to it; the same in Python 3.11 to 3.13
        for _ in range(MOST_INFORMATIONAL):
            version, status, reason = super()._read_status()  # type: ignore[misc]  # typeshed leaves it out
            if status // 100 != 1 or status in {HTTPStatus.CONTINUE, HTTPStatus.SWITCHING_PROTOCOLS}:
                return version, status, reason
            parse_headers(self.fp)
        raise HTTPException("it only announces an answer, again and again")


class _Bounded:
    """
    The file that an answer's body is read from, with limits on lengths.

    A chunk's length may be ``-1``, which reads to the end of the connection at once, and the line of a chunk or a
    trailer may have no end.
    """

    def __init__(self, file: Any) -> None:
        self._file = file

    def read(self, size: int | None = None) -> bytes:
        if size is not None and size < 0:
            raise ValueError("a chunk of the answer has no length")
        data: bytes = self._file.read() if size is None else self._file.read(size)
        return data

    def readline(self, limit: int = -1) -> bytes:
        line: bytes = self._file.readline(LONGEST_LINE if limit < 0 else min(limit, LONGEST_LINE))
        if len(line) >= LONGEST_LINE:
            raise ValueError("a line of the answer is too long")
        return line

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _watch(manager: PoolManager, session: WatchedSession, *, proxied: bool) -> None:
    """Make a pool manager, a proxy's or not, create connections that the session watches."""
    manager.pool_classes_by_scheme = {
        scheme: _watched(pool, session, proxied=proxied) for scheme, pool in manager.pool_classes_by_scheme.items()
    }


def _watched(pool: type[HTTPConnectionPool], session: WatchedSession, *, proxied: bool) -> type[HTTPConnectionPool]:
    class Connection(pool.ConnectionCls):  # type: ignore[name-defined]  # each kind of pool has its own
        sock: Any
        timeout: Any
        _dns_host: Any
        _handshake: socket.socket | None = None

        def connect(self) -> None:
            try:
                super().connect()
                # TLS within TLS, as through a proxy, is not a socket but has one.
                session.made(getattr(self.sock, "socket", self.sock))
            finally:
                if self._handshake is not None:
                    self._handshake.close()

        response_class = _FinalResponse

        def getresponse(self, *args: Any, **kwargs: Any) -> Any:
            response: Any = super().getresponse(*args, **kwargs)
            inner: Any = getattr(response, "_fp", None)
            if getattr(inner, "fp", None) is not None:
                inner.fp = _Bounded(inner.fp)
            return response

        def _new_conn(self) -> socket.socket:
            made: socket.socket = super()._new_conn() if proxied else self._at_its_address()
            # A TLS handshake moves the socket into an object that cannot be accessed before the handshake ends.
            self._handshake = made.dup()
            session.made(self._handshake)
            return made

        def _at_its_address(self) -> socket.socket:
            """Resolve the host once, and connect to a checked address; TLS still uses the host's name."""
            name, timeout = self._dns_host, self.timeout
            try:
                addresses = _addresses(name.strip("[]"), self.port)
            except (OSError, UnicodeError) as exc:
                raise NewConnectionError(self, f"Failed to resolve {self.host!r} ({exc})") from exc
            for address in addresses:
                session.check_address(self.host.strip("[]"), self.port, address)
            end = time.monotonic() + (CONNECT_TIMEOUT if timeout is None else timeout)
            failed: Exception = NewConnectionError(self, f"{self.host!r} has no address")
            try:
                for address in addresses:  # all within the timeout of one
                    self._dns_host, self.timeout = address, max(end - time.monotonic(), 0.001)
                    try:
                        made: socket.socket = super()._new_conn()
                    except (NewConnectionError, ConnectTimeoutError) as exc:
                        failed = exc
                    else:
                        return made
            finally:
                self._dns_host, self.timeout = name, timeout
            raise failed

    class Pool(pool):  # type: ignore[valid-type, misc]
        ConnectionCls = Connection

    return Pool


def _addresses(name: str, port: int) -> list[str]:
    found = socket.getaddrinfo(name, port, allowed_gai_family(), socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
