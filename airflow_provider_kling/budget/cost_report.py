"""The final cost of a run's jobs, as a table and as numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.segmind.identifiers import canonical_id
from airflow_provider_kling.segmind.money import dollars

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow_provider_kling.budget.costs import Bill
    from airflow_provider_kling.submission.record import Claim


@dataclass(frozen=True, slots=True)
class RunCost:
    """
    What a run cost.

    :param bills: of its jobs, by request id.
    :param unclear: the tasks for which it is unknown whether their submit was accepted.
    :param limit: the lowest budget of its tasks.
    """

    bills: Mapping[str, Bill]
    unclear: tuple[str, ...] = ()
    limit: float | None = None

    @property
    def total(self) -> float:
        """What is known to be billed, in US dollars."""
        return round(sum(bill.cost or 0.0 for bill in self.bills.values()), 6)

    @property
    def unknown(self) -> list[str]:
        """The jobs of unknown cost."""
        return [request_id for request_id, bill in self.bills.items() if bill.cost is None]

    def by_model(self) -> dict[str, dict[str, Any]]:
        """Return the number of jobs and their cost for each model, the most expensive first."""
        sums: dict[str, dict[str, Any]] = {}
        for bill in self.bills.values():
            row = sums.setdefault(bill.model or "unknown model", {"jobs": 0, "cost": 0.0})
            row["jobs"] += 1
            row["cost"] = round(row["cost"] + (bill.cost or 0.0), 6)
        return dict(sorted(sums.items(), key=lambda item: (-item[1]["cost"], item[0])))

    def lines(self) -> Iterator[str]:
        """Yield the log's table."""
        rows = [*self.by_model().items(), ("total", {"jobs": len(self.bills), "cost": self.total})]
        width = max(len(name) for name, _ in rows)
        yield "What the Kling jobs of this run cost:"
        for name, row in rows:
            jobs = "job " if row["jobs"] == 1 else "jobs"
            yield f"  {name:<{width}}  {row['jobs']:>4} {jobs}  {dollars(row['cost']):>9}"
        if failed := sum(bill.failed for bill in self.bills.values()):
            yield f"FAILED: {failed} of them."
        if self.unknown:
            yield f"Cost not known yet, and not in the total: {', '.join(self.unknown)}."
        if self.unclear:
            yield f"It is unknown whether these tasks have a job that is billed: {', '.join(self.unclear)}."
        if self.limit is not None:
            yield f"Budget of the run: {dollars(self.limit)}, left: {dollars(max(0.0, self.limit - self.total))}."

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as plain JSON."""
        budget = {} if self.limit is None else {"limit": self.limit, "left": round(self.limit - self.total, 6)}
        return {
            "total": self.total,
            "jobs": len(self.bills),
            "failed": sum(bill.failed for bill in self.bills.values()),
            "by_model": self.by_model(),
            "by_request": {request_id: bill.cost for request_id, bill in self.bills.items()},
            "unknown": self.unknown,
            **budget,
        }


def jobs_of(claims: Sequence[Claim]) -> dict[str, str]:
    """Return every job that the tasks have had in the run, with its model."""
    return {
        canonical_id(job): claim.record.model
        for claim in claims
        for job in (*claim.record.former, claim.record.request_id)
        if job is not None
    }


def run_cost(claims: Sequence[Claim], bills: Mapping[str, Bill], *, limit: float | None) -> RunCost:
    """
    Return what a run cost.

    :param bills: of all jobs that the claims name, and of others that the run waited for.
    """
    models = jobs_of(claims)
    named = {
        request_id: bill.model_copy(update={"model": models.get(request_id, bill.model)})
        for request_id, bill in bills.items()
    }
    unclear = tuple(claim.task for claim in claims if claim.record.request_id is None and not is_free(claim))
    return RunCost(named, unclear, limit)


def is_free(claim: Claim) -> bool:
    """Whether the claim's last intent is known to have led to no job."""
    return claim.record.void
