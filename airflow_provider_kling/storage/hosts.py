"""
Which hosts files may be downloaded from: public ones, and the connection's own.

A link in an answer is data. Without this, whoever can put a link there could make a worker read what
only the worker's network can reach: cloud metadata, a database's admin page, a neighbour.

What must not be relaxed:

* Every hop is checked, redirects included.
* What counts is the address that a connection really has, not what a name resolved to a moment before.
"""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airflow_provider_kling.segmind.addresses import split
from airflow_provider_kling.segmind.errors import KlingDownloadError, KlingDownloadRefusedError

if TYPE_CHECKING:
    from typing import Self

    from airflow_provider_kling.segmind.settings import Settings

_PORTS = {"http": 80, "https": 443}
#: The well-known prefix under which IPv6-only networks reach IPv4 addresses.
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


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

    def check_link(self, link: str, *, proxied: bool = False) -> None:
        """
        Refuse a link before anything is sent to it.

        :param proxied: a proxy resolves names, which this machine may not be able to.
        :raises KlingDownloadRefusedError: it leads where no download may go.
        :raises KlingDownloadError: its name cannot be resolved now.
        """
        try:
            url = split(link)
            host, port = url.hostname, url.port
        except ValueError:
            raise KlingDownloadRefusedError(f"{shown(link)!r} is not a link to a file.") from None
        if url.scheme not in _PORTS or not host:
            raise KlingDownloadRefusedError(f"{shown(link)!r} is not an http or https link to a file.")
        if url.username or url.password:
            raise KlingDownloadRefusedError(f"{shown(link)!r} holds a user name or password, no result's link does.")
        port = port or _PORTS[url.scheme]
        if (host, port) in self.own:
            return
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as exc:
            if proxied:
                return
            raise KlingDownloadError(f"The host of {shown(link)!r} cannot be found now ({exc}).") from None
        for *_, address in found:
            self.check_peer(host, port, str(address[0]))

    def check_peer(self, host: str, port: int, address: str) -> None:
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
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is None and ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
        ip = inner or ip
    return ip.is_global and not ip.is_multicast


def shown(link: str) -> str:
    """Return a link as messages may show it: a query may hold a signature."""
    return link.partition("?")[0][:200]
