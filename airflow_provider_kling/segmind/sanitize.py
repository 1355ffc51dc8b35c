"""
What comes from outside as text or JSON, fit for whatever it is handed on to: it holds no secret, and can be written.

Half an emoji, which a text has that was cut in its middle, cannot be written as UTF-8: neither into a log nor into an
event of the triggerer. Databases take no NUL, and terminals obey control characters. JSON columns take no NaN, and what
carries values between Airflow's processes no number of more than 64 bits. Some names in a dict tell Airflow that it is
an object of a class: they lose an underscore.
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

#: Surrogates, and control characters but tab and line breaks.
_UNFIT = re.compile("[\ud800-\udfff\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_LINE_BREAKS = re.compile("[\r\n\u2028\u2029]+")
#: Characters of a message.
LONGEST_MESSAGE = 8000
#: Characters of one line of a foreign text: enough to recognise a proxy's page or a model's complaint.
EXCERPT_CHARS = 300
#: Lists and dicts within each other: what is deeper is left out. Airflow 3 reads 200 levels of what it has wrapped in
#: some more, and below 3.3 twice as many of an event; a payload has 50 at the most.
DEEPEST = 60
#: What stands in the place of what is deeper.
TOO_DEEP = "(nested too deep)"
#: Values of a document, those within others included; the public list of models has tens of thousands.
MOST_VALUES = 250_000
#: Characters of a literal of Python: what reads one takes some hundred bytes of memory for each.
LONGEST_LITERAL = 64 * 1024
#: By these names Airflow's serialisation (2.4 to 3.4) knows an object of a class, or refuses a dict.
RESERVED = frozenset({"__classname__", "__version__", "__data__", "__id__", "__cache__", "__type", "__var", "__source"})
#: The first whole number that takes more than 64 bits.
TOO_LARGE = 2**63


def first_unfit(text: str) -> re.Match[str] | None:
    """Return the first character with which a text cannot be handed on, or None."""
    return _UNFIT.search(text)


def fit_text(text: str) -> str:
    """Return a text without secrets, with the replacement character wherever it cannot be handed on."""
    return _UNFIT.sub("\ufffd", hide(text))


def one_paragraph(text: str) -> str:
    """Return a text, fit, without its line breaks: whoever wrote a part of it begins no line of a log."""
    return _LINE_BREAKS.sub(" ", fit_text(text))


def shortened(text: str) -> str:
    """Return a text that a log can bear; of a longer one the begin and the end, which says what to do."""
    if len(text) <= LONGEST_MESSAGE:
        return text
    return f"{text[: LONGEST_MESSAGE * 3 // 4]} … {text[-LONGEST_MESSAGE // 4 :]}"


def fit_name(name: str) -> str:
    """Return a name in a dict, fit: one that is reserved loses an underscore, ``__type`` becoming ``_type``."""
    fit = fit_text(name)
    return fit[1:] if fit in RESERVED else fit


#: A text and a name as others tell them, in a model.
Text = Annotated[str, AfterValidator(fit_text)]
Name = Annotated[str, AfterValidator(fit_name)]


def fit_value(value: Any, most: int = MOST_VALUES) -> Any:
    """
    Return plain JSON with all that is in it fit, names included: no number is lost that can be written as text.

    What is deeper than :data:`DEEPEST` is left out.

    :param most: how many values it may have.
    :raises ValueError: it is no JSON, or of more values than that.
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
    Return the JSON in a text, fit to be handed on.

    :raises ValueError: there is none, or it has too many values.
    """
    return _read(json.loads, text, most)


def read_literal(text: str, most: int = MOST_VALUES) -> Any:
    """
    Return the JSON in a text that is written as Python writes it.

    :raises ValueError: there is none, or it is too long or has too many values.
    """
    if len(text) > LONGEST_LITERAL:
        raise ValueError("it is too long")
    return _read(ast.literal_eval, text, most)


def fit_body(body: bytes) -> bytes:
    """
    Return an answer's body whose JSON is fit; all else holds no secret at least.

    JSON that cannot be made fit has the reason in front, so that nobody reads it as JSON.
    """
    if not body.lstrip().startswith((b"{", b"[")):
        return hide_bytes(body)
    # Read before anything is replaced in it: a key that begins with a t is not what follows the \ of a tab.
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
    # Without NULs: in a page that is written as UTF-16 a secret would not be found. Nor would half of one.
    text = hide(body[: EXCERPT_CHARS * 40].replace(b"\0", b"").decode("utf-8", errors="replace"))
    line = " ".join("".join(ch if ch.isprintable() else " " for ch in text).split())
    return line if len(line) <= EXCERPT_CHARS else line[: EXCERPT_CHARS - 1] + "…"


def one_line(reason: object) -> str:
    """Return a text of any origin as one line of bearable length, without secrets: half of one is one too."""
    line = " ".join(fit_text(str(reason)).split())
    if len(line) > EXCERPT_CHARS:
        line = line[: EXCERPT_CHARS - 1] + "…"
    return line
