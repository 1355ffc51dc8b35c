"""
The secrets that no text may hold: the API keys that this process has read, and the passwords of its proxies.

Segmind, a gateway or a proxy may quote what it was sent: in a body, a header, a status line; as it is, escaped, in
base64. Every text from outside, and every error message, passes :mod:`airflow_provider_kling.segmind.sanitize`, which
hides them; they are stored once for the process, as in Airflow's own masker, so that no caller has to pass them.
"""

from __future__ import annotations

import base64
import re
import threading
from contextlib import suppress
from functools import lru_cache
from html.entities import html5
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Replaces a secret.
HIDDEN = "***"
#: A shorter secret would be found in ordinary words, and can be guessed anyway.
SHORTEST = 6
_URLSAFE = {"+": "-", "/": "_"}
#: A text of at most so many characters is likely to come again, as a state or a header does; so many are remembered.
SHORT, MOST_REMEMBERED = 200, 4096
#: The names that HTML has for characters, without their ``&`` and ``;``.
_ENTITIES: dict[str, list[str]] = {}
for _name, _char in html5.items():
    _ENTITIES.setdefault(_char, []).append(_name.rstrip(";"))

_adding = threading.Lock()
_known: dict[str, None] = {}
_patterns: tuple[tuple[re.Pattern[str], re.Pattern[bytes]], ...] = ()


def add(*secrets: str) -> None:
    """Hide these from now on; one of fewer than :data:`SHORTEST` characters is not hidden."""
    global _patterns  # noqa: PLW0603 is replaced as a whole, so that it can be read without a lock
    with _adding:
        fresh = [secret for secret in secrets if len(secret) >= SHORTEST and secret not in _known]
        if fresh:
            _known.update(dict.fromkeys(fresh))
            # The longest first: one may begin another, and what is left of that would be shown.
            texts = sorted({text for secret in _known for text in _read_as(secret)}, key=len, reverse=True)
            written = dict.fromkeys(form for text in texts for form in _patterns_of(text))
            _patterns = tuple((re.compile(form), re.compile(encoded)) for form in written for encoded in _encoded(form))


def hide(text: str) -> str:
    """Return a text without the secrets, however they are written in it."""
    return _hide_short(text, len(_patterns)) if len(text) <= SHORT else _hide(text)


@lru_cache(maxsize=MOST_REMEMBERED)
def _hide_short(text: str, patterns: int) -> str:  # noqa: ARG001 with more to hide, it is another call
    return _hide(text)


def _hide(text: str) -> str:
    for pattern, _ in _patterns:
        text = pattern.sub(HIDDEN, text)
    return text


def hide_bytes(body: bytes) -> bytes:
    """Return bytes without the secrets, as :func:`hide` does."""
    for _, pattern in _patterns:
        body = pattern.sub(HIDDEN.encode(), body)
    return body


def _read_as(secret: str) -> Iterator[str]:
    """Yield a secret as it is, and as a reader sees it that takes its UTF-8 for Latin-1, such as one of headers."""
    yield secret
    if not secret.isascii():
        yield secret.encode().decode("latin-1")


def _encoded(text: str) -> list[bytes]:
    """Return a text in UTF-8, and in Latin-1 where that differs and can hold it."""
    encoded = [text.encode()]
    if not text.isascii():
        with suppress(UnicodeEncodeError):
            encoded.append(text.encode("latin-1"))
    return encoded


def forms(secret: str) -> list[str]:
    """Return a secret as it is, in base64, whatever is encoded before and after it, and in hex."""
    in_base64 = [form for encoded in _encoded(secret) for form in _in_base64(encoded)]
    return [secret, *in_base64, *(encoded.hex() for encoded in _encoded(secret))]


def _in_base64(secret: bytes) -> Iterator[str]:
    for before in range(3):  # base64 writes three bytes as four characters
        text = base64.b64encode(bytes(before) + secret).decode()
        # Its first and its last character may hold bits of the neighbours.
        yield text[-(-before * 8 // 6) : (before + len(secret)) * 8 // 6]


def _patterns_of(secret: str) -> Iterator[str]:
    yield _pattern([(char, char.swapcase()) for char in secret])
    for encoded in _encoded(secret):
        for form in _in_base64(encoded):
            yield _pattern([(char, _URLSAFE.get(char, char)) for char in form])
        yield _pattern([(char, char.upper()) for char in encoded.hex()])


def _pattern(chars: list[tuple[str, str]]) -> str:
    """
    Return a pattern for characters, each in either of its two forms, plain or in one of the usual escapes.

    It begins with single characters only, which is found fast, and no repeat in it can backtrack without an end, so
    that no text takes long.
    """
    first, *rest = chars
    return "".join([_ways(first, r"\\(?<!\\\\)\\*+", ""), *(_ways(pair, r"\\++", r"\\*+") for pair in rest)])


def _ways(pair: tuple[str, str], escape: str, quoted: str) -> str:
    """
    Return a pattern for one character: plain, with a JSON or Python escape, percent-encoded, as an HTML entity.

    Escapes of escapes too.

    :param escape: the pattern of the backslashes before a code.
    :param quoted: the pattern of the backslashes before a character that may be escaped by itself.
    """
    ways = []
    for char in dict.fromkeys(pair):
        before = quoted if char in "\"'/" else ""
        if char in _ENTITIES:
            names = "|".join(sorted({re.escape(name) for name in _ENTITIES[char]}))
            ways.append(f"&(?:amp;){{0,4}}(?:{names});")
        ways.append(r"\\{1,8}" if quoted and char == "\\" else before + re.escape(char))
        code = "".join(f"[{digit}{digit.upper()}]" if digit.isalpha() else digit for digit in f"{ord(char):02x}")
        ways += [
            rf"{escape}(?:u00|x){code}",
            rf"%(?:25){{0,4}}{code}",
            rf"&(?:amp;){{0,4}}#(?:0{{0,4}}{ord(char)}|[xX]0{{0,4}}{code});?",
        ]
    return f"(?:{'|'.join(ways)})"
