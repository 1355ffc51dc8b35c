"""
One attempt at a submission, paid once: what it does, given what earlier attempts and sibling tasks have left.

Segmind has no idempotency key: each accepted POST is billed. So a record outlives the attempt, and what the record does
not show is searched for in Segmind's request history. The protocol is written once, as a generator of steps; its driver
does the I/O. So an attempt can end between any two steps, as when a worker dies, and as in the tests.

What must not be relaxed:

* The intent is saved before the POST, the request id immediately after it; everything else comes later.
* The fingerprint never includes the try number: a retry must recognise its predecessor's job. Nor does it include the
  key: a key may be rotated while a job runs. The history shows whether a job is another account's.
* A job is delivered when Airflow has marked its task as success, and not before: the next attempt takes the job of one
  that failed or died, however it failed.
* A record that cannot be read is an error, never "no record". So is a history that cannot be read.
* An attempt sends at most one POST. An intent without a request id may be a running job: another POST is sent only when
  the grace period has passed and the history does not show the job.
* A job is adopted by one task only: of the tasks that want the same, by the first.
* A file is identified by its content, in the fingerprint too. The addresses of its uploads are in the record, with the
  intent; without them, no row of the history is certain.
* What could leave a paid job without its file is found before the intent is saved, and does not stop an adoption.
* Cost limits are checked before the intent is saved; a job that is adopted is already paid and never refused.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.segmind.errors import KlingBudgetExceededError, SegmindAmbiguousSubmitError, SegmindError
from airflow_provider_kling.segmind.identifiers import canonical_id
from airflow_provider_kling.segmind.placeholders import has_placeholders, links_in
from airflow_provider_kling.submission import messages
from airflow_provider_kling.submission.adoption import adopt_ordered, is_own
from airflow_provider_kling.submission.former_jobs import paid_before
from airflow_provider_kling.submission.history_match import Sent, matches
from airflow_provider_kling.submission.record import MOST_REFUSALS, Record, read_record
from airflow_provider_kling.submission.reservation import reserve
from airflow_provider_kling.submission.reuse import reused
from airflow_provider_kling.submission.search import other_claims, search
from airflow_provider_kling.submission.steps import (
    CheckPlace,
    DeleteRecord,
    Deliver,
    LoadRecord,
    Log,
    MadeElsewhereError,
    Post,
    Publish,
    SaveRecord,
    SearchHistory,
    Step,
    Upload,
    Withdraw,
)

if TYPE_CHECKING:
    from collections.abc import Generator

    from airflow_provider_kling.segmind.history import HistoryRow
    from airflow_provider_kling.segmind.schemas import Receipt
    from airflow_provider_kling.submission.submission import Submission


def attempt(submission: Submission) -> Generator[Step, Any, Record]:
    """
    Run the attempt; return the record of the accepted job.

    :raises SegmindAmbiguousSubmitError: it is not known yet whether a job runs; a retry searches again.
    :raises SegmindUnresolvedSubmitError: a person has to say which job it is.
    :raises SegmindError: refused or never sent.
    """
    record = read_record((yield LoadRecord()))
    if record is not None:  # Airflow has deleted what earlier attempts published, and siblings need it
        yield Publish(submission.claim(record.as_left()))
    accepted = yield from _accepted(submission, record)
    try:
        yield Deliver(submission.claim(accepted), accepted.accepted_at or accepted.intended_at)
    except Exception as exc:
        raise messages.undelivered(accepted.request_id, exc) from exc
    return accepted


def _accepted(submission: Submission, record: Record | None) -> Generator[Step, Any, Record]:
    """Return the record of the job that is wanted: adopted, found or submitted now."""
    if submission.adopt is not None:
        return (yield from adopt_ordered(submission, submission.adopt, record))
    failed = submission.instead_of
    if failed is not None and (record is None or record.is_of(failed)):
        yield Log("info", f"Request {failed} FAILED at no cost: a new one is wanted in its place.")
        before = record or submission.intent()
        return (yield from _post(submission, before.model_copy(update={"request_id": failed})))
    if record is None:
        seen = (yield from _made_before(submission)) if submission.forgotten else ()
        return (yield from _post(submission, None, seen=seen))
    if record.fingerprint != submission.fingerprint:
        return (yield from _abandon(submission, record))
    if record.request_id is None:
        return (yield from _resolved(submission, record))
    return (yield from _continued(submission, record, record.request_id))


def _made_before(submission: Submission) -> Generator[Step, Any, tuple[str, ...]]:
    """Return the jobs in the history that could be mistaken for one that is submitted now."""
    window = submission.window(submission.intent())
    try:
        rows: list[HistoryRow] = yield SearchHistory(window.first, window.last)
    except SegmindError as error:
        yield Log("warning", f"Jobs that this task had before it was cleared could not be read: {error}")
        return ()
    there = matches(Sent(submission.model, submission.payload, [window]), rows)
    return tuple(canonical_id(row.request_id) for row in (*there.certain, *there.possible) if row.request_id)


def _resolved(submission: Submission, intent: Record) -> Generator[Step, Any, Record]:
    """Find out what became of an intent without a request id; submit again if nothing did."""
    found = yield from search(submission, intent)
    if found is not None:
        return found
    if intent.account != submission.account:  # its job may be on an account that this key does not show
        return (yield from _abandon(submission, intent))
    return (yield from _post(submission, intent, gone=True))


def _continued(submission: Submission, record: Record, request_id: str) -> Generator[Step, Any, Record]:
    """Continue from an accepted job: adopt it, or submit another one if the task is done with it."""
    # While this task was restarting, its claim was gone, and a sibling may have taken the job. Then the sibling's own
    # job is left for this task, even if it was cleared and would submit again. A task that took the job by
    # adopt_request_id has left none.
    others = yield from other_claims(submission, leave_out=True)  # a job with a known id does not wait for that
    job = canonical_id(request_id)
    takers = [claim for claim in others if job in claim.record.jobs and job not in claim.record.ordered]
    if record.reused:  # it is another task's as well
        takers = []
    if takers:
        return (yield from _resolved(submission, record.without_job(takers)))
    if record.closed:
        yield Log("info", f"The task was cleared after request {record.request_id}: a new one is wanted.")
        return (yield from _post(submission, record))
    if record.account != submission.account:
        if not (yield from is_own(submission, record, request_id)):
            return (yield from _abandon(submission, record))
        record = record.model_copy(update={"account": submission.account})
        yield SaveRecord(record)
    if record.reused and submission.reuses:  # its file may be gone by now
        return (yield from _post(submission, record))
    yield Log("info", f"Request {request_id} of an earlier attempt is adopted; nothing is sent.")
    return record


def _abandon(submission: Submission, record: Record) -> Generator[Step, Any, Record]:
    """Submit what is wanted now, and log the job that is no longer wanted."""
    if not record.closed:
        yield Log("warning", messages.abandoned(record))
    return (yield from _post(submission, record))


def _post(
    submission: Submission, previous: Record | None, *, gone: bool = False, seen: tuple[str, ...] = ()
) -> Generator[Step, Any, Record]:
    """
    Take a job that was sent for the same, where that is wanted and there is one; else send one.

    :param gone: whether the previous record's intent is known to have led to no job.
    :param seen: see :class:`Record`.
    """
    if not submission.reuses:
        return (yield from _send(submission, previous, gone=gone, seen=seen))
    while True:
        found = yield from reused(submission, previous, gone=gone)
        if isinstance(found, Record):
            return found
        with suppress(MadeElsewhereError):  # another task was faster
            return (yield from _send(submission, previous, gone=gone, seen=seen, unusable=found))


def _send(
    submission: Submission,
    previous: Record | None,
    *,
    gone: bool,
    seen: tuple[str, ...],
    unusable: frozenset[str] | None = None,
) -> Generator[Step, Any, Record]:
    """
    Save the intent, send the POST once, save the request id.

    :param unusable: see :class:`SaveRecord`.
    """
    guard = submission.guard
    if guard is not None:
        guard.refuse_alone()
    yield CheckPlace()
    previous, cost = yield from paid_before(submission, previous, gone=gone)
    jobs, seen, ordered = ((), seen, ()) if previous is None else (previous.jobs, previous.seen, previous.ordered)
    intent = submission.intent(former=jobs, former_cost=cost, seen=seen, ordered=ordered)
    if previous is not None and previous.refused:
        intent = intent.model_copy(update={"refusals": min(previous.refusals + 1, MOST_REFUSALS)})
    if previous is not None and gone and previous.try_number == submission.try_number:
        intent = intent.model_copy(update={"lost": min(previous.lost + (not previous.refused), MOST_REFUSALS)})
    release = _release(submission, previous, gone=gone)
    # Siblings see the intent before the job can exist, so none takes the job for its own.
    yield Publish(submission.claim(intent))
    try:
        if guard is not None:  # before any upload: a job that may not be paid needs no files
            intent = yield from reserve(guard, submission.claim(intent), release, submission.clock)
        links = links_in(submission.payload) if submission.reuses else frozenset()
        if links or has_placeholders(submission.payload):
            uploads: dict[str, str] = yield Upload(links)
            intent = intent.model_copy(update={"uploads": uploads, "intended_at": submission.clock()})
            yield Publish(submission.claim(intent))
    except SegmindError:
        yield release
        raise
    yield Log("info", messages.submitting(intent))
    try:
        yield SaveRecord(intent, before_post=True, unusable=unusable)
    except (KlingBudgetExceededError, MadeElsewhereError):
        yield release
        raise
    try:
        receipt: Receipt = yield Post(intent.uploads)
    except SegmindAmbiguousSubmitError as error:
        return (yield from _found_after(submission, intent, error))
    except SegmindError as error:
        yield from _undo(submission, previous, intent, error, release)
        raise
    accepted = intent.model_copy(update={"request_id": receipt.request_id, "accepted_at": submission.clock()})
    try:
        yield SaveRecord(accepted)
    except Exception as exc:
        raise messages.unrecorded(receipt.request_id, exc) from exc
    yield Log(
        "info", f"Submitted {submission.model} as request {receipt.request_id}. {submission.expectation}".rstrip()
    )
    return accepted


def _found_after(
    submission: Submission, intent: Record, error: SegmindAmbiguousSubmitError
) -> Generator[Step, Any, Record]:
    """Find the job of a POST that had no clear answer."""
    found = yield from search(submission, intent)
    if found is not None:
        return found
    # The grace is over already, but this attempt has sent its POST.
    unclear = messages.unclear(submission, intent, "Segmind's request history does not show it", submission.clock())
    unclear.look_again_at = submission.clock().isoformat()
    raise unclear from error


def _undo(
    submission: Submission, previous: Record | None, intent: Record, error: SegmindError, release: Step
) -> Generator[Step, Any, None]:
    """Record that a POST was refused."""
    # A gateway may answer so for a POST that it has passed on.
    if error.status_code is not None and (error.retryable or error.may_be_accepted):
        refused = intent.model_copy(update={"refused": True, "may_run": error.may_be_accepted})
        yield SaveRecord(refused)
        yield Publish(submission.claim(refused.as_left()))
    else:
        yield SaveRecord(previous) if previous is not None else DeleteRecord()
        yield release


def _release(submission: Submission, previous: Record | None, *, gone: bool) -> Step:
    """Return the step that withdraws the claim to a job that was not submitted."""
    if previous is None:
        return Withdraw()
    left = previous.as_left()
    return Publish(submission.claim(left.model_copy(update={"void": True}) if gone else left))
