"""The request history as Segmind returns it: its rows, and what a row says about a job and its time."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import AliasChoices, ConfigDict, Field, field_validator, model_validator

from airflow_provider_kling.segmind.addresses import is_link
from airflow_provider_kling.segmind.identifiers import canonical_id, is_request_id, is_slug
from airflow_provider_kling.segmind.sanitize import read_json, read_literal
from airflow_provider_kling.segmind.schemas import JobStatus, Result, Schema, SideCost, SideText, SideTime

#: Most rows in one answer: several times as many as are requested.
MOST_ROWS = 500
#: Most characters of a job's parameters in a row, and most values in them: no model has more than about a hundred.
LONGEST_BODY, MOST_BODY_VALUES = 64 * 1024, 2000
#: Most characters if they are a Python literal, which takes long to parse.
LONGEST_LITERAL_BODY = 16 * 1024
#: How far a local time may be ahead of UTC, and behind it.
_EASTERNMOST, _WESTERNMOST = timedelta(hours=14), timedelta(hours=12)
#: The terminal states; a job in any other state still runs.
_PAST_STATES = {
    "COMPLETED": JobStatus.COMPLETED,
    **dict.fromkeys(("FAILED", "ERROR", "CANCELLED", "CANCELED", "TIMEOUT", "REJECTED"), JobStatus.FAILED),
}


class HistoryRow(Schema):
    """
    One row of the request history: a job of any age, running, completed or failed.

    A job with several outputs has a row for each, and every one carries the job's full cost. ``request_id`` is empty if
    the row has none: it may be a job, and does not replace another row. All other fields are left out, and ``sent`` is
    text, because thousands of rows are held at once.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)

    request_id: str = ""
    model_name: SideText = None
    status: SideText = Field(default=None, validation_alias=AliasChoices("model_status", "status"))
    cost: SideCost = Field(default=None, validation_alias=AliasChoices("credits_deduction", "cost"))
    sent: str | None = Field(default=None, validation_alias="request_body", repr=False)
    url: SideText = Field(default=None, validation_alias=AliasChoices("generation_url", "url"))
    created_at: SideTime = Field(
        default=None, validation_alias=AliasChoices("model_created", "created_at", "created", "timestamp")
    )
    error: SideText = None

    @field_validator("request_id", mode="before")
    @classmethod
    def _none_is_empty(cls, value: Any) -> Any:
        return value if isinstance(value, str) and is_request_id(value) else ""

    @field_validator("sent", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        text = json.dumps(value, default=str) if isinstance(value, dict) else value
        return text if isinstance(text, str) and len(text) <= LONGEST_BODY else None

    @field_validator("url", mode="after")
    @classmethod
    def _only_links(cls, value: str | None) -> str | None:
        return value if value is not None and is_link(value) else None

    @property
    def state(self) -> JobStatus:
        """Where the row's output stands; one with a file is COMPLETED, whatever its state is called."""
        running = JobStatus.COMPLETED if self.url else JobStatus.PROCESSING
        return _PAST_STATES.get((self.status or "").upper(), running)

    @property
    def request_body(self) -> dict[str, Any] | None:
        """
        The parameters as sent, or None where they cannot be read.

        They come as JSON, or as a Python literal: the official SDK's own test shows the latter.
        """
        text = self.sent or ""
        is_json = text.lstrip().startswith(('{"', "{}"))
        if not is_json and len(text) > LONGEST_LITERAL_BODY:
            return None
        try:
            body = (read_json if is_json else read_literal)(text, MOST_BODY_VALUES)
        except ValueError:
            return None
        return body if isinstance(body, dict) else None


class HistoryPage(Schema):
    """
    One page of the request history, or the rows of one request.

    :param size: bytes of the answer.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)

    rows: tuple[HistoryRow, ...] = Field(validation_alias=AliasChoices("data", "rows"), max_length=MOST_ROWS)
    size: int = 0

    @model_validator(mode="before")
    @classmethod
    def _any_shape(cls, answer: Any) -> Any:
        """Accept a list, an object with a list, or a single row, which may be the answer for one request."""
        if isinstance(answer, dict):
            answer = next((answer[key] for key in ("data", "rows") if key in answer), answer)
        return {"rows": [answer] if isinstance(answer, dict) else answer}

    def about(self, request_id: str) -> HistoryPage:
        """
        Return it with the rows of that request only; a row without an id counts if it names its model.

        :raises ValueError: there are rows but none of that request, which is not the same as no rows.
        """
        wanted = canonical_id(request_id)
        rows = tuple(
            row
            for row in self.rows
            if canonical_id(row.request_id) == wanted or (not row.request_id and row.model_name is not None)
        )
        if self.rows and not rows:
            raise ValueError("no row of the request in it")
        return self.model_copy(update={"rows": rows})

    def as_result(self) -> Result:
        """
        Return the rows of one request as the API's result would have been while it knew the job.

        It is over once all its outputs are, and has FAILED if all of them have.

        :raises ValueError: there is no row.
        """
        if not self.rows:
            raise ValueError("no row of the request in it")
        states = {row.state for row in self.rows}
        state = next((one for one in (JobStatus.PROCESSING, JobStatus.COMPLETED) if one in states), JobStatus.FAILED)
        costs = [row.cost for row in self.rows if row.cost is not None]
        urls = [row.url for row in self.rows if row.url]
        return Result.model_validate(
            {
                "status": state,
                "error": next((row.error for row in self.rows if row.state is JobStatus.FAILED), None),
                "output": urls[0] if len(urls) == 1 else urls or None,
                "metrics": {"cost": max(costs)} if costs else {},
            }
        )


def is_of_model(row: HistoryRow, model: str) -> bool | None:
    """Return whether a row is of a model; None if it names no valid model."""
    name = (row.model_name or "").strip()
    return name.casefold() == model.casefold() if is_slug(name) else None


def created_at(row: HistoryRow) -> datetime | None:
    """Return when the job was accepted; a time without a zone is UTC."""
    if row.created_at is None or row.created_at.tzinfo is not None:
        return row.created_at
    return row.created_at.replace(tzinfo=UTC)


def created_within(row: HistoryRow, first: datetime, last: datetime) -> bool | None:
    """
    Return whether the job was accepted between the two times; None if that is unknown.

    A time without a zone is UTC; if it does not fit as UTC, but does as a local time somewhere, it is unknown.
    """
    created = created_at(row)
    if created is None:
        return None
    if first <= created <= last:
        return True
    local = row.created_at is not None and row.created_at.tzinfo is None
    return None if local and first - _WESTERNMOST <= created <= last + _EASTERNMOST else False
