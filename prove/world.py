"""
Airflow, Segmind and the clocks around the real protocol: which events may come next, and what each does.

An event is a text such as ``a.go`` or ``tick``: who, and what. Steps that touch nothing shared (a log line, the
task's own record) commute with all that other tasks do. So nothing of another task is tried between them, only
what may happen to their own task: it may die before them and after them.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.segmind import steps
from airflow_provider_kling.segmind.errors import (
    SegmindAmbiguousSubmitError,
    SegmindError,
    SegmindRateLimitError,
    SegmindServerError,
)
from airflow_provider_kling.segmind.matching import canonical_id
from airflow_provider_kling.segmind.resuming import resumes_at
from airflow_provider_kling.segmind.schemas import Receipt
from airflow_provider_kling.segmind.spending import Funds, Purse
from airflow_provider_kling.segmind.submission import Submission, account, fingerprint
from prove import history
from prove.assumptions import (
    GRACE,
    LATEST_ROW,
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
from prove.history import Job
from prove.naming import lost_submits, sent_at
from prove.scenarios import FOX, OWL
from prove.tasks import DONE, IDLE, RETURNED, RUNNING, STUCK, WAITING, AirflowDownError, Task, record, store

if TYPE_CHECKING:
    from collections.abc import Generator

    from prove.attempts import Clock
    from prove.scenarios import Scenario

#: Steps that nothing but the task itself sees.
_LOCAL = (steps.Recall, steps.Keep, steps.Forget, steps.Tell)
#: Steps that change something in Airflow, and those that only read there.
_WRITES = (steps.Keep, steps.Forget, steps.Publish, steps.Withdraw, steps.Deliver)
_READS = (steps.Recall, steps.AskSiblings, steps.AskBills)
_SHOWS = (steps.Publish, steps.Withdraw, steps.Deliver)
_KEYS = {"own": "k", "rotated": "k2", "other": "other"}


class Violation(Exception):  # noqa: N818 it is what was looked for, not an error of the program
    """The protocol broke a promise."""


class World:
    """
    One moment of a scenario.

    :param protocol: the submission's class; another one only to see whether its defect is found.
    """

    def __init__(self, scenario: Scenario, protocol: type[Submission] = Submission) -> None:
        self.scenario = scenario
        self.protocol = protocol
        self.now = 0
        self.tasks = [Task(number, wish.prompt) for number, wish in enumerate(scenario.tasks)]
        self.jobs: tuple[Job, ...] = ()
        self.wanted: Counter[str] = Counter()
        #: How often each fault may still happen, and how many in all.
        self.left: dict[str, int] = dict(scenario.faults)
        self.total = scenario.total
        #: What messages that end a search say of jobs: ids, and times of submits.
        self.named: frozenset[str] = frozenset()
        self.delivered: frozenset[str] = frozenset()
        self.key_in_use = "own"
        #: The story's words for what an event has led to.
        self.said: list[str] = []
        for task in self.tasks:
            task.seal()

    def fork(self) -> World:
        """Return a copy; tasks are copied when something happens to them."""
        other = World.__new__(World)
        other.__dict__.update(self.__dict__)
        other.tasks = list(self.tasks)
        other.said = []
        return other

    def key(self) -> tuple[Any, ...]:
        """Return all that the future depends on."""
        return (
            self.now,
            tuple(task.key for task in self.tasks),
            tuple(tuple(job) for job in sorted(self.jobs)),
            tuple(sorted(self.wanted.items())),
            tuple(sorted(self.left.items())),
            self.total,
            tuple(sorted(self.named)),
            tuple(sorted(self.delivered)),
            self.key_in_use,
        )

    # --- which events may come next

    def events(self) -> list[str]:
        """Return the events that may come next."""
        for task in self.tasks:
            if task.phase == RUNNING and task.attempt is not None and isinstance(task.attempt.step, _LOCAL):
                return self._of(task)
        found = [event for task in self.tasks for event in self._of(task)]
        if self._tick() is not None:
            found.append("tick")
        if self._may("rotate") and self.key_in_use == "own" and self.jobs:
            found.append("rotate")
        if self._may("move") and self.key_in_use == "own" and self.jobs:
            found.append("move")
        return found

    @property
    def ended(self) -> bool:
        """Whether every task has come to its end."""
        return all(task.phase in {DONE, STUCK} for task in self.tasks)

    def _may(self, fault: str) -> bool:
        return self.total > 0 and self.left.get(fault, 0) > 0

    def _of(self, task: Task) -> list[str]:
        what: list[str]
        if task.phase == RUNNING:
            what = self._while_running(task)
        elif task.phase == RETURNED:
            what = ["count", *self._faults(post_execute=["post_fails"])]
        elif task.phase == IDLE:
            what = ["start"]
            if task.tries:
                what += self._faults(clear=["clear"], change=["change"])
        elif task.phase == WAITING:
            what = [*(["resume"] if (task.wake or 0) <= self.now else []), *self._faults(clear=["clear"])]
        elif task.phase == DONE:
            what = self._faults(again=["clear"])
        else:
            what = self._faults(clear=["clear"])
        if task.lingers and task.attempt is not None:
            what.append("land")
        return [f"{'abcdef'[task.number]}.{event}" for event in what]

    def _faults(self, **events: list[str]) -> list[str]:
        return [event for fault, found in events.items() if self._may(fault) for event in found]

    def _while_running(self, task: Task) -> list[str]:
        step = task.attempt.step if task.attempt is not None else None
        if isinstance(step, steps.Post) and task.accepted is None:
            late = ["accept_late"] if self._may("late") else []
            flying = ["die_flying", *(["die_flying_late"] if late and self.total > 1 else [])]
            return ["accept", *late, *self._faults(vanish=["vanish"], refuse=["refuse", "limit"], die=["die", *flying])]
        if isinstance(step, steps.Post):
            return ["reply", *self._faults(lose=["lose"], mask=["mask", "mask_limit"], die=["die"])]
        if isinstance(step, steps.Pause):
            return [*(["go"] if (task.wake or 0) <= self.now else []), *self._faults(die=["die"])]
        writes = isinstance(step, _WRITES)
        two = self.scenario.airflow == "3.4" and isinstance(step, steps.Keep | steps.Forget)
        found = ["go", *self._faults(die=["die", *(["die_after"] if writes else []), *(["die_half"] if two else [])])]
        if writes or isinstance(step, _READS):
            found += self._faults(down=["down", *(["down_after"] if writes else [])])
        if isinstance(step, steps.Look | steps.AskOwner):
            found += self._faults(unread=["unread"])
        if isinstance(step, _SHOWS):
            found += self._faults(linger=["linger"])
        return found

    def _tick(self) -> int | None:
        """Return the moment to which time may pass: the next one in which anything may be otherwise."""
        moments: set[int] = {job.row_at for job in self.jobs}
        limits: list[int] = []
        for task, wish in zip(self.tasks, self.scenario.tasks, strict=True):
            if task.phase in {RUNNING, WAITING} and task.wake is not None:
                moments.add(task.wake)
                if task.wake <= self.now and not self._may("stall"):
                    return None
            elif task.phase in {RUNNING, RETURNED} and not self._may("stall"):
                return None
            if task.intended is not None:
                limits.append(task.intended + (SLOWEST_POST if task.accepted is None else SLOWEST_STORE))
            if task.phase == IDLE and (stored := record(task, self.scenario.airflow)) and stored.request_id is None:
                over = since_start(stored.intended_at) - wish.ahead + GRACE
                moments |= {over - SECOND, over}
        to_come = [when for when in moments if when > self.now]
        if not to_come or (limits and min(limits) <= self.now):
            return None
        return min([*to_come[:0], min(to_come), *limits])

    # --- what each does

    def happen(self, event: str) -> None:
        """
        Carry out an event.

        :raises Violation: it breaks a promise at once.
        """
        if event == "tick":
            self._pass_to(self._tick() or self.now)
            return
        if event in {"rotate", "move"}:
            self._spend(event)
            self.key_in_use = "rotated" if event == "rotate" else "other"
            self.said.append(
                f"the connection has {'another key of the same' if event == 'rotate' else 'another'} account"
            )
            return
        name, what = event.split(".", 1)
        number = "abcdef".index(name)
        task = self.tasks[number] = self.tasks[number].fork()
        getattr(self, f"_{what}")(task)
        task.seal()
        if self.total < 0:
            raise RuntimeError("a fault more than the scenario has")

    def _spend(self, fault: str, task: Task | None = None) -> None:
        self.left = {**self.left, fault: self.left[fault] - 1}
        self.total -= 1
        if task is not None:
            task.faulty = True

    def _pass_to(self, when: int) -> None:
        if any(
            task.phase == RETURNED
            or (task.phase == RUNNING and (task.wake is None or task.wake <= self.now))
            or (task.phase == WAITING and (task.wake or 0) <= self.now)
            for task in self.tasks
        ):
            self._spend("stall")
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
        if task.tries and self.scenario.budget is None:
            task.xcom = None  # Airflow deletes what the try before has published
        if task.wanted != task.prompt or task.again:
            self.wanted = self.wanted + Counter([task.prompt])
        task.wanted, task.again, task.faulty, task.waits = task.prompt, False, False, 0
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
            "grace": timedelta(microseconds=GRACE),
            "history_timeout": timedelta(seconds=self.scenario.looks_for),
        }
        if "run" in Submission.__dataclass_fields__:
            settings["run"] = wish.run
        if self.scenario.budget is not None:
            purse = Purse(model=MODEL, high=PRICE, limit=self.scenario.budget, batch="submit", chance=_half)
            settings |= {"high": PRICE, "purse": purse}
        task.phase, task.wake = RUNNING, None
        task.account = "other" if self.key_in_use == "other" else "own"
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
            task.accepted = None
            if not isinstance(value, Receipt):
                task.intended = None
        elif isinstance(was, steps.Keep) and was.record.request_id is not None:
            task.intended = None
        try:
            task.attempt.answer(self.now, value)
        except StopIteration as end:
            task.returns, task.phase, task.attempt, task.intended = end.value.request_id, RETURNED, None, None
            self.said.append(f"it returns request {short(end.value.request_id)}")
        except (SegmindError, AirflowDownError) as error:
            self._failed(task, error)
        else:
            self._reached(task)

    def _failed(self, task: Task, error: SegmindError | AirflowDownError) -> None:
        self.said.append(f"it ends with {type(error).__name__}: {error}")
        task.attempt = task.intended = task.accepted = task.wake = None
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
        task.accepted = task.intended = task.wake = task.returns = None

    def _go(self, task: Task) -> None:
        self._answer(task, self._carry_out(task))

    def _carry_out(self, task: Task, writes: int = 9) -> Any:  # noqa: C901, PLR0912 one case for each step
        """Do what a step asks for, with so many writes of the record at the most."""
        airflow = self.scenario.airflow
        wish = self.scenario.tasks[task.number]
        step: Any = task.attempt.step if task.attempt is not None else None
        match step:
            case steps.Recall():
                return store(task, airflow).load()
            case steps.Keep(record=kept):
                store(task, airflow, writes).save(kept)
            case steps.Forget():
                store(task, airflow, writes).delete()
            case steps.Publish(claim=claim) | steps.Deliver(claim=claim):
                task.xcom = claim.model_dump(mode="json")
            case steps.Withdraw():
                task.xcom = None
            case steps.AskSiblings():
                return self._claims(lambda run: run == wish.run)
            case steps.AskBills():
                return []
            case steps.AskFunds():
                return Funds(100.0, len(self.tasks))
            case steps.Look(since=since, until=until):
                jobs = tuple(job for job in self.jobs if job.row_at <= self.now and job.account == task.account)
                return history.look(
                    jobs, self.scenario.habits, present=moment(self.now + wish.ahead), since=since, until=until
                )
            case steps.AskOwner(request_id=request_id):
                known = (job for job in self.jobs if job.row_at <= self.now and job.account == task.account)
                return any(job.request_id == canonical_id(request_id) for job in known)
            case steps.Tell(line=line):
                self._name(line)
                self.said.append(f"the log says: {line}")
            case steps.Pause():
                pass
            case _ if type(step).__name__ == "AskOtherRuns":
                return self._claims(lambda run: run != wish.run)
            case _:
                raise RuntimeError(f"the model does not know the step {step}")
        return None

    def _claims(self, of: Any) -> list[Any]:
        return [
            task.xcom
            for task, wish in zip(self.tasks, self.scenario.tasks, strict=True)
            if task.xcom is not None and of(wish.run)
        ]

    # POST

    def _accept(self, task: Task, row_after: int = 0, created: int | None = None) -> None:
        kept = record(task, self.scenario.airflow)
        if kept is None:
            raise Violation("1: a POST is sent without a stored intent")
        created = self.now if created is None else created
        job = Job(
            request_id=f"00000000-0000-4000-8000-{task.number:04d}{task.sent:08d}",
            task=task.number,
            prompt=task.prompt if task.wanted is None else task.wanted,
            sent_at=sent_at(kept.intended_at),
            account=task.account,
            created=created,
            row_at=created + row_after,
        )
        task.sent += 1
        task.accepted = job.request_id
        self.jobs = (*self.jobs, job)
        self.said.append(f"Segmind bills request {short(job.request_id)}")

    def _accept_late(self, task: Task) -> None:
        self._spend("late")
        self._accept(task, LATEST_ROW)

    def _reply(self, task: Task) -> None:
        self._answer(task, Receipt(request_id=task.accepted or ""))

    def _vanish(self, task: Task) -> None:
        self._spend("vanish", task)
        self._answer(task, Throw(_no_answer))

    def _lose(self, task: Task) -> None:
        self._spend("lose", task)
        self._answer(task, Throw(_no_answer))

    def _refuse(self, task: Task) -> None:
        self._spend("refuse", task)
        self._answer(task, Throw(_server_error))

    def _limit(self, task: Task) -> None:
        self._spend("refuse", task)
        self._answer(task, Throw(partial(_rate_limit, moment(self.now + 30 * SECOND).isoformat())))

    def _mask(self, task: Task) -> None:
        self._spend("mask", task)
        self._answer(task, Throw(_server_error))

    def _mask_limit(self, task: Task) -> None:
        self._spend("mask", task)
        self._answer(task, Throw(partial(_rate_limit, moment(self.now + 30 * SECOND).isoformat())))

    # deaths and other faults

    def _die(self, task: Task) -> None:
        self._spend("die", task)
        self._end(task)

    def _die_after(self, task: Task) -> None:
        self._carry_out(task)
        self._die(task)

    def _die_half(self, task: Task) -> None:
        with suppress(AirflowDownError):
            self._carry_out(task, 1)
        self._die(task)

    def _die_flying(self, task: Task, row_after: int = 0) -> None:
        """Die with the POST on its way, which is taken up as late as any is."""
        self._accept(task, row_after, max(self.now, (task.intended or self.now) + SLOWEST_POST))
        self._die(task)

    def _die_flying_late(self, task: Task) -> None:
        self._spend("late")
        self._die_flying(task, LATEST_ROW)

    def _down(self, task: Task) -> None:
        self._spend("down", task)
        self._answer(task, Throw(AirflowDownError))

    def _down_after(self, task: Task) -> None:
        self._carry_out(task)
        self._down(task)

    def _unread(self, task: Task) -> None:
        self._spend("unread", task)
        self._answer(task, Throw(_server_error))

    def _linger(self, task: Task) -> None:
        """Airflow gives the attempt up; what it is about to show is written later."""
        step: Any = task.attempt.step if task.attempt is not None else None
        self._spend("linger", task)
        task.lingers = (None if isinstance(step, steps.Withdraw) else step.claim.model_dump(mode="json"),)
        self._end(task)

    def _land(self, task: Task) -> None:
        task.xcom = task.lingers[0]
        task.lingers = ()

    # ends

    def _count(self, task: Task) -> None:
        """Airflow counts the success, and the task's process notes it."""
        if task.returns is None:
            raise RuntimeError("nothing was returned")
        task.phase, task.owns, task.returns = DONE, task.returns, None
        self.delivered |= {canonical_id(task.owns)}
        store(task, self.scenario.airflow).conclude()

    def _post_fails(self, task: Task) -> None:
        self._spend("post_execute", task)
        self._end(task)

    # people

    def _clear(self, task: Task) -> None:
        self._spend("again" if task.phase == DONE else "clear")
        task.again |= task.phase == DONE
        self._end(task)
        task.owns = None
        task.waits = 0
        if self.scenario.airflow == "3.4":
            task.state = task.xcom = None

    def _change(self, task: Task) -> None:
        self._spend("change")
        task.prompt = OWL if task.prompt == FOX else FOX


def short(request_id: str | None) -> str:
    """Return a request id of the model as a story tells it: whose it is, and which."""
    return "none" if request_id is None else f"{'abcdef'[int(request_id[24:28])]}{int(request_id[28:])}"


def _attempt(
    protocol: type[Submission], settings: dict[str, Any], clock: Clock
) -> Generator[steps.Step, Any, steps.Record]:
    return protocol(clock=clock.read, **settings).attempt()


def _no_answer() -> Exception:
    return SegmindAmbiguousSubmitError("no answer")


def _server_error() -> Exception:
    return SegmindServerError("HTTP 500", status_code=500)


def _rate_limit(reset_at: str) -> Exception:
    return SegmindRateLimitError("HTTP 429", status_code=429, reset_at=reset_at)


def _half() -> float:
    return 0.5
