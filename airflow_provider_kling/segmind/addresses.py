"""The address of a file, as an answer or a payload names it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from urllib.parse import SplitResult

#: Characters that an address cannot hold, and those that end one in Markdown or HTML.
_NOT_IN_ADDRESSES = re.compile(r"[\s\x00-\x20\x7f-\x9f<>\"\\^`{|}]")
_SCHEME_AND_HOST = re.compile(r"[^/?#]*(?://[^/?#]*)?")
#: Most characters of a scheme and host, user and port included: names have 253, and Python needs quadratic time.
_LONGEST_HOST = 400


def split(text: str) -> SplitResult:
    """
    Return the parts of an address, with a readable host and port.

    :raises ValueError: it is not an address.
    """
    start = _SCHEME_AND_HOST.match(text)
    if start is None or len(start[0]) > _LONGEST_HOST:
        raise ValueError("its host is too long")
    parts = urlsplit(text)
    _ = parts.hostname, parts.port
    return parts


def is_address(text: str) -> bool:
    """Whether a text is the address of one file, of whatever scheme."""
    if "://" not in text or _NOT_IN_ADDRESSES.search(text):
        return False
    try:
        scheme = split(text).scheme
    except ValueError:
        return False
    return bool(scheme) and text[len(scheme) :].startswith("://")


def is_link(text: str) -> bool:
    """Whether a text is an address on the web."""
    return text.lower().startswith(("https://", "http://")) and is_address(text) and bool(split(text).hostname)
