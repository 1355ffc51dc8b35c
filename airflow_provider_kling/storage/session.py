"""
Connections for downloads: each ends where a download may go, whatever its name resolved to before.

Imported where the first file is fetched, because ``requests`` is slow to import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import requests

from airflow_provider_kling.hooks.connection import identity
from airflow_provider_kling.hooks.connections import tell_connections

if TYPE_CHECKING:
    from urllib3.connection import HTTPConnection

    from airflow_provider_kling.storage.hosts import Hosts


def checked_session(hosts: Hosts) -> requests.Session:
    """Return a session whose every connection ends where a download may go; a proxy's is the proxy's business."""

    def check(connection: HTTPConnection) -> None:
        hosts.check_peer(connection.host.strip("[]"), connection.port, connection.sock.getpeername()[0])

    class Session(requests.Session):
        def get_redirect_target(self, resp: requests.Response) -> None:
            """Read nothing of a redirect: requests would, however much it is. Who asks follows it."""

    session = Session()
    session.headers.update({"User-Agent": identity()["User-Agent"]})
    session.auth = lambda request: request  # being set, it keeps a .netrc out
    tell_connections(session, check, proxies=False)
    return session
