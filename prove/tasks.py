"""What Airflow knows of one task, and what a person would know of it."""

from __future__ import annotations

import marshal
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.segmind.identifiers import canonical_id
from airflow_provider_kling.submission.audit_log import Conclusion
from airflow_provider_kling.submission.record import read_record
from airflow_provider_kling.submission.record_and_ledger import RecordAndLedger
from airflow_provider_kling.submission.record_store import RecordStore
from airflow_provider_kling.submission.steps import MadeElsewhereError, Reusable, TakenError
from prove.assumptions import GRACE

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from airflow_provider_kling.ledger.period_budget import Crossed
    from airflow_provider_kling.submission.record import Record
    from prove.attempts import Attempt

IDLE, RUNNING, WAITING, RETURNED, DONE, STUCK = "idle", "running", "waiting", "returned", "done", "stuck"


class AirflowDownError(Exception):
    """An error of Airflow's own: its API server did not answer."""


class Task:
    """
    One task; times are microseconds since the model's first moment.

    :param number: among the tasks of the model.
    :param prompt: what it wants now.
    :param phase: whether it may be started, runs, waits in the triggerer, has returned, is done, or needs a person.
    :param state: what Airflow keeps as its state; :param variable: and as a Variable.
    :param row: what the ledger keeps as its record; :param shown: what it shows others there in its place.
    :param concluded: what Airflow 2's audit log tells of its last job of which nothing more was wanted.
    :param success_cleared: whether its success was cleared after that.
    :param xcom: the claim that it shows, as JSON; :param before: what it showed before this start.
    :param attempt: what runs.
    :param wake: when its pause or its wait ends.
    :param sent: the number of jobs that came of its POSTs.
    :param accepted: the job of the POST that waits for its answer.
    :param intended: when the intent was made whose POST is still to come; None where there is none.
    :param key_held: the key that the attempt began with, "own", "rotated" or "other".
    :param returns: the job that the attempt returns.
    :param owns: the job that Airflow has counted as its success.
    :param wanted: the prompt that its last attempt wanted.
    :param again: whether it was cleared after its success, and so wants another job.
    :param cleared: whether it was cleared and not started since: Airflow does not count it as to be retried.
    :param faulty: whether anything has gone wrong in this try.
    :param waits: how often this try has given up waiting.
    :param tries: how many were started.
    :param lingers: an XCom of an attempt that was superseded, still to be written, in a tuple.
    """

    __slots__ = (
        "accepted",
        "again",
        "attempt",
        "before",
        "cleared",
        "concluded",
        "faulty",
        "intended",
        "key",
        "key_held",
        "lingers",
        "number",
        "owns",
        "phase",
        "prompt",
        "returns",
        "row",
        "sent",
        "shown",
        "state",
        "success_cleared",
        "tries",
        "variable",
        "waits",
        "wake",
        "wanted",
        "xcom",
    )

    def __init__(self, number: int, prompt: str) -> None:
        self.number = number
        self.prompt = prompt
        self.phase = IDLE
        self.state: Any = None
        self.variable: Any = None
        self.row: Any = None
        self.shown: Any = None
        self.concluded: str | None = None
        self.success_cleared = False
        self.xcom: Any = None
        self.before: Any = None
        self.attempt: Attempt | None = None
        self.wake: int | None = None
        self.sent = 0
        self.accepted: str | None = None
        self.intended: int | None = None
        self.key_held = "own"
        self.returns: str | None = None
        self.owns: str | None = None
        self.wanted: str | None = None
        self.again = False
        self.cleared = False
        self.faulty = False
        self.waits = 0
        self.tries = 0
        self.lingers: tuple[Any, ...] = ()
        self.key: tuple[Any, ...] = ()

    @property
    def account(self) -> str:
        """Who pays with that key; a rotated one is the same account's."""
        return "other" if self.key_held == "other" else "own"

    def fork(self) -> Task:
        """Return a copy."""
        other = Task.__new__(Task)
        for name in Task.__slots__:
            setattr(other, name, getattr(self, name))
        if self.attempt is not None:
            other.attempt = self.attempt.fork()
        return other

    def seal(self) -> None:
        """Note what its future depends on, right after an event."""
        if self.xcom is not None:
            self.before = None
        self.key = (
            self.phase,
            self.prompt,
            _stored(self.state),
            _stored(self.variable),
            _stored(self.row),
            _stored(self.shown),
            self.concluded,
            self.success_cleared,
            _stored(self.xcom),
            _stored(self.before),
            None if self.attempt is None else self.attempt.position(),
            self.wake,
            self.sent,
            self.accepted,
            self.intended,
            self.key_held,
            self.returns,
            self.owns,
            self.wanted,
            self.again,
            self.cleared,
            self.faulty,
            self.tries > 0,
            _stored(self.lingers),
        )


@dataclass(slots=True)
class Shelf:
    """
    Keeps one value of a task in Airflow, as its state or as a Variable.

    :param slot: the task's attribute.
    :param writes: how many more writes happen, counted in one list for all shelves of a task.
    """

    task: Task
    slot: str
    writes: list[int]

    def get(self, *_: Any) -> Any:
        """Return the value."""
        return getattr(self.task, self.slot)

    def set(self, *key_and_value: Any) -> None:
        """Write the value."""
        if not self.writes[0]:
            raise AirflowDownError
        self.writes[0] -= 1
        setattr(self.task, self.slot, key_and_value[-1])

    def delete(self, *_: Any) -> None:
        """Delete the value."""
        self.set(None)


@dataclass(slots=True)
class AuditLog:
    """What Airflow 2 keeps of a task's success, beside its Variable."""

    task: Task

    def add(self, text: str, *, succeeded: bool) -> None:
        """Add a record; that of a job which has FAILED stands as that of a cleared success does."""
        self.task.concluded, self.task.success_cleared = text, not succeeded

    def last(self) -> Conclusion | None:
        """Return the record that was added last."""
        return None if self.task.concluded is None else Conclusion(self.task.concluded, self.task.success_cleared)


@dataclass(slots=True)
class Ledger:
    """
    The ledger, as one task uses it.

    :param others: the other tasks of the model.
    """

    task: Task
    others: Sequence[Task]
    writes: list[int]

    def load(self) -> Any:
        """Return the record."""
        return self.task.row

    def save(
        self,
        record: Record,
        periods: Sequence[object] = (),  # noqa: ARG002 it has no money
        unusable: frozenset[str] | None = None,
    ) -> list[Crossed]:
        """Store the record, unless another task has its job, or one for the same that may be used again."""
        if unusable is not None and reusable(self.task, self.others, record, unusable) is not None:
            raise MadeElsewhereError("another task was faster")
        job = None if record.request_id is None else canonical_id(record.request_id)
        if any(job is not None and job in jobs_of(other.row) for other in self.others) and job not in record.ordered:
            raise TakenError("another task has the job")
        self._write(record.model_dump(mode="json"))
        return []

    def delete(self) -> None:
        """Delete the record."""
        self._write(None)

    def _write(self, value: Any) -> None:
        if not self.writes[0]:
            raise AirflowDownError
        self.writes[0] -= 1
        self.task.row, self.task.shown = value, None


def reusable(task: Task, others: Sequence[Task], intent: Record, besides: Collection[str] = ()) -> Reusable | None:
    """
    Return the job that makes what a task wants, as the ledger does.

    :param intent: of what is wanted, now.
    """
    found = []
    for other in (task, *others):
        kept = read_record(other.row)
        if kept is None or kept.fingerprint != intent.fingerprint or kept.account != intent.account:
            continue
        own = other is task
        is_young = kept.intended_at >= intent.intended_at - timedelta(microseconds=GRACE)
        if kept.request_id is None:
            if own or kept.has_no_job or not is_young:
                continue
        elif kept.request_id in besides or (kept.reused and not own):
            continue
        found.append(
            Reusable(request_id=kept.request_id, intended_at=kept.intended_at, accepted_at=kept.accepted_at, own=own)
        )
    return min(found, key=lambda job: (job.request_id is None, job.intended_at), default=None)


def in_ledger(task: Task, run: str) -> Any:
    """Return what the ledger shows others of a task, as JSON; None for nothing."""
    if task.shown is not None or task.row is None:
        return task.shown
    return {"task": f"submit[{task.number}]", "run": run, "record": task.row}


def jobs_of(row: Any) -> set[str]:
    """Return the jobs in a record, as JSON."""
    found = read_record(row)
    return set() if found is None else set(found.jobs)


def store(task: Task, airflow: str, writes: int = 9, *, others: Sequence[Task] = ()) -> RecordStore | RecordAndLedger:
    """Return the provider's own store of the task's record, as this Airflow keeps it."""
    left = [writes]
    if airflow == "ledger":
        beside = RecordStore(Shelf(task, "state", left), Shelf(task, "variable", left))
        return RecordAndLedger(beside, Ledger(task, [other for other in others if other is not task], left))
    state: Any = None if airflow in {"3.2", "2.11"} else Shelf(task, "state", left)
    variable: Any = None if airflow == "3.3" else Shelf(task, "variable", left)
    return RecordStore(state, variable, AuditLog(task) if airflow == "2.11" else None)


def record(task: Task, airflow: str) -> Record | None:
    """Return the task's record."""
    return read_record(store(task, airflow).load())


def _stored(value: Any) -> Any:
    """Return JSON as bytes: equal values are equal bytes in format 2, where nothing refers to an earlier object."""
    return value if value is None else marshal.dumps(value, 2)
