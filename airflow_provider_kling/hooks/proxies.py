"""The environment's proxies: which one is used for a URL, and their passwords."""

from __future__ import annotations

import base64
import re
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from airflow_provider_kling.segmind.settings import is_this_machine

_WORD = re.compile(r"[A-Za-z]+")


def proxy_for(url: str) -> str | None:
    """Return the proxy for a URL; a host on this machine is reached directly, whatever the environment says."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if is_this_machine(host) or proxy_bypass(host):
        return None
    proxies = getproxies()
    return proxies.get(parts.scheme) or proxies.get("all")


def proxy_passwords() -> list[str]:
    """
    Return the proxies' passwords, alone and with their users: errors quote a proxy's address.

    A password of letters only is not returned alone: it could be a word of an address, and the links of paid files
    would lose that word.
    """
    found = []
    for address in getproxies().values():
        # urlsplit is not used: it refuses addresses that errors quote.
        user, _, password = address.rpartition("@")[0].rpartition("//")[2].partition(":")
        if password:
            alone = {password, unquote(password)}
            basic = base64.b64encode(unquote(f"{user}:{password}").encode()).decode()
            found += [*(each for each in alone if not _WORD.fullmatch(each)), f"{user}:{password}@", basic]
    return found
