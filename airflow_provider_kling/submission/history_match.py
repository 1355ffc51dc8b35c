"""
Which rows of the request history may be the job of one POST.

A row is certainly that job if model, time and inputs all agree. A row may be that job if nothing disagrees, but
something cannot be read or is not known on this side, if a text is cut or written a little differently, or if the time
fits in another time zone only: such a row is shown to a person and never adopted automatically.
"""

from __future__ import annotations

import html
import re
import unicodedata
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from airflow_provider_kling.segmind.clock import CLOCK_SKEW
from airflow_provider_kling.segmind.history import created_at, created_within, is_of_model
from airflow_provider_kling.segmind.identifiers import canonical_id
from airflow_provider_kling.segmind.placeholders import is_placeholder
from airflow_provider_kling.segmind.sanitize import fit_name, fit_value, read_json, read_literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from airflow_provider_kling.segmind.history import HistoryRow

#: Most characters of a text that are compared without punctuation: one may expand to eighteen letters.
_LONGEST_COMPARED = 20_000
#: From this many characters on, the beginning of a text may be that text, cut.
_SHORTEST_CUT = 32
#: Characters that a service without Unicode replaces, and its replacement.
# An escape of JSON's that a service has stored as text, and a line break of HTML's.
_ESCAPED = re.compile(r"\\(?:u([0-9a-fA-F]{4})|[nrt])")
_BREAK = re.compile(r"<br\s{0,4}/?>", re.IGNORECASE)
_NOT_ASCII = re.compile(r"[?\x80-\U0010ffff]+")
_NUMBER = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?")
#: How long after the intent a POST may still be accepted, gateways' own delays included; a longer grace counts.
SLOWEST_ACCEPTANCE = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Window:
    """When a POST may have been accepted: from ``first`` to ``last``."""

    first: datetime
    last: datetime

    @classmethod
    def after(cls, intended_at: datetime, grace: timedelta) -> Window:
        """Return the window of a POST that was sent right after its intent was saved, with this grace."""
        return cls(intended_at - CLOCK_SKEW, intended_at + max(grace, SLOWEST_ACCEPTANCE) + CLOCK_SKEW)


@dataclass(frozen=True, slots=True)
class Sent:
    """
    A POST as far as it is known on this side.

    :param model: the model's slug.
    :param payload: the parameters as sent. If a file's address is not known, its placeholder is equal to any address,
        but no row is certain then.
    :param windows: when it may have been accepted.
    """

    model: str
    payload: Mapping[str, Any]
    windows: Sequence[Window]


@dataclass(frozen=True, slots=True)
class Matches:
    """The rows of the history that are a POST's job, and those that may be, oldest first."""

    certain: tuple[HistoryRow, ...] = ()
    possible: tuple[HistoryRow, ...] = ()


def matches(sent: Sent, rows: Iterable[HistoryRow]) -> Matches:
    """Return the rows that are, or may be, what was sent; a job has one row for each output and counts once."""
    certain: dict[str, HistoryRow] = {}
    possible: dict[str, HistoryRow] = {}
    # What was sent is cleaned as the history is: a secret is hidden in both.
    payload = _plain(fit_value(sent.payload))
    for number, row in enumerate(rows):
        agrees = [is_of_model(row, sent.model), _in_time(row, sent)]
        if False not in agrees:
            agrees.append(_same_inputs(row.request_body, payload))
        if False not in agrees:
            found = certain if None not in agrees and row.request_id else possible
            found.setdefault(canonical_id(row.request_id) or f"row {number}", row)
    return Matches(_oldest_first(certain.values()), _oldest_first(possible.values()))


def _oldest_first(rows: Iterable[HistoryRow]) -> tuple[HistoryRow, ...]:
    return tuple(sorted(rows, key=lambda row: created_at(row) or datetime.max.replace(tzinfo=UTC)))


def _in_time(row: HistoryRow, sent: Sent) -> bool | None:
    """Return whether the row's time is that of the POST; None where it has none."""
    fits = {created_within(row, window.first, window.last) for window in sent.windows}
    return True if True in fits else None if None in fits else False


def _same_inputs(body: Mapping[str, Any] | None, payload: Mapping[str, Any]) -> bool | None:
    """Return whether the inputs are the same; None where no value differs, but some are on one side only."""
    return None if body is None else _same_fields(_plain(body), payload)


def _same_fields(there: Mapping[str, Any], here: Mapping[str, Any]) -> bool | None:
    agrees = {_agrees(there[name], here[name]) for name in there.keys() & here.keys()}
    if False in agrees:
        return False
    return True if there.keys() == here.keys() and None not in agrees else None


def _agrees(there: Any, here: Any) -> bool | None:
    """Return whether two plain values are the same; None if one may be the other, stored differently or cut."""
    if is_placeholder(here):
        return None if isinstance(there, str) and there.startswith(("http://", "https://")) else False
    match there, here:
        case dict(), dict():
            return _same_fields(there, here)
        case list(), list():
            agrees = {_agrees(*pair) for pair in zip(there, here, strict=False)}
            if False in agrees or len(there) > len(here):
                return False
            return True if len(there) == len(here) and None not in agrees else None
        case str(), str():
            return True if there == here else None if _is_nearly(there, here) else False
        case Fraction(), Fraction():
            return True if there == here else None if _is_rounded(there, here) else False
        case (str(), Fraction() | bool()) | (Fraction() | bool(), str()):
            return bool(_of_text(there) == _of_text(here))
        case _:  # such as a list as cut-off text, or a number for true
            return True if type(there) is type(here) and bool(there == here) else None


def _is_nearly(there: str, here: str) -> bool:
    """
    Return whether one text may be the other as a service stores it.

    That is: cut, with other punctuation and spaces, with escapes, or with a question mark, or nothing, for what is not
    ASCII.
    """
    if not here.isascii() and _NOT_ASCII.sub("?", here) == _NOT_ASCII.sub("?", there):
        return True
    if not here.isascii() and there == here.encode("ascii", "ignore").decode() and _bare(there):
        return True
    shorter, longer = sorted((_bare(there), _bare(here)), key=len)
    if _of_text(there) == _of_text(here):  # such as 5 and 5.0
        return True
    return shorter == longer != "" or (len(shorter) >= _SHORTEST_CUT and longer.startswith(shorter))


@lru_cache(maxsize=4)  # one of the two that are compared is the same for all rows
def _bare(text: str) -> str:
    """Return the letters and digits of a text's beginning, without its encoding for HTML or an address."""
    text = _ESCAPED.sub(lambda code: chr(int(code[1], 16)) if code[1] else " ", text[:_LONGEST_COMPARED])
    text = _BREAK.sub(" ", text)
    with suppress(ValueError):  # from a character's number with thousands of digits
        text = html.unescape(text)
    # Without the marks on letters: normalising sorts them, which takes minutes for many.
    unmarked = "".join(sign for sign in unquote(text) if not unicodedata.category(sign).startswith("M"))
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKD", unmarked).casefold()))


def _plain(value: Any) -> Any:
    """Return a value as it compares: ``5``, ``5.0`` and ``"5"`` are one, and so are a list and its JSON text."""
    match value:
        case bool():
            return value
        case int() | float():
            return _of_text(repr(value))
        case str():
            text = value.strip()
            if text[:1] in {"[", "{"}:
                for read, longest in ((read_json, 64 * 1024), (read_literal, 16 * 1024)):
                    with suppress(ValueError, RecursionError):
                        if len(text) <= longest:
                            return _plain(read(text, 2000))
            return text
        case dict():
            return {fit_name(name): _plain(inner) for name, inner in value.items() if inner is not None}
        case list() | tuple():
            return [_plain(inner) for inner in value]
        case _:
            return value


def _of_text(value: Any) -> Any:
    """Return the number, or true or false, that a text means; any other value as it is."""
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    return Fraction(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else value


def _is_rounded(there: Fraction, here: Fraction) -> bool:
    """Whether a number may be the other one, stored with fewer digits; whole ones are not rounded."""
    if here.denominator == 1:
        return False
    digits = next((count for count in (2, 3, 4, 5) if (there * 10**count).denominator == 1), None)
    step = Fraction(1, 2 * 10**digits) if digits else abs(here) / 10**6
    return abs(there - here) <= max(step, abs(here) / 10**6)
