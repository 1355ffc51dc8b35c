"""
Connections for downloads: each ends where a download may go, whatever its name resolved to before.

Imported where the first file is fetched, because ``requests`` is slow to import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_kling.hooks.adapters import WatchedSession
from airflow_provider_kling.hooks.connection import identity

if TYPE_CHECKING:
    import requests
    from urllib3.connection import HTTPConnection

    from airflow_provider_kling.storage.hosts import Hosts


def checked_session(hosts: Hosts) -> requests.Session:
    """Return a session whose every connection ends where a download may go; a proxy's is the proxy's business."""

    def check(connection: HTTPConnection) -> None:
        hosts.check_peer(connection.host.strip("[]"), connection.port, connection.sock.getpeername()[0])

    session = WatchedSession(check, proxies=False)
    session.headers.update({"User-Agent": identity()["User-Agent"]})
    session.auth = lambda request: request  # being set, it keeps a .netrc out
    return session
