"""
How :mod:`requests` is set up so that a POST is sent once and the key goes to its own hosts only.

Imported where the first request is made, because ``requests`` is slow to import.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import requests
from urllib3.exceptions import NewConnectionError

from airflow_provider_kling.hooks.http_session import WatchedSession

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_kling.segmind.settings import Settings


class SegmindSession(WatchedSession):
    """A session that sends the API key to the connection's own hosts only, and follows no redirect."""

    def __init__(self, settings: Settings, headers: Mapping[str, str]) -> None:
        super().__init__()
        self.headers.update(headers)
        self._own_hosts = tuple(f"{host}/" for host in (settings.host, settings.history_host, settings.storage_host))
        self._api_key = settings.api_key
        self.auth = self._add_key  # being set, it also disables a .netrc

    def _add_key(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if (request.url or "").startswith(self._own_hosts):
            request.headers["x-api-key"] = self._api_key
        return request


class TrackedBody(io.BytesIO):
    """
    A body that records whether it was read to be sent.

        It is read only once the connection is established. So an error before that proves that no job was
    accepted, whatever went wrong: the name, the port, the proxy, the TLS handshake.
    """

    was_read = False

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the body, and record that it was read."""
        self.was_read = True
        return super().read(size)


def was_sent(exc: requests.RequestException, body: TrackedBody | None) -> bool:
    """Whether any of the request may have left this machine; certain if there is a body."""
    if body is not None:
        return body.was_read
    never_connected = (requests.ConnectTimeout, requests.exceptions.SSLError, requests.exceptions.ProxyError)
    return not isinstance(exc, never_connected) and not isinstance(_cause(exc), NewConnectionError)


def reason(exc: requests.RequestException) -> str:
    """Return what went wrong, without the layers around it."""
    return str(_cause(exc) or exc)


def _cause(exc: requests.RequestException) -> object:
    return getattr(exc.args[0], "reason", None) if exc.args else None
