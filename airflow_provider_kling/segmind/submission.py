"""
One submission, paid once: what an attempt does, given what earlier attempts and sibling tasks left behind.

Segmind has no idempotency key: each accepted POST is a bill. So a record outlives the attempt, and
what the record does not tell is looked up in Segmind's request history. The protocol is written once,
as a generator of steps; whoever drives it does the I/O. So an attempt can be ended between any two
steps, which is what a worker's death does, and what the tests do.

What must not be relaxed:

* The intent is stored before the POST, the request id at once after it; only then anything else.
* The fingerprint never includes the try number: a retry must recognise its predecessor's job.
* A record that cannot be read is an error, never "no record". So is a history that cannot be read.
* An attempt sends one POST at the most. An intent without a request id may be a running job: it is
  answered with another POST only when the grace period has passed and the history does not show it.
* A job is adopted only by the one task that can say: of the tasks that want the same, the first.
* A file counts by its content, in the fingerprint too. The addresses that its uploads were given stand in the
  record, with the intent; where no record tells them, no row of the history is certain.
* Money is asked for before the intent is stored; a job that is adopted is paid already and never refused.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from airflow_provider_kling.segmind import outlook
from airflow_provider_kling.segmind.affording import afford
from airflow_provider_kling.segmind.bills import former_cost, read_bills
from airflow_provider_kling.segmind.errors import SegmindAmbiguousSubmitError, SegmindError, SegmindInputError
from airflow_provider_kling.segmind.matching import CLOCK_SKEW, Sent, Window, canonical_id, created_at, latest, matches
from airflow_provider_kling.segmind.orphans import HISTORY_TIMEOUT, ORPHAN_GRACE, OnOrphanedIntent
from airflow_provider_kling.segmind.steps import (
    AskBills,
    AskSiblings,
    Claim,
    Deliver,
    Forget,
    Keep,
    Look,
    Pause,
    Post,
    Publish,
    Recall,
    Record,
    Step,
    Tell,
    Upload,
    Withdraw,
    read_claims,
)
from airflow_provider_kling.segmind.uploaded import filled_in, has_stand_ins

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping, Sequence

    from airflow_provider_kling.segmind.schemas import HistoryRow, Receipt
    from airflow_provider_kling.segmind.spending import Purse

#: Seconds from the first look in the history to the second; each pause is twice the one before.
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 16.0
#: A job that siblings leave for this task, as they swap theirs, is not younger by more than that than its own window.
_SWAPS = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Take:
    """The history shows the job: it is this task's."""

    row: HistoryRow


@dataclass(frozen=True, slots=True)
class Absent:
    """No job came of the intent, and none will."""


@dataclass(frozen=True, slots=True)
class NotYet:
    """It cannot be said yet; ``error`` ends the attempt when there is no time for another look."""

    error: SegmindError


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """
    One attempt at a submission.

    :param model: the model's slug.
    :param payload: the parameters as sent, files by their stand-ins.
    :param fingerprint: see :func:`fingerprint`.
    :param task: the task instance's name among its siblings.
    :param max_tries: the task instance's own; another one than in the record means that a user cleared the task.
    :param clock: tells the time, with its zone.
    :param price: what the job may cost, for messages.
    :param high: US dollars that it costs at the most, where that is known.
    :param purse: what limits its cost, where anything does.
    :param expectation: what the log says of an accepted job, such as how long it takes.
    :param untracked_since: where only the record of an undelivered job outlives an attempt, and an earlier one may
        have delivered: when the first one began.
    :param grace: see :data:`ORPHAN_GRACE`.
    :param on_orphaned_intent: what to do when the history shows no job after the grace period.
    :param history_timeout: see :data:`HISTORY_TIMEOUT`.
    :param adopt: a request id that is taken whatever the record says; nothing is sent.
    :param instead_of: this task's own job that is known to have FAILED at no cost; a new one is sent in its place.
    :param concludes: whether the request id is all that is wanted of the job; else a task that is cleared before
        :func:`concluded` adopts it.
    """

    model: str
    payload: Mapping[str, Any]
    fingerprint: str
    task: str
    max_tries: int
    clock: Callable[[], datetime]
    price: str = ""
    high: float | None = None
    purse: Purse | None = None
    expectation: str = ""
    untracked_since: datetime | None = None
    grace: timedelta = ORPHAN_GRACE
    on_orphaned_intent: OnOrphanedIntent = "submit"
    history_timeout: timedelta = HISTORY_TIMEOUT
    adopt: str | None = None
    instead_of: str | None = None
    concludes: bool = True

    def attempt(self) -> Generator[Step, Any, Record]:
        """
        Go through the attempt; return the record of the accepted job.

        :raises SegmindAmbiguousSubmitError: nobody knows yet whether a job runs; a retry looks again.
        :raises SegmindUnresolvedSubmitError: a person has to say which job it is.
        :raises SegmindError: refused or never sent.
        """
        record = read_record((yield Recall()))
        if record is None and self.untracked_since is not None:
            record = self._intent(self.untracked_since, former=())
        if record is not None:  # Airflow has deleted what earlier attempts published, and siblings count on it
            yield Publish(self._claim(_as_left(record)))
        accepted = yield from self._accepted(record)
        delivered = accepted.model_copy(update={"delivered": self.concludes, "max_tries": self.max_tries})
        try:
            yield Deliver(self._claim(accepted), accepted.accepted_at or accepted.intended_at)
            yield Keep(delivered)
        except Exception as exc:
            raise outlook.undelivered(accepted.request_id, exc) from exc
        return delivered

    def _accepted(self, record: Record | None) -> Generator[Step, Any, Record]:
        """Return the record of the job that is wanted: adopted, found or submitted now."""
        if self.adopt is not None:
            return (yield from self._ordered(self.adopt, record))
        if self.instead_of is not None:
            yield Tell("info", f"Request {self.instead_of} FAILED at no cost: a new one is submitted in its place.")
            failed = record or self._intent(self.clock(), former=())
            return (yield from self._post(failed.model_copy(update={"request_id": self.instead_of})))
        if record is None:
            return (yield from self._post(None))
        cleared = record.max_tries != self.max_tries
        if record.fingerprint != self.fingerprint:
            if not (record.delivered and cleared):
                yield Tell("warning", outlook.abandoned(record))
            return (yield from self._post(record))
        if record.request_id is None:
            found = yield from self._search(record)
            return found or (yield from self._post(record, gone=True))
        # While this task was being started again, its claim was gone, and a sibling may have taken the job. Then its
        # own is left for this task, even for one that was cleared and would submit anew.
        siblings = read_claims((yield AskSiblings()), besides=self.task)
        takers = [claim for claim in siblings if canonical_id(record.request_id) in _jobs(claim.record)]
        if takers:
            swapped = _let_go(record, takers)
            found = yield from self._search(swapped)
            return found or (yield from self._post(swapped, gone=True))
        if record.delivered and cleared:
            yield Tell("info", f"The task was cleared after request {record.request_id}: a new one is submitted.")
            return (yield from self._post(record))
        yield Tell("info", f"Request {record.request_id} of an earlier attempt is adopted; nothing is sent.")
        return record

    def _ordered(self, request_id: str, record: Record | None) -> Generator[Step, Any, Record]:
        """Take the request id that the user gave."""
        if record is not None and record.request_id not in {None, request_id}:
            yield Tell("warning", outlook.abandoned(record))
        yield Tell("warning", f"adopt_request_id: request {request_id} is taken, as ordered; nothing is sent.")
        former = tuple(job for job in _jobs(record) if job != canonical_id(request_id))
        intent = self._intent(self.clock(), former=former)
        adopted = intent.model_copy(update={"request_id": request_id, "accepted_at": intent.intended_at})
        yield Keep(adopted)
        return adopted

    def _post(self, previous: Record | None, *, gone: bool = False) -> Generator[Step, Any, Record]:
        """
        Store the intent, send the POST once, store the request id.

        :param gone: whether it is known that no job came of the previous record's intent.
        """
        if self.purse is not None:
            self.purse.refuse_alone()
        uploads: dict[str, str] = (yield Upload()) if has_stand_ins(self.payload) else {}
        ended = previous is not None and previous.request_id is not None
        bills = read_bills((yield AskBills())) if ended and not gone else {}
        cost = former_cost(previous, bills, gone=gone)
        intent = self._intent(self.clock(), former=_jobs(previous), former_cost=cost, uploads=uploads)
        # Siblings see the intent before the job can exist, so none takes the job for its own.
        yield Publish(self._claim(intent))
        if self.purse is not None:
            stand_down = self._stand_down(previous, gone=gone)
            try:
                intent = yield from afford(self.purse, self._claim(intent), stand_down, self.clock)
            except SegmindError:
                yield stand_down
                raise
        yield Keep(intent)
        try:
            receipt: Receipt = yield Post(uploads)
        except SegmindAmbiguousSubmitError as error:
            found = yield from self._search(intent)
            if found is None:  # the grace is over already, but this attempt has sent its POST
                raise outlook.unclear(self, intent, "Segmind's request history does not show it") from error
            return found
        except SegmindError:
            yield Keep(previous) if previous is not None else Forget()
            yield self._stand_down(previous, gone=gone)
            raise
        accepted = intent.model_copy(update={"request_id": receipt.request_id, "accepted_at": self.clock()})
        try:
            yield Keep(accepted)
        except Exception as exc:
            raise outlook.unrecorded(receipt.request_id, exc) from exc
        yield Tell("info", f"Submitted {self.model} as request {receipt.request_id}. {self.expectation}".rstrip())
        return accepted

    def _stand_down(self, previous: Record | None, *, gone: bool) -> Step:
        """Return the step that takes back the claim to a job that was not submitted."""
        if previous is None:
            return Withdraw()
        left = _as_left(previous)
        return Publish(self._claim(left.model_copy(update={"high": 0.0}) if gone else left))

    def _search(self, intent: Record) -> Generator[Step, Any, Record | None]:
        """Look for the intent's job in the history, for a while; return None when there is none and will be none."""
        waiting = intent.model_copy(update={"unclear": True})
        yield Publish(self._claim(waiting))
        yield Tell("warning", outlook.searching(self, intent))
        wanting = self._alike(intent, read_claims((yield AskSiblings()), besides=self.task))
        windows = [self._window(intent), *(self._window(claim.record) for claim in wanting)]
        end = latest(windows)
        look = Look(min(window.first for window in windows), None if end is None else end + _SWAPS)
        until = self.clock() + self.history_timeout
        pause = FIRST_PAUSE
        while True:
            try:
                rows: list[HistoryRow] = yield look
            except SegmindError as error:
                unread = outlook.history_unread(self, intent, error)
                if not error.retryable:
                    raise unread from error
                finding: Take | Absent | NotYet = NotYet(unread)
            else:
                # Asked after the look, so that whoever has a row there has published the intent by now.
                siblings = read_claims((yield AskSiblings()), besides=self.task) if rows else []
                finding = self.judge(intent, rows, siblings)
            if isinstance(finding, Absent):
                return None
            if isinstance(finding, Take):
                found = _adopt(intent, finding.row)
                yield Publish(self._claim(found))
                # A sibling that came back to life just now may have taken it too. Then both let go.
                if found.request_id not in _held(read_claims((yield AskSiblings()), besides=self.task)):
                    yield Keep(found)
                    yield Tell("info", outlook.found(found, finding.row))
                    return found
                yield Publish(self._claim(waiting))
                finding = NotYet(outlook.unclear(self, intent, "another task of this run takes the same job"))
            left = (until - self.clock()).total_seconds()
            if left <= 0:
                raise finding.error
            yield Pause(min(pause, left))
            pause = min(pause * 2, LONGEST_PAUSE)

    def judge(self, intent: Record, rows: Iterable[HistoryRow], siblings: Sequence[Claim]) -> Take | Absent | NotYet:
        """
        Return what one look in the history says about an intent without a request id.

        :raises SegmindUnresolvedSubmitError: there is no job, and ``on_orphaned_intent`` is "fail".
        """
        now = self.clock()
        sent = Sent(self.model, filled_in(self.payload, intent.uploads), self._windows(intent, siblings))
        held = _held(siblings) | set(intent.former)
        there = matches(sent, (row for row in rows if canonical_id(row.request_id) not in held))
        young = now - intent.intended_at < self.grace
        if not there.certain:
            if there.possible:
                rows_shown = outlook.rows(there.possible)
                if young:
                    return NotYet(outlook.unclear(self, intent, f"the history shows only what may be it: {rows_shown}"))
                return NotYet(outlook.unresolved(self, intent, there.possible))
            if young:
                return NotYet(outlook.unclear(self, intent, "Segmind's request history does not show it yet"))
            if self.on_orphaned_intent == "fail":
                raise outlook.orphaned(self, intent)
            return Absent()
        rivals = [
            claim
            for claim in self._alike(intent, siblings)
            if claim.record.request_id is None and now - claim.record.intended_at < self.grace
        ]
        if len(there.certain) > 1 + len(rivals):
            return NotYet(outlook.unresolved(self, intent, there.certain))
        if all(claim.record.unclear for claim in rivals):  # else a receipt is on its way to one of them
            claimants = [self._claim(intent), *rivals]
            for row in there.certain:
                if nearest(claimants, row).task == self.task:
                    return Take(row)
        names = ", ".join(sorted(claim.task for claim in rivals))
        return NotYet(outlook.unclear(self, intent, f"it may be the job of {names}, which wants the same"))

    def _intent(
        self,
        now: datetime,
        *,
        former: tuple[str, ...],
        former_cost: float = 0.0,
        uploads: Mapping[str, str] | None = None,
    ) -> Record:
        return Record(
            fingerprint=self.fingerprint,
            model=self.model,
            intended_at=now,
            max_tries=self.max_tries,
            price=self.price,
            high=self.high,
            former=former,
            former_cost=former_cost,
            uploads=dict(uploads or {}),
        )

    def _claim(self, record: Record) -> Claim:
        return Claim(task=self.task, record=record)

    def _alike(self, intent: Record, siblings: Iterable[Claim]) -> list[Claim]:
        """Return the siblings whose jobs cannot be told from this task's: same wish, same addresses of its files."""
        same = (self.fingerprint, intent.uploads)
        return [claim for claim in siblings if (claim.record.fingerprint, claim.record.uploads) == same]

    def _windows(self, intent: Record, siblings: Iterable[Claim]) -> list[Window]:
        """
        Return when the job that is left for this task may have been accepted.

        A sibling that wants the same may have taken this task's job, while this task was gone, and left its own.
        """
        swapped = [claim.record for claim in self._alike(intent, siblings) if claim.record.request_id is not None]
        return [*(self._window(record) for record in swapped), self._window(intent)]

    def _window(self, record: Record) -> Window:
        if record.intended_at == self.untracked_since:  # any of the earlier attempts may have sent it
            return Window(record.intended_at - CLOCK_SKEW)
        return Window.after(record.intended_at, self.grace)


def fingerprint(model: str, payload: Mapping[str, Any], *, conn_id: str, api_key: str) -> str:
    """Return a digest of what is wanted and whose account pays for it."""
    key_digest = hashlib.sha256(api_key.encode()).hexdigest()[:16]
    wanted = json.dumps([model, payload, conn_id, key_digest], sort_keys=True)
    return hashlib.sha256(wanted.encode()).hexdigest()


def concluded(record: Record, max_tries: int) -> Record:
    """Return the record of a job of which nothing more is wanted: a task that is cleared after it begins anew."""
    return record.model_copy(update={"delivered": True, "max_tries": max_tries})


def read_record(stored: Any) -> Record | None:
    """
    Return the stored record.

    :raises SegmindInputError: something is stored and is no record of a version known here.
    """
    if stored is None:
        return None
    try:
        record = Record.model_validate(stored)
    except ValidationError:
        record = None
    if record is None or record.version != 1:
        raise SegmindInputError(
            f"The submission's stored record cannot be read ({json.dumps(stored, default=str)[:200]}), so it is "
            "unknown whether a job runs already; nothing was sent. Look in Segmind's request history, then delete "
            "the task's state entry, or the Variable that holds it, and clear the task to submit again, or set "
            "adopt_request_id to take the job."
        )
    return record


def nearest(claims: Iterable[Claim], row: HistoryRow) -> Claim:
    """Return which of the tasks that want the same has most likely made the row: the one that intended it last."""
    created = created_at(row)
    return min(
        claims,
        key=lambda claim: (
            abs(created - claim.record.intended_at) if created is not None else timedelta.max,
            claim.task,
        ),
    )


def _as_left(record: Record) -> Record:
    """Return the record of an earlier attempt: no receipt is on its way any more."""
    return record if record.request_id is not None else record.model_copy(update={"unclear": True})


def _jobs(record: Record | None) -> tuple[str, ...]:
    """Return every job that the task has had, as the API writes their ids."""
    if record is None:
        return ()
    return record.former if record.request_id is None else (*record.former, canonical_id(record.request_id))


def _held(claims: Iterable[Claim]) -> set[str]:
    return {job for claim in claims for job in _jobs(claim.record)}


def _let_go(record: Record, takers: Iterable[Claim]) -> Record:
    """Return the record of a job that a sibling has taken: what is left to find is the sibling's own."""
    return record.model_copy(
        update={
            "request_id": None,
            "accepted_at": None,
            "delivered": False,
            "intended_at": max(record.intended_at, *(claim.record.intended_at for claim in takers)),
            "former": _jobs(record),
        }
    )


def _adopt(intent: Record, row: HistoryRow) -> Record:
    return intent.model_copy(
        update={"request_id": canonical_id(row.request_id), "accepted_at": created_at(row) or intent.intended_at}
    )
