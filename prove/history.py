"""
Segmind's side: the jobs that it has accepted, and how its request history tells of them.

The hook's own reading of the history is used: which days it asks for, when it stops, and which rows it drops.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from airflow_provider_kling.hooks.segmind import SegmindHook
from airflow_provider_kling.segmind import protocol
from airflow_provider_kling.segmind.history import HistoryPage, HistoryRow
from prove.assumptions import MODEL, moment

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_provider_kling.segmind.call import Call

Form = Literal["as sent", "as text", "with defaults", "cut", "evened", "local time", "no time", "no id"]


class Job(NamedTuple):
    """
    An accepted job.

    :param request_id: names the task that sent it, and which of its jobs it is.
    :param task: the number of that task.
    :param sent_at: the intent's time as messages write it.
    :param account: who pays.
    :param created: when it was accepted, microseconds.
    :param row_at: from when on the history shows it.
    """

    request_id: str
    task: int
    prompt: str
    sent_at: str
    account: str
    created: int
    row_at: int


@dataclass(frozen=True, slots=True)
class Habits:
    """
    How the history writes what it knows.

    :param form: of each row.
    :param ahead: microseconds that Segmind's clock is ahead of the true time.
    :param hours_east: of the zone in whose days it counts, and whose local time it writes where it writes that.
    :param last_day: whether the last day that is asked for is answered.
    :param newest_first: whether rows come in the order that was asked for.
    """

    form: Form = "as sent"
    ahead: int = 0
    hours_east: int = 0
    last_day: bool = True
    newest_first: bool = True


def parameters(prompt: str) -> dict[str, Any]:
    """Return a payload."""
    return {"prompt": prompt, "duration": 5}


class _Reader(SegmindHook):
    """
    The hook, whose requests are answered by the model.

    :param latest_day: the last day of a request that ends in the worker's present, in place of the real one.
    """

    def __init__(self, jobs: tuple[Job, ...], habits: Habits, latest_day: date) -> None:
        super().__init__()  # no connection is looked up before something is sent
        self.jobs = jobs
        self.habits = habits
        self.latest_day = latest_day

    def _send(self, call: Call[Any], **_: Any) -> Any:
        first, last = (date.fromisoformat(call.query[name]) for name in ("from_date", "to_date"))
        last = min(last, self.latest_day)
        if not self.habits.last_day:
            last -= timedelta(days=1)
        zone = timedelta(hours=self.habits.hours_east)
        jobs = [job for job in self.jobs if first <= (self._created(job) + zone).date() <= last]
        jobs.sort(key=lambda job: (job.created, job.request_id), reverse=self.habits.newest_first)
        return HistoryPage(rows=tuple(self._row(job) for job in jobs) if call.query["page"] == "1" else ())

    def _created(self, job: Job) -> datetime:
        return moment(job.created + self.habits.ahead)

    def _row(self, job: Job) -> HistoryRow:
        form = self.habits.form
        body: dict[str, Any] = parameters(job.prompt)
        created: datetime | None = self._created(job)
        if form == "as text":
            body["duration"] = "5"
        elif form == "with defaults":
            body["mode"] = "std"
        elif form == "cut":
            body["prompt"] = f"{job.prompt[:50]}..."
        elif form == "evened":
            body["prompt"] = job.prompt.replace("'", "’").replace("  ", " ")  # noqa: RUF001 is what is meant
        elif form == "local time" and created is not None:
            created = (created + timedelta(hours=self.habits.hours_east)).replace(tzinfo=None)
        elif form == "no time":
            created = None
        return HistoryRow.model_validate(
            {
                "request_id": "" if form == "no id" else job.request_id.replace("-", ""),
                "model_name": MODEL,
                "model_status": "COMPLETED",
                "request_body": repr(body),
                "model_created": created,
            }
        )


@lru_cache(maxsize=50_000)
def _found(
    jobs: tuple[Job, ...], habits: Habits, since: datetime, until: datetime, latest_day: date
) -> tuple[HistoryRow, ...]:
    return tuple(_Reader(jobs, habits, latest_day).find_requests(model=MODEL, since=since, until=until))


def look(
    jobs: tuple[Job, ...], habits: Habits, *, present: datetime, since: datetime, until: datetime
) -> list[HistoryRow]:
    """
    Return what the hook reads of the history.

    :param jobs: those that the history shows.
    :param present: by the worker's clock; the hook asks for nothing after it.
    """
    asked = protocol.history(model=MODEL, since=since, until=max(since, min(until, present)))
    return list(_found(jobs, habits, since, until, date.fromisoformat(asked.query["to_date"])))
