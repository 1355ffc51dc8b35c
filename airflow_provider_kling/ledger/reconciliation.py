"""Holds the ledger against Segmind's request history, and adds what only the history knows of the ledger's jobs."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from sqlalchemy import select

from airflow_provider_kling.ledger.generations import COMPLETED, FAILED
from airflow_provider_kling.ledger.results import JobLedger
from airflow_provider_kling.ledger.schema import check
from airflow_provider_kling.ledger.tables import generations
from airflow_provider_kling.segmind.clock import LATEST_ROW
from airflow_provider_kling.segmind.errors import SegmindRequestNotFoundError
from airflow_provider_kling.segmind.history import created_at
from airflow_provider_kling.segmind.identifiers import canonical_id
from airflow_provider_kling.segmind.schemas import JobStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_kling.ledger.database import Database
    from airflow_provider_kling.segmind.history import HistoryRow
    from airflow_provider_kling.segmind.schemas import Result

_t = generations.c
#: US dollars by which two figures may differ and be the same: the history may round.
CENT = 0.005


class ReadsHistory(Protocol):
    """Segmind, as far as it is asked here."""

    def find_requests(
        self, *, model: str | None, since: datetime, until: datetime | None = None
    ) -> Sequence[HistoryRow]:
        """Return the account's jobs of a time; of all models, if none is named."""

    def find_request(self, request_id: str) -> Result:
        """Return what the history says of a job."""


@dataclass(frozen=True, slots=True)
class Difference:
    """
    A job of which the two say different things.

    :param what: what is different, in words.
    :param cost: US dollars, where they are known.
    """

    request_id: str
    model: str
    at: datetime | None
    cost: float | None
    what: str


@dataclass(slots=True)
class Reconciliation:
    """
    What came of it.

    :param jobs: how many jobs both know.
    :param added: of how many the end was added to the ledger.
    :param differences: what is left for a person to look at.
    """

    jobs: int = 0
    added: int = 0
    differences: list[Difference] = field(default_factory=list)


def reconcile(
    database: Database, segmind: ReadsHistory, host: str, since: datetime, until: datetime, log: Any
) -> Reconciliation:
    """
    Compare the jobs of a time, and add to the ledger the ends that it does not know.

    :param host: of the API: a ledger may hold jobs of several.
    :param since: the first moment.
    :param until: the first moment after it.
    :raises SegmindError: the history or the ledger cannot be read.
    """
    check(database)
    past = {canonical_id(row.request_id): row for row in segmind.find_requests(model=None, since=since, until=until)}
    past.pop(canonical_id(""), None)
    with database.reading() as connection:
        columns = (_t.request_id, _t.model, _t.state, _t.cost, _t.intended_at)
        of_host = (_t.host == host, _t.request_id.is_not(None))
        in_time = (_t.intended_at >= since, _t.intended_at < until)
        known = {row.request_id: row for row in connection.execute(select(*columns).where(*of_host, *in_time))}
        # A job may have been intended just before the time, and be created in it.
        others = {
            job
            for job in past.keys() - known.keys()
            if connection.execute(select(_t.id).where(*of_host, _t.request_id == job)).first() is not None
        }
    found = Reconciliation(jobs=len(past.keys() & known.keys()))
    for job in sorted(past.keys() - known.keys() - others):
        row = past[job]
        found.differences.append(
            Difference(job, row.model_name or "", created_at(row), row.cost, "only Segmind knows it")
        )
    for job in sorted(known.keys() - past.keys()):
        own = known[job]
        if datetime.now(tz=UTC) - own.intended_at > LATEST_ROW and not _is_past(segmind, job):
            found.differences.append(Difference(job, own.model, own.intended_at, own.cost, "only the ledger knows it"))
    for job in sorted(known.keys() & past.keys()):
        _compare(found, known[job], past[job], JobLedger(database, host, job, log), segmind)
    return found


def _is_past(segmind: ReadsHistory, job: str) -> bool:
    """Whether the history knows a job that its pages have not shown."""
    try:
        segmind.find_request(job)
    except SegmindRequestNotFoundError:
        return False
    return True


def _compare(found: Reconciliation, known: Any, past: HistoryRow, ledger: JobLedger, segmind: ReadsHistory) -> None:
    """Add the end of a job that the ledger takes for running; name bills that differ."""
    over = known.state in {COMPLETED, FAILED}
    if not over and past.state is JobStatus.COMPLETED:
        ledger.completed(segmind.find_request(known.request_id))
        found.added += 1
    elif not over and past.state is JobStatus.FAILED:
        ledger.failed(past.cost or 0.0)
        found.added += 1
    elif over and past.cost is not None and abs((known.cost or 0.0) - past.cost) > CENT:
        what = f"Segmind has billed ${past.cost:g}, the ledger says ${known.cost or 0.0:g}"
        found.differences.append(Difference(known.request_id, known.model, known.intended_at, past.cost, what))
