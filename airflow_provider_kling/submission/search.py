"""The search for a submit's job in the request history: repeated for a while; one task alone takes the job."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.segmind.errors import SegmindAmbiguousSubmitError, SegmindError, SegmindInputError
from airflow_provider_kling.segmind.history import created_at
from airflow_provider_kling.segmind.identifiers import canonical_id
from airflow_provider_kling.segmind.sanitize import one_line
from airflow_provider_kling.submission import messages
from airflow_provider_kling.submission.judgement import Absent, Judgement, NotYet, Take, judge
from airflow_provider_kling.submission.policy import FIRST_PAUSE, LONGEST_PAUSE, OUTAGE, SWAPS, next_search
from airflow_provider_kling.submission.record import read_claims, read_withdrawn, without_iteration
from airflow_provider_kling.submission.steps import (
    AskOtherRuns,
    AskRunning,
    AskSiblings,
    Log,
    Pause,
    Publish,
    SaveRecord,
    SearchHistory,
    Step,
    TakenError,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from datetime import datetime

    from airflow_provider_kling.segmind.history import HistoryRow
    from airflow_provider_kling.submission.record import Claim, Record
    from airflow_provider_kling.submission.submission import Submission


class OtherRunsUnreadError(Exception):
    """What the DAG's other runs show cannot be read, so that a job of theirs could be taken for this task's."""


def search(submission: Submission, intent: Record) -> Generator[Step, Any, Record | None]:
    """Search for the intent's job in the history, for a while; return None if there is none and will be none."""
    waiting = intent.as_left()
    yield Publish(submission.claim(waiting))
    yield Log("warning", messages.searching(intent))
    question: SearchHistory | None = None
    wanting: list[Claim] = []
    until = submission.clock() + submission.history_timeout
    pause = FIRST_PAUSE
    while True:
        # What the history does not show is true for this moment: the process may stand still afterwards.
        asked = submission.clock()
        leave_out = asked >= submission.grace_over(intent, wanting) + OUTAGE
        try:
            if question is None:
                wanting = submission.alike(intent, (yield from other_claims(submission, leave_out=leave_out)))
                question = _question(submission, intent, wanting)
            finding = yield from _asked(submission, intent, wanting, question, asked, leave_out=leave_out)
            if isinstance(finding, Take):
                found = _adopted(submission, intent, finding.row)
                yield Publish(submission.claim(found))
                if (yield from _takes_alone(submission, found, leave_out=leave_out)):
                    with suppress(TakenError):
                        yield SaveRecord(found)
                        yield Log("info", messages.found(found, finding.row))
                        return found
                yield Publish(submission.claim(waiting))
                finding = _soon(submission, intent, wanting, "another task takes the same job")
        except OtherRunsUnreadError as unread:
            yield Publish(submission.claim(waiting))
            finding = _soon(submission, intent, wanting, str(unread))
        if isinstance(finding, Absent):
            return None
        left = (until - submission.clock()).total_seconds()
        if left <= 0:
            if finding.until is not None and isinstance(finding.error, SegmindAmbiguousSubmitError):
                finding.error.look_again_at = next_search(intent.intended_at, asked, finding.until, submission.clock)
            raise finding.error
        yield Pause(min(pause, left))
        pause = min(pause * 2, LONGEST_PAUSE)


def other_claims(submission: Submission, *, leave_out: bool) -> Generator[Step, Any, list[Claim]]:
    """
    Return the claims of all other tasks that may want the same: of this run, and of the DAG's other runs.

    :param leave_out: whether other runs that cannot be read are left out.
    :raises OtherRunsUnreadError: they cannot be read.
    """
    siblings, strangers = yield from _published(leave_out=leave_out)
    return read_claims([*siblings, *strangers], besides=submission.name)


def _published(*, leave_out: bool) -> Generator[Step, Any, tuple[list[Any], list[Any]]]:
    """Return what the tasks of this run and those of the DAG's other runs have published, as JSON."""
    siblings: list[Any] = yield AskSiblings()
    try:
        strangers: list[Any] = yield AskOtherRuns(leave_out)
    except Exception as error:
        if leave_out:
            raise
        reason = f"what the DAG's other runs have submitted cannot be read ({one_line(error)})"
        raise OtherRunsUnreadError(reason) from error
    return siblings, strangers


def _question(submission: Submission, intent: Record, wanting: Iterable[Claim]) -> SearchHistory:
    """Return the search that shows the job left for this task, whichever task with the same wish has sent it."""
    windows = [submission.window(intent), *(submission.window(claim.record) for claim in wanting)]
    return SearchHistory(min(window.first for window in windows), max(window.last for window in windows) + SWAPS)


def _asked(
    submission: Submission,
    intent: Record,
    wanting: list[Claim],
    question: SearchHistory,
    asked: datetime,
    *,
    leave_out: bool,
) -> Generator[Step, Any, Judgement]:
    """Ask the history once, and judge what it shows."""
    try:
        rows: list[HistoryRow] = yield question
    except SegmindError as error:
        over = submission.grace_over(intent, wanting)
        unread = messages.history_unread(submission, intent, error, over)
        # A gateway may answer anything in Segmind's place for a while; an invalid connection is our own fault.
        if not error.retryable and (asked >= over or isinstance(error, SegmindInputError)):
            raise unread from error
        return NotYet(unread, over + OUTAGE)
    # Read after the search, so that every task with a row there has published its intent by now.
    finding = judge(submission, intent, rows, (yield from other_claims(submission, leave_out=leave_out)), asked)
    if isinstance(finding, Take):
        finding = yield from _once_all_show(submission, intent, rows, asked, leave_out=leave_out)
    return finding


def _once_all_show(
    submission: Submission, intent: Record, rows: Iterable[HistoryRow], asked: datetime, *, leave_out: bool
) -> Generator[Step, Any, Judgement]:
    """Judge again once all running tasks show what they hold: one that has just restarted shows nothing."""
    running: list[str] = yield AskRunning()
    # Read after that: a task that has ended by now has shown what it holds.
    siblings, strangers = yield from _published(leave_out=leave_out)
    others = read_claims([*siblings, *strangers], besides=submission.name)
    shown = {claim.name for claim in others} | read_withdrawn(siblings) | {submission.name}
    silent = set(running) - {without_iteration(task) for run, task in shown if run == submission.run}
    if silent:
        names = ", ".join(sorted(silent))
        return _soon(submission, intent, others, f"it may be the job of {names}, which runs and shows none yet")
    return judge(submission, intent, rows, others, asked)


def _takes_alone(submission: Submission, found: Record, *, leave_out: bool) -> Generator[Step, Any, bool]:
    """Whether no other task takes the job that this one shows as its own."""
    job = found.jobs[-1]
    takers = _takers(job, (yield from other_claims(submission, leave_out=leave_out)))
    if takers and submission.name < min(takers):
        # Tasks that restarted at the same moment have taken it too, and release it. The first waits for that, so that
        # they do not all release it again and again; it also releases it if another one has not seen it.
        yield Pause(FIRST_PAUSE)
        takers = _takers(job, (yield from other_claims(submission, leave_out=leave_out)))
    return not takers


def _takers(job: str, claims: Iterable[Claim]) -> list[tuple[str, str]]:
    """Return the names of the tasks that show a job as theirs."""
    return [claim.name for claim in claims if job in claim.record.jobs]


def _soon(submission: Submission, intent: Record, others: Iterable[Claim], finding: str) -> NotYet:
    """Return that it will be known soon, whatever the grace; long after the grace, that it is still not known."""
    over, now = submission.grace_over(intent, others), submission.clock()
    if now >= over + OUTAGE:
        return NotYet(messages.undecided(intent, finding))
    unclear = messages.unclear(submission, intent, finding, over)
    return NotYet(unclear, now + timedelta(seconds=LONGEST_PAUSE))


def _adopted(submission: Submission, intent: Record, row: HistoryRow) -> Record:
    return intent.model_copy(
        update={
            "account": submission.account,
            "refused": False,
            "request_id": canonical_id(row.request_id),
            "found": True,
            "accepted_at": created_at(row) or intent.intended_at,
        }
    )
