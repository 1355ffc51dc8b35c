"""How answers are read: with the provider's own schemas, so that nobody reads them otherwise than it does. Pure."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from statistics import median
from typing import TYPE_CHECKING

from pydantic import ValidationError

from airflow_provider_kling.segmind.history import HistoryPage, HistoryRow
from airflow_provider_kling.segmind.identifiers import canonical_id
from airflow_provider_kling.segmind.schemas import JobStatus, Result

if TYPE_CHECKING:
    from collections.abc import Iterable

    from conform.observed import Job, Reply, Row


def rows_in(reply: Reply | None) -> tuple[Row, ...] | None:
    """Return the rows of a history answer; None where it has none to read."""
    if reply is None or reply.status != HTTPStatus.OK:
        return None
    try:
        page = HistoryPage.model_validate(reply.body)
    except ValidationError:
        return None
    raw = reply.body
    if isinstance(raw, dict):
        raw = next((raw[key] for key in ("data", "rows") if key in raw), [raw])
    return tuple(row for row in raw if isinstance(row, dict)) if len(page.rows) == len(raw) else None


def read_row(row: Row) -> HistoryRow | None:
    """Return a row as the provider reads it."""
    try:
        return HistoryRow.model_validate(row)
    except ValidationError:
        return None


def is_of(job: Job, row: Row) -> bool:
    """Whether a row is a job's, by its id or by the text in its payload that no other job has."""
    read = read_row(row)
    same_id = read is not None and canonical_id(read.request_id) == canonical_id(str(job.request_id))
    return same_id or job.marker in json.dumps(row, ensure_ascii=False)


def state_of(reply: Reply | None) -> JobStatus | None:
    """Return the state that an answer names."""
    try:
        return Result.model_validate(reply.body).status if reply is not None else None
    except ValidationError:
        return None


def has_ended(reply: Reply | None) -> bool:
    """Whether an answer says that a job is over."""
    state = state_of(reply)
    return state is not None and state.is_terminal


def clock_difference(replies: Iterable[Reply]) -> timedelta | None:
    """Return by how much the clock behind these answers is ahead of this machine's, to about a second."""
    differences = []
    for reply in replies:
        told = date_of(reply)
        if told is not None:
            middle = reply.sent_at + (reply.answered_at - reply.sent_at) / 2
            differences.append((told + timedelta(seconds=0.5) - middle).total_seconds())
    return timedelta(seconds=median(differences)) if differences else None


def date_of(reply: Reply) -> datetime | None:
    """Return the time in an answer's Date header, which names the second that has begun."""
    try:
        told = parsedate_to_datetime(reply.headers["date"])
    except (KeyError, ValueError):
        return None
    return told if told.tzinfo else told.replace(tzinfo=UTC)
