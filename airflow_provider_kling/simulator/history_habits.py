"""How the request history behaves where nothing is published, and how else it might.

The defaults are what this project takes Segmind to do. Any other value makes a history that a client was not
written for, to see what becomes of the client, or whether somebody notices.
"""

from __future__ import annotations

import dataclasses
import math
import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_kling.simulator.jobs import Job

#: By which a history with ids of its own makes them out of the API's.
_OWN_IDS = uuid.UUID("6f1d7a52-94b1-4f0f-8a53-6d5f6b1c2e40")
#: No zone and no length is larger.
LARGEST = 10_000


class RowOrder(StrEnum):
    """In which order rows come, whatever was asked for."""

    AS_ASKED = "as_asked"
    OLDEST_FIRST = "oldest_first"
    #: Each page descends, and the next one is newer.
    MIXED_PAGES = "mixed_pages"


@dataclass(frozen=True)
class Habits:
    """What a history does with its rows.

    `row_after`: seconds of the simulator's clock from a submit until its row is there. `includes_last_day`: whether
    `to_date` is inside the span. `day_zone`: minutes east of UTC of the zone whose days the filters mean.
    `stamp_zone`: the same of the zone in whose local time rows are stamped, without naming it; None stamps in UTC
    and says so. `own_ids`: rows carry another id than the API. The rest is what happens to inputs before they are
    told: text stripped, text cut after so many characters, numbers written as text, defaults added.
    """

    row_after: float = 0.0
    order: RowOrder = RowOrder.AS_ASKED
    includes_last_day: bool = True
    day_zone: int = 0
    stamp_zone: int | None = None
    own_ids: bool = False
    strips_text: bool = False
    cuts_text_at: int | None = None
    numbers_as_text: bool = False
    adds_defaults: bool = False

    @classmethod
    def read(cls, given: Any) -> Habits:
        """Read the JSON form; ValueError says what is wrong with it."""
        known = {spec.name: spec.default for spec in dataclasses.fields(cls)}
        if not isinstance(given, dict) or not known.keys() >= given.keys():
            raise ValueError(f"history takes {', '.join(sorted(known))}; got {given!r}")
        for name, value in given.items():
            if not _fits(known[name], value):
                raise ValueError(f"history: {value!r} is no {name}")
        return cls(**{**given, "order": RowOrder(given.get("order", RowOrder.AS_ASKED))})

    def request_id(self, job: Job) -> str:
        """Write a job's id as its row does: without dashes."""
        return uuid.uuid5(_OWN_IDS, job.request_id).hex if self.own_ids else job.request_id.replace("-", "")

    def stamp(self, moment: float) -> str:
        """Write when a job was submitted."""
        if self.stamp_zone is None:
            told = datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
            return told.replace("+00:00", "Z")
        local = datetime.fromtimestamp(moment, UTC) + timedelta(minutes=self.stamp_zone)
        return local.replace(tzinfo=None).isoformat(timespec="milliseconds")

    def day(self, moment: float) -> date:
        """Tell on which day of the filters a moment is."""
        return (datetime.fromtimestamp(moment, UTC) + timedelta(minutes=self.day_zone)).date()

    def covers(self, job: Job, first: date, last: date) -> bool:
        """Tell whether a span of days includes a job."""
        day = self.day(job.submitted_at)
        return first <= day <= last if self.includes_last_day else first <= day < last

    def page(self, rows: list[dict[str, Any]], number: int, size: int, *, by: str, descending: bool) -> list[Any]:
        """Cut one page out of the rows, sorted."""
        asked = self.order is RowOrder.AS_ASKED
        ordered = sorted(rows, key=lambda row: row[by], reverse=descending and asked)
        page = ordered[(number - 1) * size : number * size]
        return page[::-1] if self.order is RowOrder.MIXED_PAGES else page

    def inputs(self, job: Job) -> dict[str, Any]:
        """Tell what a job was asked for."""
        sent: Mapping[str, Any] = job.inputs
        if self.adds_defaults:
            defaults = {row.name: row.default for row in job.model.parameters if row.default is not None}
            sent = {**sent, **{name: value for name, value in defaults.items() if name not in sent}}
        return {name: self._told(value) for name, value in sent.items()}

    def _told(self, value: Any) -> Any:
        match value:
            case str():
                return (value.strip() if self.strips_text else value)[: self.cuts_text_at]
            case int() | float() if self.numbers_as_text and not isinstance(value, bool):
                return str(value)
            case list():
                return [self._told(item) for item in value]
            case dict():
                return {name: self._told(item) for name, item in value.items()}
            case _:
                return value


def _fits(usual: Any, value: Any) -> bool:
    """Tell whether a value can stand in the place of a default: a number is no truth, and a length is not negative."""
    match usual:
        case bool():
            return isinstance(value, bool)
        case str():
            return isinstance(value, str) and value in set(RowOrder)
        case float():
            return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf
        case _:
            whole = isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST
            return whole or (value is None and usual is None)
