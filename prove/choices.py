"""
Which events may come next.

Steps that touch nothing shared (a log line, the task's own record) commute with all that other tasks do. So nothing
of another task is tried between them, only what may happen to their own task: it may die before them and after them.
"""

from __future__ import annotations

from airflow_provider_kling.submission import steps
from prove.assumptions import GRACE, SECOND, SLOWEST_POST, SLOWEST_STORE, since_start
from prove.state import LETTERS, State
from prove.tasks import DONE, IDLE, RETURNED, RUNNING, WAITING, Task, record

#: Steps that nothing but the task itself sees.
_LOCAL = (steps.LoadRecord, steps.SaveRecord, steps.DeleteRecord, steps.Log, steps.CheckPlace, steps.AskCost)
#: Steps that change something in Airflow, and those that only read there.
_WRITES = (steps.SaveRecord, steps.DeleteRecord, steps.Publish, steps.Withdraw, steps.Deliver)
_READS = (
    steps.LoadRecord,
    steps.AskReusable,
    steps.AskSiblings,
    steps.AskOtherRuns,
    steps.AskRunning,
    steps.AskBills,
)
_SHOWS = (steps.Publish, steps.Withdraw, steps.Deliver)


class Choices(State):
    """A moment, and what may come of it."""

    def events(self) -> list[str]:
        """Return the events that may come next."""
        for task in self.tasks:
            if self._is_unseen(task):
                return self._of(task)
        found = [event for task in self.tasks for event in self._of(task)]
        if self._tick() is not None:
            found.append("tick")
        if self.may("rotate") and self.key_in_use == "own" and self.jobs:
            found.append("rotate")
        if self.may("move") and self.key_in_use == "own" and self.jobs:
            found.append("move")
        return found

    def _is_unseen(self, task: Task) -> bool:
        """Whether nobody but the task itself sees what it does next."""
        if task.phase == RETURNED:
            return not task.lingers
        step = task.attempt.step if task.attempt is not None else None
        if isinstance(step, steps.AskSiblings):
            return not self._has_others(task, same_run=True)
        if isinstance(step, steps.AskOtherRuns):
            return not self._has_others(task, same_run=False)
        if isinstance(step, steps.Publish) and not self.may("linger"):
            return bool(task.xcom == step.claim.model_dump(mode="json"))  # it stands there already
        if self.scenario.airflow == "ledger" and isinstance(step, steps.SaveRecord | steps.DeleteRecord):
            return len(self.tasks) == 1  # the others read it there
        return isinstance(step, _LOCAL)

    def _has_others(self, task: Task, *, same_run: bool) -> bool:
        own = self.scenario.tasks[task.number].run
        return any(
            (wish.run == own) == same_run for number, wish in enumerate(self.scenario.tasks) if number != task.number
        )

    def _of(self, task: Task) -> list[str]:
        what: list[str]
        if task.phase == RUNNING:
            what = self._while_running(task)
        elif task.phase == RETURNED:
            what = ["count", *self._faults(post_execute=["post_fails"])]
        elif task.phase == IDLE:
            what = [] if self._is_as_one_before(task) else ["start"]
            if task.tries:
                what += self._faults(clear=["clear"], change=["change"])
        elif task.phase == WAITING:
            what = [*(["resume"] if (task.wake or 0) <= self.now else []), *self._faults(clear=["clear"])]
        elif task.phase == DONE:
            what = self._faults(again=["clear"], undo=["undo"] if self.scenario.airflow == "2.11" else [])
        else:
            what = self._faults(clear=["clear"])
        if task.lingers:
            what.append("land")
        return [f"{LETTERS[task.number]}.{event}" for event in what]

    def _is_as_one_before(self, task: Task) -> bool:
        """
        Whether a task before it is the same in all but its name, so that what this one may begin that one begins.

        Names decide only where two intents are equally far from a row: a scenario leaves nothing out for that.
        """
        if self.scenario.every_name:
            return False
        before = zip(self.tasks[: task.number], self.scenario.tasks, strict=False)
        return not task.tries and any(
            not other.tries and wish == self.scenario.tasks[task.number] for other, wish in before
        )

    def _faults(self, **events: list[str]) -> list[str]:
        return [event for fault, found in events.items() if self.may(fault) for event in found]

    def _while_running(self, task: Task) -> list[str]:
        step = task.attempt.step if task.attempt is not None else None
        if isinstance(step, steps.Post) and task.accepted is None:
            late = ["accept_late"] if self.may("late") else []
            flying = ["die_flying", *(["die_flying_late"] if late and self.total > 1 else [])]
            return ["accept", *late, *self._faults(vanish=["vanish"], refuse=["refuse", "limit"], die=["die", *flying])]
        if isinstance(step, steps.Post):
            return ["reply", *self._faults(lose=["lose"], mask=["mask", "mask_limit"], die=["die"])]
        if isinstance(step, steps.Pause):
            return [*(["go"] if (task.wake or 0) <= self.now else []), *self._faults(die=["die"])]
        writes = isinstance(step, _WRITES)
        two = self.scenario.airflow in {"3.4", "ledger"} and isinstance(step, steps.SaveRecord | steps.DeleteRecord)
        found = ["go", *self._faults(die=["die", *(["die_after"] if writes else []), *(["die_half"] if two else [])])]
        if writes or (isinstance(step, _READS) and not getattr(step, "leave_out", False)):
            found += self._faults(down=["down", *(["down_after"] if writes else [])])
        if isinstance(step, steps.SearchHistory | steps.AskOwner):
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
                if task.wake <= self.now and not self.may("stall"):
                    return None
            elif task.phase in {RUNNING, RETURNED} and not self.may("stall"):
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
