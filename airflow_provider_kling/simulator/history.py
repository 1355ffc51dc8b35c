"""The account's request history: how a job shows there, and what can be asked of it.

History outlives the record by far, which is what makes it the only way to look up a job whose id was lost.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.simulator.catalogue import RefusedError
from airflow_provider_kling.simulator.jobs import Books, Failure, Job, Status
from airflow_provider_kling.simulator.limits import utc

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_kling.simulator.history_habits import Habits

LONGEST_SPAN_DAYS = 31
USUAL_SPAN_DAYS = 7
LARGEST_PAGE = 100
SORTABLE = ("model_created", "model_name", "credits_deduction")


def row(job: Job, habits: Habits, base: str) -> dict[str, Any]:
    """Show a job as history does: its id without dashes, its inputs as a Python repr."""
    ended = job.finished_at is not None
    return {
        "request_id": habits.request_id(job),
        "model_name": job.model.slug,
        "model_status": str(_status(job)) if ended else "PENDING",
        "credits_deduction": job.billed,
        "request_body": repr(habits.inputs(job)),
        "generation_url": base + job.path if job.path else None,
        "latency_ms": round((job.queue_time + job.inference_time) * 1000) if ended else None,
        "model_created": habits.stamp(job.submitted_at),
        "error": job.outcome.error if ended and isinstance(job.outcome, Failure) else None,
    }


def find(books: Books, habits: Habits, text: str) -> Job | None:
    """Find a job that the history shows by now, by the id that its row carries, with or without dashes."""
    if habits.own_ids:
        return next((job for job in books.past() if habits.request_id(job) == text.replace("-", "")), None)
    job = books.find(text)
    return job if job in books.past() else None


def search(books: Books, habits: Habits, query: Mapping[str, str], base: str) -> dict[str, Any]:
    """Answer the history call: one page of rows, newest first unless asked otherwise."""
    first, last = _window(query, habits.day(books.clock.now()))
    page, per_page = _count(query, "page", 1), _count(query, "per_page", 20)
    if per_page > LARGEST_PAGE:
        raise RefusedError(400, f"per_page must be between 1 and {LARGEST_PAGE}")
    sort_by = query.get("sort_by", "model_created")
    if sort_by not in SORTABLE:
        raise RefusedError(400, f"sort_by must be one of {', '.join(SORTABLE)}")
    rows = [
        row(job, habits, base)
        for job in books.past()
        if habits.covers(job, first, last) and query.get("model_name", "") in job.model.slug
    ]
    if status := query.get("status"):
        rows = [found for found in rows if found["model_status"] == status]
    descending = query.get("sort_order", "desc") != "asc"
    shown = habits.page(rows, page, per_page, by=sort_by, descending=descending)
    return {"data": shown, "page": page, "per_page": per_page, "total": len(rows)}


def generations(books: Books, habits: Habits, query: Mapping[str, str], base: str) -> list[dict[str, Any]]:
    """List what was made, newest first; failed and running jobs are not in it."""
    wanted = query.get("model_name")
    made = [job for job in books.past() if job.path and wanted in (None, job.model.slug)]
    return [
        {
            "request_id": habits.request_id(job),
            "model_name": job.model.slug,
            "status": str(_status(job)),
            "generation_url": base + str(job.path),
            "credits_deduction": job.billed,
            "latency_ms": round((job.queue_time + job.inference_time) * 1000),
            "prompt": job.inputs.get("prompt"),
            "parameters": dict(job.inputs),
            "created_at": utc(job.submitted_at),
        }
        for job in sorted(made, key=lambda job: job.submitted_at, reverse=True)
    ]


def _status(job: Job) -> Status:
    return Status.FAILED if isinstance(job.outcome, Failure) else Status.COMPLETED


def _window(query: Mapping[str, str], today: date) -> tuple[date, date]:
    try:
        last = date.fromisoformat(query["to_date"]) if "to_date" in query else today
        first = date.fromisoformat(query["from_date"]) if "from_date" in query else last - timedelta(USUAL_SPAN_DAYS)
    except (ValueError, OverflowError):
        raise RefusedError(400, "from_date and to_date must look like YYYY-MM-DD") from None
    if first > last or (last - first).days > LONGEST_SPAN_DAYS:
        raise RefusedError(400, f"The date range must not exceed {LONGEST_SPAN_DAYS} days")
    return first, last


def _count(query: Mapping[str, str], name: str, usual: int) -> int:
    try:
        number = int(query.get(name, usual))
    except ValueError:
        number = 0
    if number < 1:
        raise RefusedError(400, f"{name} must be a positive number")
    return number
