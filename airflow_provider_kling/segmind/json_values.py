"""Checks, before the POST, that parameters can be encoded as JSON, sent, stored and compared."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.segmind.placeholders import is_placeholder
from airflow_provider_kling.segmind.sanitize import TOO_LARGE, first_unfit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: The deepest nesting of lists and dicts; no model's parameters have more than four levels.
DEEPEST = 50


def unsendable(parameters: Any, besides: Callable[[Any], bool] | None = None) -> tuple[str, str] | None:
    """
    Return the first place in some parameters that cannot be sent, and why; None if all can.

    :param besides: accepts values that are not JSON, because they are replaced before they are sent.
    """
    return next(_faults(parameters, "", besides or (lambda _: False), DEEPEST), None)


def _faults(value: Any, place: str, besides: Callable[[Any], bool], levels: int) -> Iterator[tuple[str, str]]:
    if levels < 0:
        yield place[:100], f"is nested more than {DEEPEST} deep; make it flatter"
        return
    match value:
        case dict():
            for name, inner in value.items():
                if not isinstance(name, str) or first_unfit(name):
                    yield place, f"has a parameter named {name!r:.80}; a name is text without control characters"
                yield from _faults(inner, f"{place}.{name}" if place else str(name), besides, levels - 1)
        case list() | tuple():
            for number, inner in enumerate(value):
                yield from _faults(inner, f"{place}.{number}", besides, levels - 1)
        case _ if words := _fault(value, besides):
            yield place, words


def _fault(value: Any, besides: Callable[[Any], bool]) -> str | None:
    match value:
        case str():
            unfit = first_unfit(value)
            if unfit:
                where = f"U+{ord(unfit[0]):04X} as character {unfit.start() + 1}"
                return f"holds {where}, a control character or half of an emoji; remove it"
            return "is the placeholder of an uploaded file; write another text" if is_placeholder(value) else None
        case int():  # true and false are such numbers too
            fits = -TOO_LARGE <= value < TOO_LARGE
            return None if fits else "is a number of more than 64 bits; use a smaller one"
        case float():
            fits = math.isfinite(value)
            return None if fits else f"is {value}, which JSON does not have; use another number, or leave it out"
        case _:
            fits = value is None or besides(value)
            kind = type(value).__name__
            return None if fits else f"is a {kind}; use only text, numbers, true or false, lists and dicts"
