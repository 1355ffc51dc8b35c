"""
Airflow, Segmind and the clocks around the real protocol: what each event does.

An event is a text such as ``a.go`` or ``tick``: who, and what.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any

from airflow_provider_kling.segmind.errors import (
    SegmindAmbiguousSubmitError,
    SegmindError,
    SegmindRateLimitError,
    SegmindServerError,
)
from airflow_provider_kling.segmind.identifiers import canonical_id
from airflow_provider_kling.segmind.schemas import Receipt
from airflow_provider_kling.submission import steps
from airflow_provider_kling.submission.record import awaited_record, withdrawn
from prove.assumptions import LATEST_ROW, SECOND, SLOWEST_POST, moment
from prove.attempts import Throw
from prove.history import Job
from prove.naming import sent_at, short
from prove.running import Running
from prove.scenarios import FOX, OWL
from prove.state import LETTERS, Violation
from prove.tasks import DONE, AirflowDownError, Task, record, store


class World(Running):
    """A moment to which events happen; for each there is a method of its name."""

    def happen(self, event: str) -> None:
        """
        Carry out an event.

        :raises Violation: it breaks a promise at once.
        """
        if event == "tick":
            self._pass_to(self._tick() or self.now)
            return
        if event in {"rotate", "move"}:
            self.spend(event)
            self.key_in_use = "rotated" if event == "rotate" else "other"
            self.said.append(
                f"the connection has {'another key of the same' if event == 'rotate' else 'another'} account"
            )
            return
        name, what = event.split(".", 1)
        number = LETTERS.index(name)
        task = self.tasks[number] = self.tasks[number].fork()
        getattr(self, f"_{what}")(task)
        task.seal()
        if self.total < 0:
            raise RuntimeError("a fault more than the scenario has")

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
        self.spend("late")
        self._accept(task, LATEST_ROW)

    def _reply(self, task: Task) -> None:
        self._answer(task, Receipt(request_id=task.accepted or ""))

    def _vanish(self, task: Task) -> None:
        self.spend("vanish", task)
        self._answer(task, Throw(_no_answer))

    def _lose(self, task: Task) -> None:
        self.spend("lose", task)
        self._answer(task, Throw(_no_answer))

    def _refuse(self, task: Task) -> None:
        self.spend("refuse", task)
        self._answer(task, Throw(_server_error))

    def _limit(self, task: Task) -> None:
        self.spend("refuse", task)
        self._answer(task, Throw(partial(_rate_limit, moment(self.now + 30 * SECOND).isoformat())))

    def _mask(self, task: Task) -> None:
        self.spend("mask", task)
        self._answer(task, Throw(_server_error))

    def _mask_limit(self, task: Task) -> None:
        self.spend("mask", task)
        self._answer(task, Throw(partial(_rate_limit, moment(self.now + 30 * SECOND).isoformat())))

    # deaths and other faults

    def _die(self, task: Task) -> None:
        self.spend("die", task)
        self._end(task)

    def _die_after(self, task: Task) -> None:
        with suppress(steps.MadeElsewhereError):
            self._carry_out(task)
        self._die(task)

    def _die_half(self, task: Task) -> None:
        with suppress(AirflowDownError, steps.MadeElsewhereError):
            self._carry_out(task, 1)
        self._die(task)

    def _die_flying(self, task: Task, row_after: int = 0) -> None:
        """Die with the POST on its way, which is taken up as late as any is."""
        self._accept(task, row_after, max(self.now, (task.intended or self.now) + SLOWEST_POST))
        self._die(task)

    def _die_flying_late(self, task: Task) -> None:
        self.spend("late")
        self._die_flying(task, LATEST_ROW)

    def _down(self, task: Task) -> None:
        self.spend("down", task)
        self._answer(task, Throw(AirflowDownError))

    def _down_after(self, task: Task) -> None:
        with suppress(steps.MadeElsewhereError):
            self._carry_out(task)
        self._down(task)

    def _unread(self, task: Task) -> None:
        self.spend("unread", task)
        self._answer(task, Throw(_server_error))

    def _linger(self, task: Task) -> None:
        """Airflow gives the attempt up; what it is about to show is written later."""
        step: Any = task.attempt.step if task.attempt is not None else None
        self.spend("linger", task)
        nothing = withdrawn(f"submit[{task.number}]", self.scenario.tasks[task.number].run)
        task.lingers = (nothing if isinstance(step, steps.Withdraw) else step.claim.model_dump(mode="json"),)
        self._end(task)

    def _land(self, task: Task) -> None:
        task.xcom = task.lingers[0]
        task.lingers = ()

    # ends

    def _count(self, task: Task) -> None:
        """Airflow counts the success, and the task's process notes it."""
        if task.returns is None:
            raise RuntimeError("nothing was returned")
        self._wait_for(task, task.returns)
        task.phase, task.owns, task.returns = DONE, task.returns, None
        job = canonical_id(task.owns)
        if self.scenario.reuses:  # that is what is wanted
            self.delivered |= {job}
        elif any(
            other.owns is not None and canonical_id(other.owns) == job for other in self.tasks if other is not task
        ):
            raise Violation(f"6: two tasks end with the same job: {short(job)}")
        elif job in self.delivered:
            raise Violation(f"5: request {short(job)} was delivered before and is again, in place of what is wanted")
        self.delivered |= {job}
        store(task, self.scenario.airflow).conclude(None, succeeded=True)

    def _wait_for(self, task: Task, request_id: str) -> None:
        """Go on after a wait, as KlingGenerateOperator does in another process: it asks which job it waits for."""
        try:
            awaited = awaited_record(store(task, self.scenario.airflow).load(), lambda: task.xcom)
        except SegmindError as error:
            raise Violation(f"4: a wait is forgotten: {error}") from error
        if awaited.request_id != request_id:
            raise Violation(f"4: it waits for request {short(awaited.request_id)} in place of {short(request_id)}")

    def _post_fails(self, task: Task) -> None:
        self.spend("post_execute", task)
        self._end(task)

    def _undo(self, task: Task) -> None:
        """Airflow 2 retries the task for a failure before its success."""
        self.spend("undo")
        self.delivered -= {canonical_id(task.owns or "")}
        self._end(task)
        task.owns = None

    # people

    def _clear(self, task: Task) -> None:
        self.spend("again" if task.phase == DONE else "clear")
        task.again |= task.phase == DONE
        task.success_cleared |= task.phase == DONE and self.scenario.airflow == "2.11"
        self._end(task)
        task.owns = None
        task.cleared = True
        task.waits = 0
        if self.scenario.airflow in {"3.4", "ledger"}:
            task.state = task.xcom = None

    def _change(self, task: Task) -> None:
        self.spend("change")
        task.prompt = OWL if task.prompt == FOX else FOX


def _no_answer() -> Exception:
    return SegmindAmbiguousSubmitError("no answer")


def _server_error() -> Exception:
    return SegmindServerError("HTTP 500", status_code=500)


def _rate_limit(reset_at: str) -> Exception:
    return SegmindRateLimitError("HTTP 429", status_code=429, reset_at=reset_at)
