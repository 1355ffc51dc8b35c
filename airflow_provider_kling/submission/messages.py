"""
The messages about a submission that did not simply succeed.

Whoever reads only the last line of a failed task's log learns what may be paid, what still runs, and
what a retry or clearing the task will do.
"""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

from airflow_provider_kling.segmind.errors import (
    SegmindAmbiguousSubmitError,
    SegmindError,
    SegmindUnresolvedSubmitError,
)
from airflow_provider_kling.segmind.history import created_at
from airflow_provider_kling.segmind.identifiers import canonical_id
from airflow_provider_kling.segmind.sanitize import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from airflow_provider_kling.segmind.history import HistoryRow
    from airflow_provider_kling.submission.record import Claim, Record
    from airflow_provider_kling.submission.steps import Reusable
    from airflow_provider_kling.submission.submission import Submission

#: Rows shown in a message.
_ROWS_SHOWN = 5


def searching(intent: Record) -> str:
    """Return the log's line before the history is searched."""
    return f"{_what(intent)}: searching for it in Segmind's request history; nothing is sent meanwhile."


def unclear(submission: Submission, intent: Record, finding: str, over: datetime) -> SegmindAmbiguousSubmitError:
    """
    Return the error for a submit that may or may not have been accepted.

    :param over: from when on a job that the history does not show counts as none.
    """
    return SegmindAmbiguousSubmitError(
        f"{_what(intent)}: {finding}. At most one job runs and is billed{_price(intent)}; nothing more was "
        f"sent. {_next(submission, over)}"
    )


def history_unread(submission: Submission, intent: Record, error: SegmindError, over: datetime) -> SegmindError:
    """Return the error for a history that cannot be read, which is no reason to guess."""
    error_class = SegmindAmbiguousSubmitError if error.retryable else SegmindUnresolvedSubmitError
    first = "" if error.retryable else "Correct that first. "
    return error_class(
        f"{_what(intent)}, and Segmind's request history cannot be read: {error} At most one job runs and "
        f"is billed{_price(intent)}; nothing more was sent. {first}{_next(submission, over)}",
        status_code=error.status_code,
        body=error.body,
    )


def submitting(intent: Record) -> str:
    """Return the line before the POST, which is the log's last one if the task's process is killed."""
    return (
        f"Submitting {intent.model}{_price(intent)}. If nothing follows here, a job may run and be billed: a retry, "
        "or clearing this task, searches for it and sends no second one."
    )


def unresolved(intent: Record, candidates: tuple[HistoryRow, ...]) -> SegmindUnresolvedSubmitError:
    """Return the error for several jobs in the history, one of which may be this task's."""
    return SegmindUnresolvedSubmitError(
        f"{_what(intent)}: {len(candidates)} job(s) in Segmind's request history may be it, and each is "
        f"billed if it completes: {rows(candidates)}. Nothing more was sent. Set adopt_request_id to the one that "
        f"this task should take and clear the task; clearing it without that searches again.",
        candidates=[canonical_id(row.request_id) for row in candidates if row.request_id],
    )


def undecided(intent: Record, finding: str) -> SegmindUnresolvedSubmitError:
    """Return the error for what should have been known long ago, and is not."""
    return SegmindUnresolvedSubmitError(
        f"{_what(intent)}, and it is still not known: {finding}. At most one job runs and is billed{_price(intent)}; "
        "nothing more was sent. Clear this task once that is over, and it searches again; or set adopt_request_id to "
        "the job that it should take, and clear it."
    )


def orphaned(submission: Submission, intent: Record) -> SegmindUnresolvedSubmitError:
    """Return the error for an intent without a job if the user wants to decide."""
    return SegmindUnresolvedSubmitError(
        f"{_what(intent)}: Segmind's request history shows no job after {_minutes(submission)}, and "
        'on_orphaned_intent is "fail". Nothing runs as far as the history shows, and nothing more was sent. Set '
        'on_orphaned_intent="submit" to submit it again, or adopt_request_id to take a job you found, and clear the '
        "task; clearing it without that searches again."
    )


def lost(submission: Submission, intent: Record) -> SegmindUnresolvedSubmitError:
    """Return the error for one submit without an answer too many."""
    return SegmindUnresolvedSubmitError(
        f"{_what(intent)}: {intent.lost + 1} submits in a row had no answer, and Segmind's request history shows no "
        f"job of this one after {_minutes(submission)}. Something between here and Segmind loses answers, so that each "
        "of them may be billed all the same: look at the balance and at Segmind's own pages. Then clear the task to "
        "submit again, or set adopt_request_id to take a job you found."
    )


def unrecorded(request_id: str, reason: Exception) -> SegmindAmbiguousSubmitError:
    """Return the error for an accepted job with an id that Airflow did not save."""
    return SegmindAmbiguousSubmitError(
        f"Request {request_id} was accepted, runs and is billed if it completes, but Airflow could not store its id "
        f"({one_line(reason)}). A retry, or clearing this task, finds it in Segmind's request history and sends "
        "nothing.",
        request_id=request_id,
    )


def undelivered(request_id: str | None, reason: Exception) -> SegmindError:
    """Return the error for an accepted job with an id that could not be delivered."""
    return SegmindError(
        f"Request {request_id} was accepted, runs and is billed if it completes, but its id could not be pushed to "
        f"XCom ({one_line(reason)}). A retry, or clearing this task, adopts it and sends nothing.",
        request_id=request_id,
    )


def cut_short(reason: str) -> str:
    """Return the line about an attempt that Airflow failed or ended before it was done."""
    return (
        f"Airflow cut this attempt short ({reason}). If its submit, or an earlier one, was accepted, the job runs and "
        "is billed once. A retry, or clearing this task, searches for it before anything is sent."
    )


def abandoned(record: Record) -> str:
    """Return the log's line about a job that is no longer wanted."""
    if record.request_id is None:
        job = f"the submit of {record.model} at {_time(record.intended_at)}, if it was accepted,"
    else:
        job = f"request {record.request_id} ({record.model}, submitted {_time(record.intended_at)})"
    return (
        f"The payload, the model, the key or the account has changed since an earlier attempt: {job} is abandoned. "
        f"It runs to its end and is billed{_price(record)} if it completes; Segmind's request history shows it."
    )


def ordered(request_id: str) -> str:
    """Return the log's line about a job that is taken because of ``adopt_request_id``."""
    return (
        f"adopt_request_id: request {request_id} is taken, as ordered; nothing is sent. Remove adopt_request_id once "
        "this task has succeeded: any other task that reads it takes the same job."
    )


#: Why a task waits that would send what another one is about to send.
TWIN = "reuse: another task is about to submit the same; this one waits for what comes of it, and sends nothing yet."


def reused(found: Reusable) -> str:
    """Return the log's line about a job that is used again."""
    made = "has made" if found.is_done else "makes"
    return f"reuse: request {found.request_id} {made} the same; nothing is sent or paid."


def file_gone(request_id: str) -> str:
    """Return the log's line about a result that cannot be used again."""
    return f"reuse: request {request_id} made the same, but its file is gone; it is made again."


def replaced(record: Record, request_id: str) -> str:
    """Return the log's line about a job that the user has replaced by another one."""
    if record.request_id is None:
        return (
            f"{_what(record)}; request {request_id} is taken for its job. If it is not, that job is left behind: it "
            f"runs to its end and is billed{_price(record)} if it completes; Segmind's request history shows it."
        )
    return (
        f"Request {record.request_id} ({record.model}, submitted {_time(record.intended_at)}), which this task had, is "
        f"left behind: it runs to its end and is billed{_price(record)} if it completes."
    )


def left_behind(record: Record) -> str:
    """Return what follows a refusal of this attempt's files, if an earlier attempt has submitted."""
    if record.request_id is None:
        job = f"An earlier attempt's submit of {record.model} at {_time(record.intended_at)} may have been accepted"
    else:
        job = f"Request {record.request_id} of an earlier attempt was accepted"
    return (
        f"{job} and is billed{_price(record)} if it completes: clearing this task with the "
        "payload and the files as they were adopts it, and adopt_request_id takes it whatever they are."
    )


def owner_unread(record: Record, error: SegmindError, look_again_at: str | None) -> SegmindError:
    """Return the error for a changed key if the history does not show whether the account has changed, too."""
    told = (
        f"Request {record.request_id} was submitted with another API key or host, and Segmind's request history cannot "
        f"be read to see whether it is of the same account: {error} It runs and is billed{_price(record)} if it "
        "completes; nothing was sent. A retry, or clearing this task, searches again."
    )
    if not error.retryable:
        return SegmindUnresolvedSubmitError(told, request_id=record.request_id, status_code=error.status_code)
    return SegmindAmbiguousSubmitError(
        told, request_id=record.request_id, status_code=error.status_code, look_again_at=look_again_at
    )


def owner_unknown(record: Record, over: datetime, look_again_at: str | None) -> SegmindAmbiguousSubmitError:
    """Return the error for a changed key if the history does not show the job yet."""
    return SegmindAmbiguousSubmitError(
        f"Request {record.request_id} was submitted with another API key or host, and this account's request history "
        f"does not show it yet. It is billed{_price(record)} if it completes; nothing was sent. A retry, or clearing "
        "this task, searches again: if the job is there it takes it; if it is not, it is another account's, and a new "
        f"one is submitted from {_time(over)} on.",
        request_id=record.request_id,
        look_again_at=look_again_at,
    )


def found(record: Record, row: HistoryRow) -> str:
    """Return the log's line about a job that the history shows."""
    return (
        f"Request {record.request_id} is in Segmind's request history ({_row(row)}): it is this task's job and is "
        "adopted; nothing is sent."
    )


def called(submission: Submission, claim: Claim) -> str:
    """Return what another task is called, in this run or another one."""
    return claim.task if claim.run == submission.run else f"{claim.task} in the run {claim.run}"


def rows(found_rows: Iterable[HistoryRow]) -> str:
    """Return rows of the history as a person compares them."""
    shown = [f"{canonical_id(row.request_id) or 'one without an id'} ({_row(row)})" for row in found_rows]
    more = f" and {len(shown) - _ROWS_SHOWN} more" if len(shown) > _ROWS_SHOWN else ""
    return ", ".join(shown[:_ROWS_SHOWN]) + more


def _what(intent: Record) -> str:
    if intent.refused:
        return (
            f"The submit of {intent.model} at {_time(intent.intended_at)} was refused, but a gateway may also refuse "
            "what was accepted"
        )
    return f"Whether the submit of {intent.model} at {_time(intent.intended_at)} was accepted is unknown"


def _next(submission: Submission, over: datetime) -> str:
    """Say what a retry and clearing the task will do."""
    anew = "fails" if submission.on_orphaned_intent == "fail" else "submits it again"
    return (
        "A retry, or clearing this task, searches the history again: if the job is there it takes it and "
        f"sends nothing; if it is not, it {anew} from {_time(over)} on."
    )


def _row(row: HistoryRow) -> str:
    created = created_at(row)
    facts = [
        one_line(row.status or "status unknown"),
        "time unknown" if created is None else f"created {_time(created)}",
    ]
    if row.cost:
        facts.append(f"${row.cost:.3f}")
    return ", ".join(facts)


def _price(record: Record) -> str:
    return f" (price: {record.price})" if record.price else ""


def _minutes(submission: Submission) -> str:
    return f"{submission.grace.total_seconds() / 60:g} min"


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
