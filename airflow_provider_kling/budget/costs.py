"""What the jobs of a run cost: the bill where it is known, else the most that may still be billed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from airflow_provider_kling.segmind.identifiers import canonical_id
from airflow_provider_kling.segmind.money import Dollars, dollars
from airflow_provider_kling.segmind.sanitize import Text
from airflow_provider_kling.segmind.schemas import JobStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from airflow_provider_kling.segmind.schemas import Status
    from airflow_provider_kling.submission.record import Claim, Record

#: A finished job's reported cost is not used if it is so many times below what the job may cost.
MOST_BELOW = 100


class Bill(BaseModel):
    """
    What a finished job cost, as the task that waited for it reports.

    :param cost: in US dollars; None where Segmind does not say. A FAILED job that was not charged costs 0.
    """

    model_config = ConfigDict(frozen=True)

    request_id: Text
    model: Text | None = None
    cost: Dollars | None = None
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Spent:
    """
    What the jobs of a run cost, in US dollars.

    :param billed: the jobs with a known bill, and a cleared task's earlier jobs.
    :param in_flight: the other jobs, at most.
    :param unpriced: the tasks with a job of unknown cost.
    """

    billed: float = 0.0
    billed_jobs: int = 0
    in_flight: float = 0.0
    in_flight_jobs: int = 0
    unpriced: tuple[Claim, ...] = ()

    @property
    def total(self) -> float:
        """What has been billed or may be."""
        return self.billed + self.in_flight

    def __str__(self) -> str:
        return (
            f"{dollars(self.billed)} is billed ({_jobs(self.billed_jobs)}), up to {dollars(self.in_flight)} is in "
            f"flight ({_jobs(self.in_flight_jobs)})"
        )


def is_asking(record: Record) -> bool:
    """Whether the submission has shown its intent but has no answer yet; it may never be sent."""
    return record.request_id is None and not record.unclear


def tally(claims: Iterable[Claim], bills: Mapping[str, Bill], prices: Mapping[str, float]) -> Spent:
    """Add up what the jobs of some claims cost or may cost."""
    billed = in_flight = 0.0
    billed_jobs = in_flight_jobs = 0
    unpriced = []
    for claim in claims:
        record = claim.record
        billed += record.former_cost
        billed_jobs += len(record.former)
        cost = cost_of(record, bills)
        high = prices.get(record.model) if record.high is None else record.high
        if cost is not None:
            billed += cost
            billed_jobs += 1
        elif record.has_no_job:
            continue
        elif high is None:
            unpriced.append(claim)
        else:
            in_flight += high
            in_flight_jobs += 1
    return Spent(billed, billed_jobs, in_flight, in_flight_jobs, tuple(unpriced))


def former_cost(record: Record | None, bills: Mapping[str, Bill], *, gone: bool) -> float:
    """
    Return what a task's earlier jobs in this run cost, for when it submits a new one.

    :param gone: whether the record's intent is known to have led to no job.
    """
    if record is None:
        return 0.0
    cost = 0.0 if gone else cost_of(record, bills)
    return record.former_cost + ((record.high or 0.0) if cost is None else cost)


def cost_of(record: Record, bills: Mapping[str, Bill]) -> float | None:
    """Return what a task's job was billed: from its bill, or from the record if a clear has deleted the bill."""
    if record.request_id is None:
        return None
    if record.reused and record.cost is not None:  # the task that sent it has its bill
        return record.cost
    bill = bills.get(canonical_id(record.request_id))
    if bill is None or bill.cost is None:
        return record.cost
    # What Segmind reports is not proof: next to nothing for a job that is done would open the budget.
    return None if not bill.failed and bill.cost < (record.high or 0.0) / MOST_BELOW else bill.cost


def bill_of(request_id: str, model: str | None, job: Status) -> Bill:
    """Return a job's bill as Segmind reports it; a FAILED job costs nothing unless a cost is given."""
    failed = job.status is JobStatus.FAILED
    known = job.metrics.cost if job.status.is_terminal else None
    return Bill(request_id=request_id, model=model, cost=known or 0.0 if failed else known, failed=failed)


def read_bills(published: Iterable[Any]) -> dict[str, Bill]:
    """Return the bills by request id; values that are not bills are skipped."""
    bills = {}
    for value in published:
        try:
            bill = Bill.model_validate(value)
        except ValueError:
            continue
        bills[canonical_id(bill.request_id)] = bill
    return bills


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count} jobs"
