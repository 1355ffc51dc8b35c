"""A job that another task, or this one, has sent for the same: its result is handed on, and nothing is paid."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.segmind.identifiers import canonical_id
from airflow_provider_kling.submission import messages
from airflow_provider_kling.submission.former_jobs import paid_before
from airflow_provider_kling.submission.policy import ORPHAN_GRACE, next_search
from airflow_provider_kling.submission.steps import (
    AskKept,
    AskReusable,
    Log,
    Pause,
    Reusable,
    SaveRecord,
    Step,
    TwinError,
)

if TYPE_CHECKING:
    from collections.abc import Generator

    from airflow_provider_kling.submission.record import Record
    from airflow_provider_kling.submission.submission import Submission

#: Seconds between the looks for the job of a task that is about to send it, and how long ago that was: usually it has
#: one within a second. Later the task waits in the triggerer.
LOOKS, JUST_NOW = (0.5, 1.0, 2.0, 4.0), timedelta(seconds=10)


def reused(
    submission: Submission, previous: Record | None, *, gone: bool
) -> Generator[Step, Any, Record | frozenset[str]]:
    """
    Return the record of a job that makes or made the same; if a new one has to be sent, the jobs that cannot be used.

    :param gone: whether the previous record's intent is known to have led to no job.
    :raises TwinError: another task is about to send the same, and it is not known yet whether a job comes of it.
    """
    failed = submission.instead_of
    unusable: frozenset[str] = frozenset() if failed is None else frozenset({canonical_id(failed)})
    looks = 0
    while True:
        found: Reusable | None = yield AskReusable(unusable)
        if found is None:
            return unusable
        if found.request_id is None:
            asked = submission.clock()
            if looks == len(LOOKS) or asked - found.intended_at > JUST_NOW:
                again = next_search(found.intended_at, asked, found.intended_at + ORPHAN_GRACE, submission.clock)
                raise TwinError(messages.TWIN, look_again_at=again or asked.isoformat())
            yield Pause(LOOKS[looks])
            looks += 1
        elif found.is_done and not (yield AskKept(found.request_id)):
            yield Log("info", messages.file_gone(found.request_id))
            unusable = unusable | {found.request_id}
        else:
            return (yield from _taken(submission, previous, found, found.request_id, gone=gone))


def _taken(
    submission: Submission, previous: Record | None, found: Reusable, request_id: str, *, gone: bool
) -> Generator[Step, Any, Record]:
    job, cost = canonical_id(request_id), 0.0
    if previous is not None and previous.is_of(request_id):  # its own bill still counts
        cost = previous.former_cost
    else:
        previous, cost = yield from paid_before(submission, previous, gone=gone)
    jobs, ordered = ((), ()) if previous is None else (previous.jobs, previous.ordered)
    intent = submission.intent(
        former=tuple(former for former in jobs if former != job), former_cost=cost, ordered=(*ordered, job)
    )
    record = intent.model_copy(
        update={
            "request_id": request_id,
            "accepted_at": found.accepted_at or intent.intended_at,
            "reused": True,
            # Its own job's bill is in its row; another task's job costs this one nothing.
            "cost": None if found.own else 0.0,
        }
    )
    yield SaveRecord(record)
    yield Log("info", messages.reused(found))
    return record
