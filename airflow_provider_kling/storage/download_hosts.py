"""
Which hosts files may be downloaded from: public ones, and the connection's own.

A link in an answer is data. Without this, whoever can put a link there could make a worker read what
only the worker's network can reach: cloud metadata, a database's admin page, a neighbour.

What must not be relaxed:

* Every hop is checked, redirects included.
* What counts is the address that a connection is made to; it is checked before the connection is made.
* Behind a proxy, which resolves names itself, a name that is known not to be public is refused.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airflow_provider_kling.segmind.addresses import split
from airflow_provider_kling.segmind.errors import KlingDownloadRefusedError
from airflow_provider_kling.segmind.sanitize import fit_text

if TYPE_CHECKING:
    from typing import Self

    from airflow_provider_kling.segmind.settings import Settings

_PORTS = {"http": 80, "https": 443}
#: Characters that programs read in more than one way; control characters end lines of a request.
_STRANGE = re.compile(r"[\x00-\x20\x7f-\x9f\\\ufffd]")
_USER = re.compile(r"//[^/@]*@")
_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})+")
#: The end of a name that the system reads as an IPv4 address, such as 127.1, 0x7f.1 or 2130706433.
_NUMERIC = re.compile(r"(^|\.)(\d+|0x[0-9a-f]*)$")
#: Names that lead nowhere on the internet (RFC 6761, 6762, 8375, and ICANN's "internal").
_INTERNAL = (".local", ".localhost", ".internal", ".intranet", ".lan", ".corp", ".home", ".home.arpa", ".in-addr.arpa")

#: The well-known prefix under which IPv6-only networks reach IPv4 addresses.
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
#: The IPv6 range that is assigned to hosts so far.
_IPV6_HOSTS = ipaddress.ip_network("2000::/3")
#: Networks that are not public, whatever a version of Python says.
_NOT_PUBLIC = tuple(
    map(
        ipaddress.ip_network,
        (
            "168.63.129.16/32",  # Azure's own services, on every machine there
            "100.64.0.0/10",  # carriers and clouds (Alibaba's metadata)
            "192.0.0.0/24",  # protocols (Oracle's metadata)
            "192.88.99.0/24",  # relays of 6to4
            "2001::/23",  # protocols, Teredo among them
            "2002::/16",  # 6to4
            "3fff::/20",  # documentation
        ),
    )
)


@dataclass(frozen=True, slots=True)
class Hosts:
    """
    The hosts that may be downloaded from.

    :param own: host and port of those that the connection names; they may be private, as a simulator is.
    """

    own: frozenset[tuple[str, int]] = frozenset()

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the hosts for a connection."""
        urls = map(urlsplit, (settings.host, settings.history_host, settings.storage_host))
        return cls(frozenset((url.hostname or "", url.port or _PORTS[url.scheme]) for url in urls))

    def check_link(self, link: str) -> None:
        """
        Refuse a link before anything is sent to it; its addresses are checked when the connection is made.

        :raises KlingDownloadRefusedError: it leads to a forbidden place.
        """
        try:
            url = split(link)
            host, port = url.hostname, url.port
        except ValueError:
            raise KlingDownloadRefusedError(f"{shown(link)!r} is not a link to a file.") from None
        if url.scheme not in _PORTS or not host or _STRANGE.search(link):
            raise KlingDownloadRefusedError(f"{shown(link)!r} is not an http or https link to a file.")
        if url.username or url.password:
            raise KlingDownloadRefusedError(f"{shown(link)!r} holds a user name or password, no result's link does.")
        port = _PORTS[url.scheme] if port is None else port
        if (host, port) in self.own:
            return
        if port not in _PORTS.values():
            raise KlingDownloadRefusedError(
                f"A file is not downloaded from port {port} of {host!r}, only from 80 and 443. If it is meant to be, "
                "make it a host of the segmind connection."
            )
        if _as_address(host) is not None:
            self.check_address(host, port, host)
        elif not _is_public_name(host):
            raise KlingDownloadRefusedError(
                f"A file is not downloaded from {host!r}, which is no name on the internet. If it is meant to be, make "
                "it a host of the segmind connection."
            )

    def check_name(self, link: str) -> None:
        """
        Refuse a checked link that a proxy would follow into the network, as far as this machine can resolve it.

        :raises KlingDownloadRefusedError: it leads to a forbidden place.
        """
        url = urlsplit(link)
        host, port = url.hostname or "", url.port or _PORTS[url.scheme]
        for address in _addresses(host, port):
            self.check_address(host, port, address)

    def check_address(self, host: str, port: int, address: str) -> None:
        """
        Refuse an address that is not public, unless its host is the connection's own.

        :raises KlingDownloadRefusedError: it is not.
        """
        if (host, port) not in self.own and not is_public(address):
            raise KlingDownloadRefusedError(
                f"A file is not downloaded from {host!r}: it is at {address}, which is no public address. If it is "
                "meant to be, make it a host of the segmind connection."
            )


def is_public(address: str) -> bool:
    """Whether an address is one that anybody on the internet could reach."""
    ip = _as_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        if ip in _NAT64:
            ip = ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
        elif ip.ipv4_mapped:
            ip = ip.ipv4_mapped
        elif ip not in _IPV6_HOSTS:
            return False
    return ip is not None and ip.is_global and not ip.is_multicast and not any(ip in inside for inside in _NOT_PUBLIC)


def _as_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return an address; None for a name, and for an address with an interface, which is never public."""
    try:
        return None if "%" in host else ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_public_name(host: str) -> bool:
    name = host.removesuffix(".")
    return bool(_NAME.fullmatch(name)) and not _NUMERIC.search(name) and not name.endswith(_INTERNAL)


def _addresses(host: str, port: int) -> list[str]:
    """Return a name's addresses; none if only a proxy can resolve it."""
    try:
        return [str(address[0]) for *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError):
        return []


def shown(link: str) -> str:
    """Return a link as messages may show it: a query may hold a signature, and a user name a password."""
    return _USER.sub("//***@", fit_text(link).partition("?")[0])[:200]
