"""
Cleans text and JSON from outside, so that it holds no secret and can be stored, logged and passed on.

Half an emoji, left where a text was cut, cannot be encoded as UTF-8: neither for a log nor for a trigger's event.
Databases do not accept NUL, and terminals obey control characters. JSON columns do not accept NaN, and the messages
between Airflow's processes no number of more than 64 bits. Some keys in a dict tell Airflow that it is an object of a
class: they lose an underscore.
"""

from __future__ import annotations

import ast
import json
import math
import re
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator

from airflow_provider_kling.segmind.redaction import hide, hide_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Surrogates, and control characters except tab and line breaks.
_UNFIT = re.compile("[\ud800-\udfff\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_LINE_BREAKS = re.compile("[\r\n\u2028\u2029]+")
#: Characters of a message.
LONGEST_MESSAGE = 8000
#: Characters of one line of a text from outside: enough to recognise a proxy's page or a model's error.
EXCERPT_CHARS = 300
#: The deepest nesting of lists and dicts; what is deeper is left out. Airflow 3 reads 200 levels, its own wrapping
#: included, which below 3.3 takes twice as many levels of an event; a payload has at most 50.
DEEPEST = 60
#: Replaces what is deeper.
TOO_DEEP = "(nested too deep)"
#: Most values of a document, nested ones included; the public list of models has tens of thousands.
MOST_VALUES = 250_000
#: Most characters of a Python literal: parsing takes about a hundred bytes of memory for each.
LARGEST_JSON = 8 * 1024**2
LONGEST_LITERAL = 64 * 1024
#: By these keys Airflow's serialisation (2.4 to 3.4) recognises an object of a class, or refuses a dict.
RESERVED = frozenset({"__classname__", "__version__", "__data__", "__id__", "__cache__", "__type", "__var", "__source"})
#: The first whole number that takes more than 64 bits.
TOO_LARGE = 2**63


def first_unfit(text: str) -> re.Match[str] | None:
    """Return the first character that makes a text unsafe to pass on, or None."""
    return _UNFIT.search(text)


def fit_text(text: str) -> str:
    """Return a text without secrets, with the replacement character for each unsafe one."""
    return _UNFIT.sub("\ufffd", hide(text))


def one_paragraph(text: str) -> str:
    """Return a text, cleaned, without its line breaks, so that no part of it can begin a line of a log."""
    return _LINE_BREAKS.sub(" ", fit_text(text))


def shortened(text: str) -> str:
    """Return a text short enough for a log; of a longer one the start and the end, which says what to do."""
    if len(text) <= LONGEST_MESSAGE:
        return text
    return f"{text[: LONGEST_MESSAGE * 3 // 4]} … {text[-LONGEST_MESSAGE // 4 :]}"


def fit_name(name: str) -> str:
    """Return a key of a dict, cleaned; a reserved one loses an underscore: ``__type`` becomes ``_type``."""
    fit = fit_text(name)
    return fit[1:] if fit in RESERVED else fit


#: A text and a key from outside, as types for a pydantic model.
Text = Annotated[str, AfterValidator(fit_text)]
Name = Annotated[str, AfterValidator(fit_name)]


def fit_value(value: Any, most: int = MOST_VALUES) -> Any:
    """
    Return plain JSON with all its values and keys cleaned; a number that is too large becomes text.

    What is deeper than :data:`DEEPEST` is left out.

    :param most: how many values it may have.
    :raises ValueError: it is not JSON, or has more values than that.
    """
    return _fit(value, DEEPEST, iter(range(most)))


def _fit(value: Any, levels: int, left: Iterator[int]) -> Any:
    if levels < 0:
        return TOO_DEEP
    if next(left, None) is None:
        raise ValueError("it has too many values")
    match value:
        case None | bool():
            return value
        case str():
            return fit_text(value)
        case int():
            return value if -TOO_LARGE <= value < TOO_LARGE else str(value)
        case float():
            return value if math.isfinite(value) else None
        case list() | tuple():
            return [_fit(inner, levels - 1, left) for inner in value]
        case dict():
            return {fit_name(str(name)): _fit(inner, levels - 1, left) for name, inner in value.items()}
        case _:
            raise ValueError(f"a {type(value).__name__} is no JSON")


def read_json(text: str | bytes, most: int = MOST_VALUES) -> Any:
    """
    Return the JSON in a text, cleaned.

    :raises ValueError: there is none, or it has too many values.
    """
    return _read(json.loads, text, most)


def read_literal(text: str, most: int = MOST_VALUES) -> Any:
    """
    Return the JSON in a text that is a Python literal, cleaned.

    :raises ValueError: there is none, or it is too long or has too many values.
    """
    if len(text) > LONGEST_LITERAL:
        raise ValueError("it is too long")
    return _read(ast.literal_eval, text, most)


def fit_body(body: bytes) -> bytes:
    """
    Return an answer's body with its JSON cleaned; any other body only loses its secrets.

    JSON that cannot be cleaned gets the reason in front, so that it is not read as JSON.
    """
    if not body.lstrip().startswith((b"{", b"[")):
        return hide_bytes(body)
    if len(body) > LARGEST_JSON:  # only the older API's answers may be larger, and these are files
        return b"(too long for JSON) " + hide_bytes(body[:LARGEST_JSON])
    # Parsed before anything is replaced: a key that begins with t must not match the t of an escaped tab.
    try:
        return json.dumps(read_json(body.decode(errors="replace")), ensure_ascii=False).encode()
    except ValueError as exc:
        return f"({fit_text(str(exc))}) ".encode() + hide_bytes(body)


def _read(reader: Callable[[Any], Any], text: str | bytes, most: int) -> Any:
    try:
        return fit_value(reader(text), most)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as exc:
        raise ValueError(str(exc) or type(exc).__name__) from None


def excerpt(body: bytes) -> str:
    """Return the first part of an answer's body as one printable line."""
    # Without NULs: in UTF-16 a secret would not be found. And whole: half a secret would not be found either.
    text = hide(body.replace(b"\0", b"").decode("utf-8", errors="replace"))[: EXCERPT_CHARS * 40]
    line = " ".join("".join(ch if ch.isprintable() else " " for ch in text).split())
    return line if len(line) <= EXCERPT_CHARS else line[: EXCERPT_CHARS - 1] + "…"


def one_line(reason: object) -> str:
    """Return a text of any origin as one short line; secrets are hidden first, as half of one is secret too."""
    line = " ".join(fit_text(str(reason)).split())
    if len(line) > EXCERPT_CHARS:
        line = line[: EXCERPT_CHARS - 1] + "…"
    return line
