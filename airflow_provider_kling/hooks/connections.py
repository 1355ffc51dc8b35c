"""
requests' connections, told of as they are made.

Imported where the first request is made, because ``requests`` is slow to import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

if TYPE_CHECKING:
    from collections.abc import Callable

    import requests


def tell_connections(session: requests.Session, connected: Callable[[HTTPConnection], None], *, proxies: bool) -> None:
    """
    Have a session call a function with each connection that it makes, before anything is sent on it.

    :param connected: what it raises ends the request, and the connection.
    :param proxies: whether it is called with connections to a proxy too.
    """

    class Plain(HTTPConnection):
        def connect(self) -> None:
            super().connect()
            _told(self)

    class Secure(HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            _told(self)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    pools = {"http": PlainPool, "https": SecurePool}

    class Adapter(HTTPAdapter):
        def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
            super().init_poolmanager(*args, **kwargs)
            self.poolmanager.pool_classes_by_scheme = pools

        def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
            manager = super().proxy_manager_for(*args, **kwargs)
            if proxies:
                manager.pool_classes_by_scheme = pools
            return manager

    def _told(connection: HTTPConnection) -> None:
        try:
            connected(connection)
        except BaseException:
            connection.close()
            raise

    session.mount("http://", Adapter())
    session.mount("https://", Adapter())
