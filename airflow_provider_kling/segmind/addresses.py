"""The address of a file, as an answer or a payload names it."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

#: What an address cannot hold, and what ends one where it is written into Markdown or HTML.
_NOT_IN_ADDRESSES = re.compile(r"[\s\x00-\x20\x7f-\x9f<>\"\\^`{|}]")


def is_address(text: str) -> bool:
    """Whether a text is the address of one file, of whatever scheme."""
    scheme, mark, _ = text.partition("://")
    if not mark or not scheme or _NOT_IN_ADDRESSES.search(text):
        return False
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme == scheme.lower()


def is_link(text: str) -> bool:
    """Whether a text is an address on the web."""
    if not text.lower().startswith(("https://", "http://")) or not is_address(text):
        return False
    return bool(urlsplit(text).hostname)
