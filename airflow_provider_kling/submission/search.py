"""The search for a submit's job in the request history: asked for a while, taken by one task alone."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.segmind.errors import SegmindAmbiguousSubmitError, SegmindError
from airflow_provider_kling.segmind.history import created_at
from airflow_provider_kling.segmind.identifiers import canonical_id
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
)

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from datetime import datetime

    from airflow_provider_kling.segmind.history import HistoryRow
    from airflow_provider_kling.submission.record import Claim, Record
    from airflow_provider_kling.submission.submission import Submission


def search(submission: Submission, intent: Record) -> Generator[Step, Any, Record | None]:
    """Look for the intent's job in the history, for a while; return None when there is none and will be none."""
    waiting = intent.as_left()
    yield Publish(submission.claim(waiting))
    yield Log("warning", messages.searching(intent))
    wanting = submission.alike(intent, (yield from other_claims(submission)))
    windows = [submission.window(intent), *(submission.window(claim.record) for claim in wanting)]
    question = SearchHistory(min(window.first for window in windows), max(window.last for window in windows) + SWAPS)
    until = submission.clock() + submission.history_timeout
    pause = FIRST_PAUSE
    while True:
        # What the history does not show is told for this moment: the process may stand still meanwhile.
        asked = submission.clock()
        finding = yield from _asked(submission, intent, wanting, question, asked)
        if isinstance(finding, Absent):
            return None
        if isinstance(finding, Take):
            found = _adopted(submission, intent, finding.row)
            yield Publish(submission.claim(found))
            if (yield from _takes_alone(submission, found)):
                yield SaveRecord(found)
                yield Log("info", messages.found(found, finding.row))
                return found
            yield Publish(submission.claim(waiting))
            finding = _soon(submission, intent, wanting, "another task takes the same job")
        left = (until - submission.clock()).total_seconds()
        if left <= 0:
            if finding.until is not None and isinstance(finding.error, SegmindAmbiguousSubmitError):
                finding.error.look_again_at = next_search(intent.intended_at, asked, finding.until, submission.clock)
            raise finding.error
        yield Pause(min(pause, left))
        pause = min(pause * 2, LONGEST_PAUSE)


def other_claims(submission: Submission) -> Generator[Step, Any, list[Claim]]:
    """Return the claims of all other tasks that may want the same: of this run, and of the DAG's other runs."""
    siblings: list[Any] = yield AskSiblings()
    strangers: list[Any] = yield AskOtherRuns()
    return read_claims([*siblings, *strangers], besides=submission.name)


def _asked(
    submission: Submission, intent: Record, wanting: list[Claim], question: SearchHistory, asked: datetime
) -> Generator[Step, Any, Judgement]:
    """Ask the history once, and judge what it shows."""
    try:
        rows: list[HistoryRow] = yield question
    except SegmindError as error:
        over = submission.grace_over(intent, wanting)
        unread = messages.history_unread(submission, intent, error, over)
        if not error.retryable:
            raise unread from error
        return NotYet(unread, over + OUTAGE)
    # Asked after the search, so that whoever has a row there has published the intent by now.
    finding = judge(submission, intent, rows, (yield from other_claims(submission)), asked)
    if isinstance(finding, Take):
        finding = yield from _once_all_show(submission, intent, rows, asked)
    return finding


def _once_all_show(
    submission: Submission, intent: Record, rows: Iterable[HistoryRow], asked: datetime
) -> Generator[Step, Any, Judgement]:
    """Judge again once all tasks that run show what they hold: one that was just started again shows nothing."""
    running: list[str] = yield AskRunning()
    # After it: what has ended by now has shown what it holds.
    siblings: list[Any] = yield AskSiblings()
    strangers: list[Any] = yield AskOtherRuns()
    others = read_claims([*siblings, *strangers], besides=submission.name)
    shown = {claim.name for claim in others} | read_withdrawn(siblings) | {submission.name}
    silent = set(running) - {without_iteration(task) for run, task in shown if run == submission.run}
    if silent:
        names = ", ".join(sorted(silent))
        return _soon(submission, intent, others, f"it may be the job of {names}, just started, which shows none yet")
    return judge(submission, intent, rows, others, asked)


def _takes_alone(submission: Submission, found: Record) -> Generator[Step, Any, bool]:
    """Whether no other task takes the job that this one shows as its own."""
    job = found.jobs[-1]
    takers = [claim.name for claim in (yield from other_claims(submission)) if job in claim.record.jobs]
    if takers and submission.name < min(takers):
        # Those that came back to life in the same moment have taken it too, and let go. The first waits for that,
        # so that they do not all let go again and again; it lets go too where another one has not seen it.
        yield Pause(FIRST_PAUSE)
        takers = [claim.name for claim in (yield from other_claims(submission)) if job in claim.record.jobs]
    return not takers


def _soon(submission: Submission, intent: Record, others: Iterable[Claim], finding: str) -> NotYet:
    """Return that it can be said soon, whatever the grace."""
    unclear = messages.unclear(submission, intent, finding, submission.grace_over(intent, others))
    return NotYet(unclear, submission.clock() + timedelta(seconds=LONGEST_PAUSE))


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
