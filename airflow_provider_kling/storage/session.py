"""
Connections for downloads: each ends where a download may go, whatever its name resolved to before.

Imported where the first file is fetched, because ``requests`` is slow to import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from airflow_provider_kling.hooks.connection import identity
from airflow_provider_kling.segmind.errors import KlingDownloadRefusedError

if TYPE_CHECKING:
    from airflow_provider_kling.storage.hosts import Hosts


def checked_session(hosts: Hosts) -> requests.Session:
    """Return a session whose every connection ends where a download may go; a proxy's is the proxy's business."""

    class Plain(HTTPConnection):
        def connect(self) -> None:
            super().connect()
            _check(self)

    class Secure(HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            _check(self)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    class Adapter(HTTPAdapter):
        def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
            super().init_poolmanager(*args, **kwargs)
            self.poolmanager.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}

    def _check(connection: HTTPConnection) -> None:
        try:
            peer = connection.sock.getpeername()[0]
            hosts.check_peer(connection.host.strip("[]"), connection.port, peer)
        except KlingDownloadRefusedError:
            connection.close()
            raise

    session = requests.Session()
    session.headers.update({"User-Agent": identity()["User-Agent"]})
    session.auth = lambda request: request  # being set, it keeps a .netrc out
    session.mount("http://", Adapter())
    session.mount("https://", Adapter())
    return session
