"""An attempt that runs: how it begins, what its steps do in Airflow and at Segmind, and how it ends."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.budget.guard import BatchBalance, BudgetGuard
from airflow_provider_kling.segmind.errors import SegmindAmbiguousSubmitError, SegmindError
from airflow_provider_kling.segmind.identifiers import canonical_id
from airflow_provider_kling.segmind.schemas import Receipt
from airflow_provider_kling.submission import steps
from airflow_provider_kling.submission.policy import resumes_at
from airflow_provider_kling.submission.record import Claim, Record, withdrawn
from airflow_provider_kling.submission.steps import MadeElsewhereError, TakenError
from airflow_provider_kling.submission.submission import Submission, account, fingerprint
from prove import history
from prove.assumptions import (
    GRACE,
    MODEL,
    PRICE,
    SECOND,
    SLOWEST_POST,
    SLOWEST_STORE,
    START,
    WAITS_AT_MOST,
    moment,
    since_start,
)
from prove.attempts import Attempt, Throw
from prove.choices import Choices
from prove.naming import lost_submits, short
from prove.state import Violation
from prove.tasks import IDLE, RETURNED, RUNNING, STUCK, WAITING, AirflowDownError, Task, in_ledger, reusable, store

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from prove.attempts import Clock, Protocol

_KEYS = {"own": "k", "rotated": "k2", "other": "other"}


class Running(Choices):
    """A moment, and the attempts in it."""

    def _pass_to(self, when: int) -> None:
        if any(
            task.phase == RETURNED
            or (task.phase == RUNNING and (task.wake is None or task.wake <= self.now))
            or (task.phase == WAITING and (task.wake or 0) <= self.now)
            for task in self.tasks
        ):
            self.spend("stall")
            for number, task in enumerate(self.tasks):
                if task.phase in {RUNNING, RETURNED}:
                    self.tasks[number] = task = task.fork()  # noqa: PLW2901
                    task.faulty = True
                    task.seal()
        self.now = when

    def _start(self, task: Task) -> None:
        limits = [
            other.intended + (SLOWEST_POST if other.accepted is None else SLOWEST_STORE)
            for other in self.tasks
            if other.intended is not None
        ]
        self.now = max(self.now, min([self.now + START, *limits]))
        # Airflow deletes what the try before has published. A task that ends before it shows it again is not counted in
        # a budget until it is started once more: documented, and left out here.
        task.before, task.xcom = (None if self.scenario.budget is None else task.xcom), None
        if task.wanted != task.prompt or task.again:
            self.wanted = self.wanted + Counter([task.prompt])
        task.wanted, task.again, task.cleared, task.faulty, task.waits = task.prompt, False, False, False, 0
        task.tries += 1
        self._begin(task)

    def _resume(self, task: Task) -> None:
        self._begin(task)

    def _begin(self, task: Task) -> None:
        wish = self.scenario.tasks[task.number]
        payload = history.parameters(task.prompt)
        settings: dict[str, Any] = {
            "model": MODEL,
            "payload": payload,
            "fingerprint": fingerprint(MODEL, payload),
            "account": account("https://api.segmind.com", _KEYS[self.key_in_use]),
            "task": f"submit[{task.number}]",
            "run": wish.run,
            "forgotten": task.tries > 1 and self.scenario.airflow not in {"3.3", "ledger"},
            "try_number": task.tries % 2,  # a try is another one than that before it, and nothing else counts
            "grace": timedelta(microseconds=GRACE),
            "history_timeout": timedelta(seconds=self.scenario.looks_for),
            "reuses": self.scenario.reuses,
        }
        if self.scenario.budget is not None:
            guard = BudgetGuard(model=MODEL, high=PRICE, limit=self.scenario.budget, batch="submit", chance=_half)
            settings |= {"high": PRICE, "guard": guard}
        task.phase, task.wake = RUNNING, None
        task.key_held = self.key_in_use
        task.attempt = Attempt(partial(_attempt, self.protocol, settings), wish.ahead, self.now)
        self._reached(task)

    def _reached(self, task: Task) -> None:
        """Note what the attempt's next step means for what follows."""
        wish = self.scenario.tasks[task.number]
        match task.attempt.step if task.attempt is not None else None:
            case steps.Pause(seconds=seconds):
                task.wake = self.now + round(seconds * SECOND)
            case steps.Publish(claim=claim) if not claim.record.unclear and claim.record.request_id is None:
                task.intended = since_start(claim.record.intended_at) - wish.ahead

    def _answer(self, task: Task, value: Any) -> None:
        if task.attempt is None:
            raise RuntimeError("no attempt is there to be answered")
        task.wake = None
        was = task.attempt.step
        if isinstance(was, steps.Post):
            if not isinstance(value, Receipt):  # else the id has to be stored in time
                task.accepted = task.intended = None
        elif isinstance(was, steps.SaveRecord) and was.record.request_id is not None:
            task.accepted = task.intended = None
        try:
            task.attempt.answer(self.now, value)
        except StopIteration as end:
            task.returns, task.phase = end.value.request_id, RETURNED
            task.attempt = task.accepted = task.intended = None
            self.said.append(f"it returns request {short(end.value.request_id)}")
        except (SegmindError, AirflowDownError) as error:
            self._failed(task, error)
        else:
            self._reached(task)

    def _failed(self, task: Task, error: SegmindError | AirflowDownError) -> None:
        self.said.append(f"it ends with {type(error).__name__}: {error}")
        task.attempt = task.intended = task.accepted = task.wake = None
        task.xcom = task.before if task.xcom is None else task.xcom
        ahead = self.scenario.tasks[task.number].ahead
        self._name(str(error), final=not getattr(error, "retryable", True))
        again = resumes_at(error, moment(self.now + ahead), chance=0.5) if isinstance(error, SegmindError) else None
        if again is not None:
            task.phase, task.wake = WAITING, since_start(again) - ahead
            task.waits += 1
            self.said.append(f"in the same try it goes on at {since_start(again) / SECOND:g} s by its clock")
            if task.waits > WAITS_AT_MOST:
                raise Violation("4: a task hangs: its waits do not come to an end")
            return
        if not getattr(error, "retryable", True):
            task.phase = STUCK
            asks = isinstance(error, SegmindAmbiguousSubmitError) and self.scenario.person
            if not asks and type(error).__name__ != "KlingBudgetExceededError":
                raise Violation(f"5: a person has to help, although nothing calls for it: {error}")
            return
        task.phase = IDLE
        if not task.faulty:
            raise Violation(f"5: a try was used up although nothing went wrong in it: {error}")

    def _name(self, line: str, *, final: bool = False) -> None:
        self.named |= lost_submits(line, final=final)

    def _end(self, task: Task) -> None:
        task.phase, task.attempt = IDLE, None
        task.xcom = task.before if task.xcom is None else task.xcom
        task.accepted = task.intended = task.wake = task.returns = None

    def _go(self, task: Task) -> None:
        try:
            answer = self._carry_out(task)
        except TakenError:
            answer = Throw(_taken)
        except MadeElsewhereError:
            answer = Throw(_made)
        self._answer(task, answer)

    def _carry_out(self, task: Task, writes: int = 9) -> Any:  # noqa: C901, PLR0911, PLR0912 a case for each step
        """Do what a step asks for, with so many writes of the record at the most."""
        airflow = self.scenario.airflow
        wish = self.scenario.tasks[task.number]
        step: Any = task.attempt.step if task.attempt is not None else None
        match step:
            case steps.LoadRecord():
                return store(task, airflow).load()
            case steps.SaveRecord(record=kept, unusable=unusable):
                store(task, airflow, writes, others=self.tasks).save(kept, unusable=unusable)
            case steps.AskReusable(besides=besides):
                others = [other for other in self.tasks if other is not task]
                return reusable(task, others, self._intent(task), besides)
            case steps.AskKept():
                return True
            case steps.DeleteRecord():
                store(task, airflow, writes).delete()
            case steps.Publish(claim=claim) | steps.Deliver(claim=claim):
                task.xcom = claim.model_dump(mode="json")
                if not isinstance(step, steps.Deliver):
                    self._show(task)
            case steps.Withdraw():
                task.xcom = withdrawn(f"submit[{task.number}]", wish.run)
                self._show(task)
            case steps.AskRunning() if airflow == "ledger":  # nothing of theirs is hidden
                return []
            case steps.AskRunning(retried=retried):
                return [
                    f"submit[{other.number}]"
                    for other, its in zip(self.tasks, self.scenario.tasks, strict=True)
                    if (
                        other.phase == RUNNING
                        or (retried and other.phase == IDLE and other.tries and not other.cleared)
                    )
                    and its.run == wish.run
                ]
            case steps.AskSiblings():
                return self._claims(lambda run: run == wish.run)
            case steps.AskOtherRuns():
                return self._claims(lambda run: run != wish.run)
            case steps.AskBills():
                return []
            case steps.AskBalance():
                return BatchBalance(100.0, len(self.tasks))
            case steps.SearchHistory(since=since, until=until):
                jobs = tuple(job for job in self.jobs if job.row_at <= self.now and job.account == task.account)
                return history.look(
                    jobs, self.scenario.habits, present=moment(self.now + wish.ahead), since=since, until=until
                )
            case steps.AskOwner(request_id=request_id):
                known = (job for job in self.jobs if job.row_at <= self.now and job.account == task.account)
                return any(job.request_id == canonical_id(request_id) for job in known)
            case steps.Log(line=line):
                self._name(line)
                self.said.append(f"the log says: {line}")
            case steps.Pause() | steps.CheckPlace() | steps.AskCost():
                pass
            case _:
                raise RuntimeError(f"the model does not know the step {step}")
        return None

    def _intent(self, task: Task) -> Record:
        """Return what a task wants, as a record of now."""
        return Record(
            fingerprint=fingerprint(MODEL, history.parameters(task.prompt)),
            account=account("https://api.segmind.com", _KEYS[task.key_held]),
            model=MODEL,
            intended_at=moment(self.now + self.scenario.tasks[task.number].ahead),
        )

    def _show(self, task: Task) -> None:
        if self.scenario.airflow == "ledger" and task.row is not None:
            task.shown = task.xcom

    def _claims(self, of: Callable[[str], bool]) -> list[Any]:
        if self.scenario.airflow == "ledger":
            return [
                _read(shown)
                for task, wish in zip(self.tasks, self.scenario.tasks, strict=True)
                if (shown := in_ledger(task, wish.run)) is not None and of(wish.run)
            ]
        return [
            _read(task.xcom)
            for task, wish in zip(self.tasks, self.scenario.tasks, strict=True)
            if task.xcom is not None and of(wish.run)
        ]


def _read(xcom: Any) -> Any:
    """Return a claim as the protocol reads it: the same one is asked for thousands of times."""
    known = _CLAIMS.get(id(xcom))
    if known is None:
        if len(_CLAIMS) > _CLAIMS_AT_MOST:
            _CLAIMS.clear()
        # Beside what it was made of, so that no other object has its id.
        known = _CLAIMS[id(xcom)] = xcom, xcom if xcom["record"] is None else Claim.model_validate(xcom)
    return known[1]


_CLAIMS: dict[int, tuple[Any, Any]] = {}
_CLAIMS_AT_MOST = 50_000


def _attempt(protocol: Protocol, settings: dict[str, Any], clock: Clock) -> Generator[steps.Step, Any, Record]:
    return protocol(Submission(clock=clock.read, **settings))


def _made() -> Exception:
    return MadeElsewhereError("another task was faster")


def _taken() -> TakenError:
    return TakenError("another task has the job")


def _half() -> float:
    return 0.5
