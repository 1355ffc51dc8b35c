"""Trouble to order: which request it strikes, and what then goes wrong. Pure; `middleware` does the damage.

An ordered fault strikes before the key and the rate limit are looked at.

What tells the kinds apart is whether the job was accepted. `respond`, `refuse`, `reset_before` and an endless
`hold` leave no job behind; after `reset_after`, `hold_after`, `truncate` and `replace_after` the job runs and
is billed although the client never got its id. `late_row` only keeps the job out of the history for a while;
`row_after` does the same along with any other kind.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


LAST_STATUS = 599


class Kind(StrEnum):
    """What goes wrong."""

    RESPOND = "respond"
    REFUSE = "refuse"
    RESET_BEFORE = "reset_before"
    RESET_AFTER = "reset_after"
    HOLD = "hold"
    HOLD_AFTER = "hold_after"
    DELAY = "delay"
    TRUNCATE = "truncate"
    REPLACE_AFTER = "replace_after"
    FAIL_JOB = "fail_job"
    LATE_ROW = "late_row"

    @property
    def needs_a_submission(self) -> bool:
        """Whether there is nothing to go wrong with a poll."""
        return self in (Kind.FAIL_JOB, Kind.LATE_ROW)


@dataclass(frozen=True)
class Match:
    """Which requests are struck. The path is a glob over the whole path, so `/v2/*` includes the polls."""

    method: str | None = None
    path: str = "/v[12]/*"
    model: str | None = None

    def covers(self, method: str, path: str, model: str | None) -> bool:
        """Tell whether the request is meant; `model` is the slug in the path or that of the polled job."""
        return self.method in (None, method) and self.model in (None, model) and fnmatchcase(path, self.path)


@dataclass(frozen=True)
class Fault:
    """What goes wrong, with the details its kind takes. `row_after` is in seconds of the simulator's clock."""

    kind: Kind
    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = ""
    seconds: float | None = None
    error: str = "Generation failed"
    row_after: float = 0.0


@dataclass
class Order:
    """A fault for the next `times` requests that match."""

    fault: Fault
    match: Match = field(default_factory=Match)
    times: int = 1

    @classmethod
    def read(cls, order: Any) -> Order:
        """Read the JSON form; ValueError says what is wrong with it."""
        match order:
            case {"fault": {"kind": kind, **details}}:
                fault = Fault(kind=_kind(kind), **_fields(Fault, details))
            case _:
                raise ValueError('an order looks like {"match": {...}, "times": 1, "fault": {"kind": "respond"}}')
        times = order.get("times", 1)
        if type(times) is not int or times < 1:
            raise ValueError("times is a whole number from 1 on")
        return cls(fault=fault, match=Match(**_fields(Match, order.get("match", {}))), times=times)


class Faults:
    """The orders that still stand, oldest first."""

    def __init__(self) -> None:
        self._orders: list[Order] = []

    def order(self, order: Order) -> None:
        """Let the fault strike the next requests that match."""
        self._orders.append(order)

    def clear(self) -> None:
        """Withdraw every order."""
        self._orders.clear()

    def strike(self, method: str, path: str, model: str | None, *, submits: bool) -> Fault | None:
        """Use up one strike for this request, if any order covers it. Some kinds only strike submissions."""
        for order in self._orders:
            if order.fault.kind.needs_a_submission and not submits:
                continue
            if order.match.covers(method, path, model):
                order.times -= 1
                if order.times == 0:
                    self._orders.remove(order)
                return order.fault
        return None


def _kind(given: Any) -> Kind:
    try:
        return Kind(given)
    except (ValueError, TypeError):
        raise ValueError(f"kind is one of {', '.join(Kind)}; got {given!r}") from None


def _fields(cls: type[Match | Fault], given: Any) -> dict[str, Any]:
    known = {spec.name for spec in dataclasses.fields(cls)}
    if not isinstance(given, dict) or not known.issuperset(given):
        raise ValueError(f"{cls.__name__.lower()} takes {', '.join(sorted(known))}; got {given!r}")
    for name, value in given.items():
        if not _FITS[name](value):
            raise ValueError(f"{value!r} is no {name}")
    return dict(given)


def _is_text_or_none(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _is_seconds(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf


def _are_headers(value: Any) -> bool:
    return isinstance(value, dict) and all(
        name.isascii() and name.isprintable() and isinstance(text, str) and text.isprintable()
        for name, text in value.items()
    )


_FITS: dict[str, Callable[[Any], bool]] = {
    "method": _is_text_or_none,
    "path": lambda value: isinstance(value, str),
    "model": _is_text_or_none,
    "status": lambda value: type(value) is int and HTTPStatus.OK <= value <= LAST_STATUS,
    "headers": _are_headers,
    "body": lambda _: True,
    "seconds": lambda value: value is None or _is_seconds(value),
    "error": lambda value: isinstance(value, str),
    "row_after": _is_seconds,
}
