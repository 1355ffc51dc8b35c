"""
A file in a payload before it has an address: a placeholder made from its content.

Each upload of a file gives another address. So a wanted job is identified by the contents of its files, and only what
is sent has their addresses.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_STAND_IN = re.compile(r"upload:sha256:([0-9a-f]{64})")


def placeholder(sha256: str) -> str:
    """Return the placeholder of a file with this content."""
    return f"upload:sha256:{sha256}"


def is_placeholder(value: Any) -> bool:
    """Whether the value is the placeholder of a file."""
    return isinstance(value, str) and _STAND_IN.fullmatch(value) is not None


def has_placeholders(value: Any) -> bool:
    """Whether anything in the value is the placeholder of a file."""
    match value:
        case dict():
            return any(has_placeholders(inner) for inner in value.values())
        case list() | tuple():
            return any(has_placeholders(inner) for inner in value)
        case _:
            return is_placeholder(value)


def links_in(value: Any) -> frozenset[str]:
    """Return the texts in the value that are links, and nothing else."""
    match value:
        case dict():
            return frozenset().union(*map(links_in, value.values()))
        case list() | tuple():
            return frozenset().union(*map(links_in, value))
        case str() if value.startswith(("https://", "http://")):
            return frozenset({value})
        case _:
            return frozenset()


def filled_in(value: Any, addresses: Mapping[str, str]) -> Any:
    """
    Return a value with the addresses of its files; a file without one keeps its placeholder.

    :param addresses: of a file by its content, of a link that is dead by that link.
    """
    match value:
        case dict():
            return {name: filled_in(inner, addresses) for name, inner in value.items()}
        case list() | tuple():
            return [filled_in(inner, addresses) for inner in value]
        case str() if found := _STAND_IN.fullmatch(value):
            return addresses.get(found[1], value)
        case str() if value.startswith(("https://", "http://")):
            return addresses.get(value, value)
        case _:
            return value
