"""The environment's proxies: which one is used for a URL, and their passwords."""

from __future__ import annotations

import base64
import re
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from airflow_provider_kling.segmind.redaction import SHORTEST
from airflow_provider_kling.segmind.settings import is_this_machine

if TYPE_CHECKING:
    from collections.abc import Iterator

_WORD = re.compile(r"[A-Za-z]+")
_ENDS_HOST = re.compile(r"[/?#\\]+")


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
        before, _, after = address.partition("//")
        user, _, password = (after or before).rpartition("@")[0].partition(":")
        if not password:  # a token may stand in the user's place
            found += [each for each in (user, unquote(user)) if not _WORD.fullmatch(each)]
            found += _basic(user, "") if user else []
        if password:
            # Libraries end a host's name at some of these signs, and quote what they take for it.
            start, *rest = _ENDS_HOST.split(password)
            alone = {password, unquote(password), start, *rest}
            found += [each for each in alone if not _WORD.fullmatch(each)]
            found += [f"{user}:{password}@", *([f"{user}:{start}"] if rest else []), *_basic(user, password)]
    return [each for each in found if len(each) >= SHORTEST]  # Airflow's masker would hide single characters


def _basic(user: str, password: str) -> Iterator[str]:
    """Yield user and password as a proxy receives them: requests encodes them as Latin-1, aiohttp as it is told."""
    for encoding in ("utf-8", "latin-1"):
        with suppress(UnicodeEncodeError):
            yield base64.b64encode(unquote(f"{user}:{password}").encode(encoding)).decode()
