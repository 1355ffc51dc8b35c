"""Who may ask: programs on this machine and its network, not a page of somebody else's in a browser here."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiohttp import web

#: Names below these are nobody's on the internet.
_PRIVATE_NAMES = (".localhost", ".local", ".internal", ".lan", ".home.arpa", ".test")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def names_this_service(request: web.Request, own_name: str) -> bool:
    """
    Whether a request's Host is one under which a program reaches the simulator.

    A page in a browser can point a name of its own at this machine (DNS rebinding), and then reads what it likes. So a
    public name is none of ours, but for the one that the simulator was told to listen on.
    """
    try:
        host = request.url.host or ""
        _ = request.url.origin()
    except ValueError:
        return False
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return bool(host) and ("." not in host or host == own_name or host.endswith(_PRIVATE_NAMES))
    return True


def is_of_another_page(request: web.Request) -> bool:
    """Whether a browser sends it for a page that is not the simulator's own."""
    origin = request.headers.get("Origin")
    if origin is not None and origin != str(request.url.origin()):
        return True
    return request.headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}
