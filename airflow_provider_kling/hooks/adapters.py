"""
A session of requests that tells of each connection it makes, and follows no redirect.

Imported where the first request is made, because ``requests`` is slow to import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

if TYPE_CHECKING:
    from collections.abc import Callable


class WatchedSession(requests.Session):
    """
    A session that calls a function with each connection that it makes, before anything is sent on it.

    Its adapters repeat nothing.

    :param connected: what it raises ends the request, and the connection.
    :param proxies: whether it is called with connections to a proxy too.
    """

    def __init__(self, connected: Callable[[HTTPConnection], None], *, proxies: bool) -> None:
        super().__init__()
        for scheme in ("http://", "https://"):
            self.mount(scheme, _adapter(connected, proxies=proxies))

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Follow no redirect, and read nothing of one: requests would, however much it is."""


def _adapter(connected: Callable[[HTTPConnection], None], *, proxies: bool) -> HTTPAdapter:
    class Plain(HTTPConnection):
        def connect(self) -> None:
            super().connect()
            tell(self)

    class Secure(HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            tell(self)

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

    def tell(connection: HTTPConnection) -> None:
        try:
            connected(connection)
        except BaseException:
            connection.close()
            raise

    return Adapter()
