"""
One submission, paid once: what an attempt does, given what earlier attempts and sibling tasks left behind.

Segmind has no idempotency key: each accepted POST is a bill. So a record outlives the attempt, and
what the record does not tell is looked up in Segmind's request history. The protocol is written once,
as a generator of steps; whoever drives it does the I/O. So an attempt can be ended between any two
steps, which is what a worker's death does, and what the tests do.

What must not be relaxed:

* The intent is stored before the POST, the request id at once after it; only then anything else.
* The fingerprint never includes the try number: a retry must recognise its predecessor's job. Nor does it include the
  key: a key may be rotated while a job runs. Whether a job is another account's, the history tells.
* A job is delivered when Airflow has counted its task as successful, and not before: what an attempt that failed or
  died has left is the next one's, however it failed.
* A record that cannot be read is an error, never "no record". So is a history that cannot be read.
* An attempt sends one POST at the most. An intent without a request id may be a running job: it is
  answered with another POST only when the grace period has passed and the history does not show it.
* A job is adopted only by the one task that can say: of the tasks that want the same, the first.
* A file counts by its content, in the fingerprint too. The addresses that its uploads were given stand in the
  record, with the intent; where no record tells them, no row of the history is certain.
* What could leave a paid job without its file is found before the intent is stored, and stops no job that is adopted.
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
from airflow_provider_kling.segmind.bills import cost_of, former_cost, read_bills
from airflow_provider_kling.segmind.errors import (
    SegmindAmbiguousSubmitError,
    SegmindError,
    SegmindInputError,
    SegmindRequestNotFoundError,
)
from airflow_provider_kling.segmind.matching import Sent, Window, canonical_id, created_at, matches
from airflow_provider_kling.segmind.orphans import HISTORY_TIMEOUT, ORPHAN_GRACE, OnOrphanedIntent
from airflow_provider_kling.segmind.refusals import one_line
from airflow_provider_kling.segmind.steps import (
    MOST_REFUSALS,
    RECORD_VERSION,
    AskBills,
    AskCost,
    AskModel,
    AskOtherRuns,
    AskOwner,
    AskRunning,
    AskSiblings,
    CheckPlace,
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
    read_withdrawn,
    without_iteration,
)
from airflow_provider_kling.segmind.uploaded import filled_in, has_stand_ins

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping, Sequence

    from airflow_provider_kling.segmind.schemas import HistoryRow, Receipt
    from airflow_provider_kling.segmind.spending import Purse

#: Seconds from the first look in the history to the second; each pause is twice the one before.
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 16.0
#: From one attempt's last look to the next one's first: as long as the submit is ago, within these.
SHORTEST_WAIT, LONGEST_WAIT = timedelta(seconds=15), timedelta(minutes=2)
#: For how long after the grace a history that cannot be read is asked again in the same try.
_OUTAGE = timedelta(minutes=10)
#: A job that siblings leave for this task, as they swap theirs, is not younger by more than that than its own window.
_SWAPS = timedelta(days=1)
#: A gateway that refuses what was accepted may do so each time. The first submit that was refused so is looked for once
#: before the next one; the one after it for that long, and then for twice as long each time, up to the grace.
_REFUSED_TWICE = timedelta(seconds=75)


class OtherRunsUnreadError(Exception):
    """What the DAG's other runs show cannot be read, so that a job of theirs could be taken for this task's."""


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
    It cannot be said yet.

    :param error: ends the attempt when there is no time for another look.
    :param until: when it can be said at the latest; None where waiting does not help.
    """

    error: SegmindError
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """
    One attempt at a submission.

    :param model: the model's slug.
    :param payload: the parameters as sent, files by their stand-ins.
    :param fingerprint: see :func:`fingerprint`.
    :param account: see :func:`account`.
    :param task: the task instance's name among its siblings.
    :param run: the run's, among those of the DAG.
    :param clock: tells the time, with its zone.
    :param price: what the job may cost, for messages.
    :param high: US dollars that it costs at the most, where that is known.
    :param purse: what limits its cost, where anything does.
    :param expectation: what the log says of an accepted job, such as how long it takes.
    :param grace: see :data:`ORPHAN_GRACE`.
    :param on_orphaned_intent: what to do when the history shows no job after the grace period.
    :param history_timeout: see :data:`HISTORY_TIMEOUT`.
    :param forgotten: whether the task may have had jobs that no record tells of: it was cleared, its state dropped.
    :param adopt: a request id that is taken whatever the record says; nothing is sent.
    :param instead_of: this task's own job that is known to have FAILED at no cost; a new one is sent in its place.
    """

    model: str
    payload: Mapping[str, Any]
    fingerprint: str
    account: str
    task: str
    run: str
    clock: Callable[[], datetime]
    price: str = ""
    high: float | None = None
    purse: Purse | None = None
    expectation: str = ""
    grace: timedelta = ORPHAN_GRACE
    on_orphaned_intent: OnOrphanedIntent = "submit"
    history_timeout: timedelta = HISTORY_TIMEOUT
    forgotten: bool = False
    adopt: str | None = None
    instead_of: str | None = None

    def attempt(self) -> Generator[Step, Any, Record]:
        """
        Go through the attempt; return the record of the accepted job.

        :raises SegmindAmbiguousSubmitError: nobody knows yet whether a job runs; a retry looks again.
        :raises SegmindUnresolvedSubmitError: a person has to say which job it is.
        :raises SegmindError: refused or never sent.
        """
        record = read_record((yield Recall()))
        if record is not None:  # Airflow has deleted what earlier attempts published, and siblings count on it
            yield Publish(self._claim(as_left(record)))
        accepted = yield from self._accepted(record)
        try:
            yield Deliver(self._claim(accepted), accepted.accepted_at or accepted.intended_at)
        except Exception as exc:
            raise outlook.undelivered(accepted.request_id, exc) from exc
        return accepted

    def _accepted(self, record: Record | None) -> Generator[Step, Any, Record]:
        """Return the record of the job that is wanted: adopted, found or submitted now."""
        if self.adopt is not None:
            return (yield from self._ordered(self.adopt, record))
        if self.instead_of is not None and (record is None or _is_job(record, self.instead_of)):
            yield Tell("info", f"Request {self.instead_of} FAILED at no cost: a new one is wanted in its place.")
            failed = record or self._intent(self.clock(), former=())
            return (yield from self._post(failed.model_copy(update={"request_id": self.instead_of})))
        if record is None:
            seen = (yield from self._made_before()) if self.forgotten else ()
            return (yield from self._post(None, seen=seen))
        if record.fingerprint != self.fingerprint:
            return (yield from self._abandon(record))
        if record.request_id is None:
            return (yield from self._resolved(record))
        return (yield from self._continued(record, record.request_id))

    def _made_before(self) -> Generator[Step, Any, tuple[str, ...]]:
        """Return the jobs in the history that could be taken for one that is submitted now, and are none."""
        window = self._window(self._intent(self.clock(), former=()))
        try:
            rows: list[HistoryRow] = yield Look(window.first, window.last)
        except SegmindError as error:
            yield Tell("warning", f"Jobs that this task had before it was cleared could not be looked up: {error}")
            return ()
        there = matches(Sent(self.model, self.payload, [window]), rows)
        return tuple(canonical_id(row.request_id) for row in (*there.certain, *there.possible) if row.request_id)

    def _resolved(self, intent: Record) -> Generator[Step, Any, Record]:
        """Find out what has become of an intent without a request id; submit anew where nothing has."""
        found = yield from self._search(intent)
        if found is not None:
            return found
        if intent.account != self.account:  # its job may be on an account that this key does not show
            return (yield from self._abandon(intent))
        return (yield from self._post(intent, gone=True))

    def _continued(self, record: Record, request_id: str) -> Generator[Step, Any, Record]:
        """Go on from an accepted job: adopt it, or submit another one where nothing more is wanted of it."""
        # While this task was being started again, its claim was gone, and a sibling may have taken the job. Then its
        # own is left for this task, even for one that was cleared and would submit anew. Whoever was ordered to take
        # it has left none.
        others = yield from self._others(leave_out=True)  # a job whose id is known does not wait for that
        job = canonical_id(request_id)
        takers = [claim for claim in others if job in _jobs(claim.record) and job not in claim.record.ordered]
        if takers:
            return (yield from self._resolved(_let_go(record, takers)))
        if record.delivered:
            yield Tell("info", f"The task was cleared after request {record.request_id}: a new one is wanted.")
            return (yield from self._post(record))
        if record.account != self.account:
            if not (yield from self._is_own(record, request_id)):
                return (yield from self._abandon(record))
            record = record.model_copy(update={"account": self.account})
            yield Keep(record)
        yield Tell("info", f"Request {request_id} of an earlier attempt is adopted; nothing is sent.")
        return record

    def _abandon(self, record: Record) -> Generator[Step, Any, Record]:
        """Submit what is wanted now, and name the job that is no longer wanted."""
        if not record.delivered:
            yield Tell("warning", outlook.abandoned(record))
        return (yield from self._post(record))

    def _is_own(self, record: Record, request_id: str) -> Generator[Step, Any, bool]:
        """Ask whether a job that was submitted with another key is of the same account."""
        over = (record.accepted_at or record.intended_at) + self.grace
        asked = self.clock()
        try:
            own: bool = yield AskOwner(request_id)
        except SegmindError as error:
            raise outlook.owner_unread(record, error, self._next_look(record, asked, over + _OUTAGE)) from error
        if not own and asked < over:  # its row may be late
            raise outlook.owner_unknown(record, over, self._next_look(record, asked, over))
        return own

    def _ordered(self, request_id: str, record: Record | None) -> Generator[Step, Any, Record]:
        """Take the request id that the user gave, unless it is known to be another model's job."""
        if record is None or (record.request_id, record.model) != (request_id, self.model):
            yield from self._check_model(request_id)
        same = record is not None and _is_job(record, request_id)
        if record is not None and not same:
            yield Tell("warning", outlook.replaced(record, request_id))
        yield Tell("warning", outlook.ordered(request_id))
        former = tuple(job for job in _jobs(record) if job != canonical_id(request_id))
        cost = 0.0 if record is None else record.former_cost if same else former_cost(record, {}, gone=False)
        ordered = (*(() if record is None else record.ordered), canonical_id(request_id))
        intent = self._intent(self.clock(), former=former, former_cost=cost, ordered=ordered)
        adopted = intent.model_copy(update={"request_id": request_id, "accepted_at": intent.intended_at})
        yield Keep(adopted)
        return adopted

    def _check_model(self, request_id: str) -> Generator[Step, Any, None]:
        """Refuse a job that the history knows as another model's; say so where it does not tell."""
        try:
            model: str | None = yield AskModel(request_id)
        except SegmindRequestNotFoundError:
            raise SegmindInputError(
                f"adopt_request_id: neither Segmind nor its request history knows request {request_id}: it was not "
                "made with this connection's key. Nothing was taken or sent. Correct the id, or the connection."
            ) from None
        except SegmindError as error:
            reason = str(error)
        else:
            if model == self.model:
                return
            if model:
                raise SegmindInputError(
                    f"adopt_request_id: request {request_id} is a job of {model}, and this task wants one of "
                    f"{self.model}. Nothing was taken or sent. Give the id of a job of {self.model}, or adopt this one "
                    f"in a task with model={model!r}."
                )
            reason = "Segmind's request history names no model for it."
        yield Tell(
            "warning",
            f"adopt_request_id: whether request {request_id} is a job of {self.model} cannot be told, so it is taken "
            f"as one: {reason}",
        )

    def _post(
        self, previous: Record | None, *, gone: bool = False, seen: tuple[str, ...] = ()
    ) -> Generator[Step, Any, Record]:
        """
        Store the intent, send the POST once, store the request id.

        :param gone: whether it is known that no job came of the previous record's intent.
        :param seen: see :class:`Record`.
        """
        if self.purse is not None:
            self.purse.refuse_alone()
        yield CheckPlace()
        previous, cost = yield from self._paid_before(previous, gone=gone)
        seen, ordered = (seen, ()) if previous is None else (previous.seen, previous.ordered)
        intent = self._intent(self.clock(), former=_jobs(previous), former_cost=cost, seen=seen, ordered=ordered)
        if previous is not None and previous.refused:
            intent = intent.model_copy(update={"refusals": min(previous.refusals + 1, MOST_REFUSALS)})
        stand_down = self._stand_down(previous, gone=gone)
        # Siblings see the intent before the job can exist, so none takes the job for its own.
        yield Publish(self._claim(intent))
        try:
            if self.purse is not None:  # before anything is uploaded: what cannot be paid needs no files
                intent = yield from afford(self.purse, self._claim(intent), stand_down, self.clock)
            if has_stand_ins(self.payload):
                uploads: dict[str, str] = yield Upload()
                intent = intent.model_copy(update={"uploads": uploads, "intended_at": self.clock()})
                yield Publish(self._claim(intent))
        except SegmindError:
            yield stand_down
            raise
        yield Tell("info", outlook.submitting(intent))
        yield Keep(intent)
        try:
            receipt: Receipt = yield Post(intent.uploads)
        except SegmindAmbiguousSubmitError as error:
            found = yield from self._search(intent)
            if found is None:  # the grace is over already, but this attempt has sent its POST
                unclear = outlook.unclear(self, intent, "Segmind's request history does not show it", self.clock())
                unclear.look_again_at = self.clock().isoformat()
                raise unclear from error
            return found
        except SegmindError as error:
            if error.retryable and error.status_code is not None:  # a gateway may answer so for what it has passed on
                refused = intent.model_copy(update={"refused": True})
                yield Keep(refused)
                yield Publish(self._claim(as_left(refused)))
            else:
                yield Keep(previous) if previous is not None else Forget()
                yield stand_down
            raise
        accepted = intent.model_copy(update={"request_id": receipt.request_id, "accepted_at": self.clock()})
        try:
            yield Keep(accepted)
        except Exception as exc:
            raise outlook.unrecorded(receipt.request_id, exc) from exc
        yield Tell("info", f"Submitted {self.model} as request {receipt.request_id}. {self.expectation}".rstrip())
        return accepted

    def _paid_before(self, previous: Record | None, *, gone: bool) -> Generator[Step, Any, tuple[Record | None, float]]:
        """Return the record with what its job cost, where that can be told, and what all former jobs cost or may."""
        if previous is None or previous.request_id is None or gone:
            return previous, former_cost(previous, {}, gone=gone)
        bills = read_bills((yield AskBills()))
        known = cost_of(previous, bills)
        # A clear deletes the bills. Where they count, and the task did not see the end of its job itself, ask Segmind.
        if known is None and self.purse is not None and self.purse.limit is not None:
            try:
                known = yield AskCost(previous.request_id)
            except SegmindError as error:
                yield Tell("warning", f"What request {previous.request_id} cost cannot be read: {error}")
        if known is not None:
            previous = previous.model_copy(update={"cost": known})
        return previous, former_cost(previous, bills, gone=gone)

    def _stand_down(self, previous: Record | None, *, gone: bool) -> Step:
        """Return the step that takes back the claim to a job that was not submitted."""
        if previous is None:
            return Withdraw()
        left = as_left(previous)
        return Publish(self._claim(left.model_copy(update={"high": 0.0}) if gone else left))

    def _search(self, intent: Record) -> Generator[Step, Any, Record | None]:
        """Look for the intent's job in the history, for a while; return None when there is none and will be none."""
        waiting = as_left(intent)
        yield Publish(self._claim(waiting))
        yield Tell("warning", outlook.searching(intent))
        look: Look | None = None
        wanting: list[Claim] = []
        until = self.clock() + self.history_timeout
        pause = FIRST_PAUSE
        while True:
            asked = self.clock()  # what the history does not show is told for then: this may stand still meanwhile
            leave_out = asked >= self._over(intent, wanting) + _OUTAGE
            try:
                if look is None:
                    wanting = self._alike(intent, (yield from self._others(leave_out=leave_out)))
                    look = self._look(intent, wanting)
                finding = yield from self._looked(intent, look, wanting, asked, leave_out=leave_out)
                if isinstance(finding, Take):
                    found = self._adopt(intent, finding.row)
                    yield Publish(self._claim(found))
                    if (yield from self._takes_alone(found, leave_out=leave_out)):
                        yield Keep(found)
                        yield Tell("info", outlook.found(found, finding.row))
                        return found
                    yield Publish(self._claim(waiting))
                    finding = self._soon(intent, wanting, "another task takes the same job")
            except OtherRunsUnreadError as unread:
                yield Publish(self._claim(waiting))
                finding = self._soon(intent, wanting, str(unread))
            if isinstance(finding, Absent):
                return None
            left = (until - self.clock()).total_seconds()
            if left <= 0:
                if finding.until is not None and isinstance(finding.error, SegmindAmbiguousSubmitError):
                    finding.error.look_again_at = self._next_look(intent, asked, finding.until)
                raise finding.error
            yield Pause(min(pause, left))
            pause = min(pause * 2, LONGEST_PAUSE)

    def _look(self, intent: Record, wanting: Iterable[Claim]) -> Look:
        """Return the look that shows the job left for this task, whichever of those that want it has sent it."""
        windows = [self._window(intent), *(self._window(claim.record) for claim in wanting)]
        return Look(min(window.first for window in windows), max(window.last for window in windows) + _SWAPS)

    def _looked(
        self, intent: Record, look: Look, wanting: list[Claim], asked: datetime, *, leave_out: bool
    ) -> Generator[Step, Any, Take | Absent | NotYet]:
        """
        Look once, and return what that says.

        :raises OtherRunsUnreadError: see :meth:`_others`.
        """
        try:
            rows: list[HistoryRow] = yield look
        except SegmindError as error:
            unread = outlook.history_unread(self, intent, error, self._over(intent, wanting))
            # A gateway may answer anything in Segmind's place for a while; a connection that cannot work is ours.
            final = isinstance(error, SegmindInputError) or asked >= self._over(intent, wanting)
            if not error.retryable and final:
                raise unread from error
            return NotYet(unread, self._over(intent, wanting) + _OUTAGE)
        # Asked after the look, so that whoever has a row there has published the intent by now.
        finding = self.judge(intent, rows, (yield from self._others(leave_out=leave_out)), asked)
        if isinstance(finding, Take):
            return (yield from self._once_all_show(intent, rows, asked, leave_out=leave_out))
        return finding

    def _once_all_show(
        self, intent: Record, rows: Iterable[HistoryRow], asked: datetime, *, leave_out: bool
    ) -> Generator[Step, Any, Take | Absent | NotYet]:
        """Judge again once all tasks that run show what they hold: one that was just started again shows nothing."""
        running: list[str] = yield AskRunning()
        # After it: what has ended by now has shown what it holds.
        siblings, strangers = yield from self._shown(leave_out=leave_out)
        own = (self.run, self.task)
        others = read_claims([*siblings, *strangers], besides=own)
        shown = {claim.name for claim in others} | read_withdrawn(siblings) | {own}
        silent = set(running) - {without_iteration(task) for run, task in shown if run == self.run}
        if silent:
            names = ", ".join(sorted(silent))
            return self._soon(intent, others, f"it may be the job of {names}, which runs and shows none yet")
        return self.judge(intent, rows, others, asked)

    def _takes_alone(self, found: Record, *, leave_out: bool) -> Generator[Step, Any, bool]:
        """Whether no other task takes the job that this one shows as its own."""
        job = _jobs(found)[-1]
        takers = _takers(job, (yield from self._others(leave_out=leave_out)))
        if takers and (self.run, self.task) < min(takers):
            # Those that came back to life in the same moment have taken it too, and let go. The first waits for that,
            # so that they do not all let go again and again; it lets go too where another one has not seen it.
            yield Pause(FIRST_PAUSE)
            takers = _takers(job, (yield from self._others(leave_out=leave_out)))
        return not takers

    def _soon(self, intent: Record, others: Iterable[Claim], finding: str) -> NotYet:
        """Return that it can be said soon, whatever the grace; long after that it is said that it cannot."""
        over, now = self._over(intent, others), self.clock()
        if now >= over + _OUTAGE:
            return NotYet(outlook.undecided(intent, finding))
        unclear = outlook.unclear(self, intent, finding, over)
        return NotYet(unclear, now + timedelta(seconds=LONGEST_PAUSE))

    def _others(self, *, leave_out: bool) -> Generator[Step, Any, list[Claim]]:
        """
        Return the claims of all other tasks that may want the same: of this run, and of the DAG's other runs.

        :param leave_out: whether other runs that cannot be read are left out.
        :raises OtherRunsUnreadError: they cannot be read.
        """
        siblings, strangers = yield from self._shown(leave_out=leave_out)
        return read_claims([*siblings, *strangers], besides=(self.run, self.task))

    def _shown(self, *, leave_out: bool) -> Generator[Step, Any, tuple[list[Any], list[Any]]]:
        """Return what the tasks of this run and those of the DAG's other runs show, as JSON."""
        siblings: list[Any] = yield AskSiblings()
        try:
            strangers: list[Any] = yield AskOtherRuns(leave_out)
        except Exception as error:
            if leave_out:
                raise
            raise OtherRunsUnreadError(
                f"what the DAG's other runs have submitted cannot be read ({one_line(error)})"
            ) from error
        return siblings, strangers

    def judge(
        self, intent: Record, rows: Iterable[HistoryRow], others: Sequence[Claim], now: datetime
    ) -> Take | Absent | NotYet:
        """
        Return what one look in the history says about an intent without a request id.

        :param now: when it was asked.
        :raises SegmindUnresolvedSubmitError: there is no job, and ``on_orphaned_intent`` is "fail".
        """
        sent = Sent(self.model, filled_in(self.payload, intent.uploads), self._windows(intent, others))
        held = _held(others) | {*intent.former, *intent.seen}
        there = matches(sent, (row for row in rows if canonical_id(row.request_id) not in held))
        over = self._over(intent, others)
        if not there.certain:
            return self._judge_possible(intent, there.possible, over, now)
        rivals = [
            claim
            for claim in self._alike(intent, others)
            if claim.record.request_id is None and now - claim.record.intended_at < self.grace
        ]
        if len(there.certain) > 1 + len(rivals):
            if now >= over:
                return NotYet(outlook.unresolved(intent, there.certain))
            # A task that is just being started again shows nothing for a moment, and holds one of them.
            several = f"{len(there.certain)} jobs in Segmind's request history may be it: {outlook.rows(there.certain)}"
            return NotYet(outlook.unclear(self, intent, several, over), over)
        if all(claim.record.unclear for claim in rivals):  # else a receipt is on its way to one of them
            claimants = [self._claim(intent), *rivals]
            for row in there.certain:
                if nearest(claimants, row).name == (self.run, self.task):
                    return Take(row)
        names = ", ".join(sorted(self._called(claim) for claim in rivals))
        return NotYet(
            outlook.unclear(self, intent, f"it may be the job of {names}, which wants the same", over),
            max(over, *(claim.record.intended_at + self.grace for claim in rivals)),
        )

    def _judge_possible(
        self, intent: Record, possible: tuple[HistoryRow, ...], over: datetime, now: datetime
    ) -> Absent | NotYet:
        """Return what it says where no row is the intent's job for certain."""
        if intent.refused and not possible:
            over = min(over, intent.intended_at + self._looked_for(intent.refusals))
            if now >= over:
                return Absent()
        if now < over:
            shown = f"only what may be it: {outlook.rows(possible)}" if possible else "nothing of it yet"
            finding = f"Segmind's request history shows {shown}"
            return NotYet(outlook.unclear(self, intent, finding, over), over)
        if possible:
            return NotYet(outlook.unresolved(intent, possible))
        if self.on_orphaned_intent == "fail":
            raise outlook.orphaned(self, intent)
        return Absent()

    def _looked_for(self, refusals: int) -> timedelta:
        """Return for how long the job of a refused submit is looked for, after so many others that were refused."""
        return min(_REFUSED_TWICE * 2 ** min(refusals - 1, 10), self.grace) if refusals else timedelta(0)

    def _adopt(self, intent: Record, row: HistoryRow) -> Record:
        return intent.model_copy(
            update={
                "account": self.account,
                "refused": False,
                "request_id": canonical_id(row.request_id),
                "found": True,
                "accepted_at": created_at(row) or intent.intended_at,
            }
        )

    def _over(self, intent: Record, others: Iterable[Claim]) -> datetime:
        """Return when the job that is left for this task, its own or one that a sibling has left, is no longer late."""
        swapped = self._swapped(intent, others)
        return max([intent.intended_at, *(record.intended_at for record in swapped)]) + self.grace

    def _next_look(self, intent: Record, asked: datetime, until: datetime) -> str | None:
        """
        Return when to look in the history again, ISO 8601: ever later, and once when it can be said.

        :param asked: when the last look was asked for; None is returned where it could be said by then.
        """
        if asked >= until:
            return None
        now = self.clock()
        pause = min(max(now - intent.intended_at, SHORTEST_WAIT), LONGEST_WAIT)
        return max(now, min(now + pause, until)).isoformat()

    def _intent(
        self,
        now: datetime,
        *,
        former: tuple[str, ...],
        former_cost: float = 0.0,
        seen: tuple[str, ...] = (),
        ordered: tuple[str, ...] = (),
    ) -> Record:
        return Record(
            fingerprint=self.fingerprint,
            account=self.account,
            model=self.model,
            intended_at=now,
            price=self.price,
            high=self.high,
            former=former,
            former_cost=former_cost,
            seen=seen,
            ordered=ordered,
        )

    def _claim(self, record: Record) -> Claim:
        return Claim(task=self.task, run=self.run, record=record)

    def _called(self, claim: Claim) -> str:
        return claim.task if claim.run == self.run else f"{claim.task} in the run {claim.run}"

    def _alike(self, intent: Record, others: Iterable[Claim]) -> list[Claim]:
        """Return the tasks whose jobs cannot be told from this task's: same wish, same addresses of its files."""
        same = (self.fingerprint, intent.uploads)
        return [claim for claim in others if (claim.record.fingerprint, claim.record.uploads) == same]

    def _windows(self, intent: Record, others: Iterable[Claim]) -> list[Window]:
        """
        Return when the job that is left for this task may have been accepted.

        Another task that wants the same may have taken this task's job, while this task was gone, and left its own.
        """
        return [*(self._window(record) for record in self._swapped(intent, others)), self._window(intent)]

    def _swapped(self, intent: Record, others: Iterable[Claim]) -> list[Record]:
        """Return the records of other tasks that may hold this task's job; one that had its own receipt does not."""
        return [
            claim.record
            for claim in self._alike(intent, others)
            if claim.record.request_id is not None and claim.record.found
        ]

    def _window(self, record: Record) -> Window:
        return Window.after(record.intended_at, self.grace)


def fingerprint(model: str, payload: Mapping[str, Any]) -> str:
    """Return a digest of what is wanted."""
    return hashlib.sha256(json.dumps([model, payload], sort_keys=True).encode()).hexdigest()


def account(base_url: str, api_key: str) -> str:
    """Return a digest of whose account pays: another one may still be the same account, with another key."""
    return hashlib.sha256(json.dumps([base_url, api_key]).encode()).hexdigest()[:16]


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
    if record is None or record.version != RECORD_VERSION:
        raise SegmindInputError(
            f"The submission's stored record cannot be read ({_as_told(stored)}), so it is "
            "unknown whether a job runs already; nothing was sent. Look in Segmind's request history, then delete "
            "the task's state entry, or the Variable that holds it, and clear the task to submit again, or set "
            "adopt_request_id to take the job."
        )
    return record


def _as_told(stored: Any) -> str:
    try:
        return one_line(json.dumps(stored, default=str))[:200]
    except (TypeError, ValueError, RecursionError):
        return f"a {type(stored).__name__}"


def awaited_record(stored: Any, shown: Callable[[], Any]) -> Record:
    """
    Return the record of the accepted job that a task waits for.

    What the task has published is for its siblings: an attempt that Airflow has given up may still write there. It is
    looked at only where the record is gone, such as a Variable that was deleted by hand.

    :param stored: the task's record.
    :param shown: reads what the task has published.
    :raises SegmindError: neither tells.
    """
    record = read_record(stored)
    if record is None or record.request_id is None:
        record = next((claim.record for claim in read_claims([shown()])), None)
    if record is None or record.request_id is None:
        raise SegmindError(
            "The record of this task's job is gone, so it is not known which job it waits for; nothing was sent. Find "
            "the job in Segmind's request history, set adopt_request_id to its id, then clear this task."
        )
    return record


def nearest(claims: Iterable[Claim], row: HistoryRow) -> Claim:
    """Return which of the tasks that want the same has most likely made the row: the one that intended it last."""
    created = created_at(row)
    return min(
        claims,
        key=lambda claim: (
            abs(created - claim.record.intended_at) if created is not None else timedelta.max,
            claim.name,
        ),
    )


def as_left(record: Record) -> Record:
    """Return the record of an earlier attempt as siblings see it: no receipt is on its way any more."""
    if record.request_id is not None:
        return record
    return record.model_copy(update={"unclear": True, "high": 0.0 if record.refused else record.high})


def _jobs(record: Record | None) -> tuple[str, ...]:
    """Return every job that the task has had, as the API writes their ids."""
    if record is None:
        return ()
    return record.former if record.request_id is None else (*record.former, canonical_id(record.request_id))


def _is_job(record: Record, request_id: str) -> bool:
    return record.request_id is not None and canonical_id(record.request_id) == canonical_id(request_id)


def _takers(job: str, claims: Iterable[Claim]) -> list[tuple[str, str]]:
    """Return the names of the tasks that show a job as theirs."""
    return [claim.name for claim in claims if job in _jobs(claim.record)]


def _held(claims: Iterable[Claim]) -> set[str]:
    return {job for claim in claims for job in _jobs(claim.record)}


def _let_go(record: Record, takers: Iterable[Claim]) -> Record:
    """Return the record of a job that a sibling has taken: what is left to find is the sibling's own."""
    return record.model_copy(
        update={
            "request_id": None,
            "found": False,
            "refused": False,
            "accepted_at": None,
            "delivered": False,
            "cost": None,
            "intended_at": max(record.intended_at, *(claim.record.intended_at for claim in takers)),
            # A delivered job stays this task's; another one is the taker's only as long as that holds it.
            "former": _jobs(record) if record.delivered else record.former,
        }
    )
