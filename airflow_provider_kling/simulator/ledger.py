"""What the account was charged for: the list that tests of money count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_kling.simulator.jobs import Books


def ledger(books: Books, base: str) -> dict[str, Any]:
    """List every accepted job with its cost, oldest first, and the totals."""
    books.settle()
    now = books.clock.now()
    rows = [
        {
            "request_id": job.request_id,
            "model": job.model.slug,
            "status": str(job.status(now)),
            "cost_reserved": job.reserved if job.finished_at is None else 0.0,
            "cost_billed": job.billed,
            "submitted_at": job.submitted_at,
            "finished_at": job.finished_at,
            "url": base + job.path if job.path else None,
            "inputs": dict(job.inputs),
        }
        for job in books.jobs.values()
    ]
    return {
        "jobs": rows,
        "accepted": len(rows),
        "billed": round(sum(job.billed for job in books.jobs.values()), 6),
        "reserved": round(books.credits - books.available, 6),
        "remaining_credits": books.available,
    }
