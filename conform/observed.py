"""What was seen of a Segmind, before anybody says what it means."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date, datetime, timedelta

#: A row of the request history as it came.
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. ``headers`` have small letters; ``body`` is read where it is JSON, and else text."""

    host: str
    sent_at: datetime
    answered_at: datetime
    status: int
    headers: Mapping[str, str]
    body: Any


@dataclass(slots=True)
class Job:
    """
    One submit, and what became of it.

    :param name: how a person knows it.
    :param marker: a text in its payload that no other job has.
    :param meant_to_fail: whether the payload was written to make it FAIL.
    :param submit: the answer to the POST.
    :param request_id: None where it was refused.
    :param status: the answer of the status address right after the submit, None where there was none.
    :param result: that of the result's address, asked next.
    :param end: the first status that said that it is over.
    :param final: what the result's address answered then.
    :param absent_at: when the history was last asked that did not show it yet.
    :param seen_at: when the history first showed it.
    :param first_row: its row then.
    :param row: its row at last.
    :param by_id: what the history answered when asked for it by each form of the API's id.
    """

    name: str
    marker: str
    payload: Mapping[str, Any]
    submit: Reply
    request_id: str | None
    meant_to_fail: bool = False
    status: Reply | None = None
    result: Reply | None = None
    end: Reply | None = None
    final: Reply | None = None
    absent_at: datetime | None = None
    seen_at: datetime | None = None
    first_row: Row | None = None
    row: Row | None = None
    by_id: dict[str, Reply] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Span:
    """The rows that the history gave for some days; None where it gave none to read."""

    first: date
    last: date
    rows: tuple[Row, ...] | None


@dataclass(slots=True)
class Observations:
    """
    All that was seen.

    :param grace: how long rows were waited for; ``orphan_grace`` at the pace of this Segmind.
    :param rows: the last page of the history that was read as the provider reads it.
    :param unfiltered: the same without a model's name, asked where a row was missing.
    :param pages: a few small pages, one after the other.
    :param spans: a few days around the first job.
    :param limit_asked: how many requests were sent to meet a rate limit.
    :param replies: every answer.
    """

    model: str
    grace: timedelta
    jobs: list[Job] = field(default_factory=list)
    rows: tuple[Row, ...] = ()
    unfiltered: tuple[Row, ...] = ()
    pages: list[tuple[Row, ...]] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    unknown_status: Reply | None = None
    unknown_result: Reply | None = None
    limit_asked: int = 0
    replies: list[Reply] = field(default_factory=list)
