"""What one answer of the request history says about an intent without a request id."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from airflow_provider_kling.segmind.history import created_at
from airflow_provider_kling.segmind.identifiers import canonical_id
from airflow_provider_kling.segmind.placeholders import filled_in
from airflow_provider_kling.submission import messages
from airflow_provider_kling.submission.history_match import Sent, matches
from airflow_provider_kling.submission.policy import MOST_LOST, searched_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow_provider_kling.segmind.errors import SegmindError
    from airflow_provider_kling.segmind.history import HistoryRow
    from airflow_provider_kling.submission.record import Claim, Record
    from airflow_provider_kling.submission.submission import Submission


@dataclass(frozen=True, slots=True)
class Take:
    """The history shows the job: it is this task's."""

    row: HistoryRow


@dataclass(frozen=True, slots=True)
class Absent:
    """No job came of the intent, and none will."""


@dataclass(frozen=True, slots=True)
class NotYet:
    """
    It is not known yet.

    :param error: ends the attempt when there is no time for another search.
    :param until: when it will be known at the latest; None if waiting does not help.
    """

    error: SegmindError
    until: datetime | None = None


Judgement = Take | Absent | NotYet


def judge(
    submission: Submission, intent: Record, rows: Iterable[HistoryRow], others: Sequence[Claim], now: datetime
) -> Judgement:
    """
    Return what one answer of the history says about an intent without a request id.

    :param others: the claims of all other tasks that may want the same.
    :param now: when it was asked.
    :raises SegmindUnresolvedSubmitError: there is no job, and ``on_orphaned_intent`` is "fail".
    """
    payload = filled_in(submission.payload, intent.uploads)
    sent = Sent(submission.model, payload, submission.windows(intent, others))
    held = {job for claim in others for job in claim.record.jobs} | {*intent.former, *intent.seen}
    there = matches(sent, (row for row in rows if canonical_id(row.request_id) not in held))
    over = submission.grace_over(intent, others)
    if not there.certain:
        return _judge_possible(submission, intent, there.possible, over, now)
    rivals = [
        claim
        for claim in submission.alike(intent, others)
        if claim.record.request_id is None and now - claim.record.intended_at < submission.grace
    ]
    if len(there.certain) > 1 + len(rivals):
        if now >= over:
            return NotYet(messages.unresolved(intent, there.certain))
        # A task that is just restarting shows nothing for a moment, and holds one of them.
        several = f"{len(there.certain)} jobs in Segmind's request history may be it: {messages.rows(there.certain)}"
        return NotYet(messages.unclear(submission, intent, several, over), over)
    if all(claim.record.unclear for claim in rivals):  # else a receipt is on its way to one of them
        claimants = [submission.claim(intent), *rivals]
        for row in there.certain:
            if nearest(claimants, row).name == submission.name:
                return Take(row)
    names = ", ".join(sorted(messages.called(submission, claim) for claim in rivals))
    return NotYet(
        messages.unclear(submission, intent, f"it may be the job of {names}, which wants the same", over),
        max(over, *(claim.record.intended_at + submission.grace for claim in rivals)),
    )


def _judge_possible(
    submission: Submission, intent: Record, possible: tuple[HistoryRow, ...], over: datetime, now: datetime
) -> Absent | NotYet:
    """Return what it says if no row is certainly the intent's job."""
    if intent.refused and not possible:
        over = min(over, intent.intended_at + searched_for(intent.refusals, submission.grace))
        if now >= over:
            return Absent()
    if now < over:
        shown = f"only what may be it: {messages.rows(possible)}" if possible else "nothing of it yet"
        finding = f"Segmind's request history shows {shown}"
        return NotYet(messages.unclear(submission, intent, finding, over), over)
    if possible:
        return NotYet(messages.unresolved(intent, possible))
    if submission.on_orphaned_intent == "fail":
        raise messages.orphaned(submission, intent)
    if intent.lost + 1 >= MOST_LOST and intent.try_number == submission.try_number:
        raise messages.lost(submission, intent)
    return Absent()


def nearest(claims: Iterable[Claim], row: HistoryRow) -> Claim:
    """Return which of the tasks that want the same has most likely made the row: the one with the nearest intent."""
    created = created_at(row)
    return min(
        claims,
        key=lambda claim: (
            abs(created - claim.record.intended_at) if created is not None else timedelta.max,
            claim.name,
        ),
    )
