"""
The budget of a run in the world of the submission machine: anything may die, and the limit holds.

Every job may cost up to a dollar. One thing is left out: between the moment in which Airflow deletes a retried
task's XComs and the first step of its attempt, siblings do not see its job.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule, run_state_machine_as_test

from airflow_provider_kling.budget.guard import BatchBalance, BudgetGuard
from airflow_provider_kling.submission import steps
from tests.submission.test_submission_machine import EXAMPLES, HUNTS, MODEL, STEPS, Job, Task, World

PRICE = 1.0


class BudgetWorld(World):
    """Up to four tasks of one run that share a budget of one to three dollars."""

    def __init__(self) -> None:
        super().__init__()
        self.limit = 0.0
        self.billed: dict[str, float] = {}
        self.before: dict[str, object] = {}

    @initialize(
        prompts=st.lists(st.sampled_from(["a fox", "a fox", "an owl"]), min_size=1, max_size=4),
        limit=st.sampled_from([1.0, 2.0, 3.0]),
    )
    def begin(self, prompts: list[str], limit: float) -> None:
        self.tasks = [Task(f"submit[{number}]", prompt) for number, prompt in enumerate(prompts)]
        self.limit = limit

    def delete_xcom(self, task: Task) -> None:
        self.before[task.name] = task.xcom
        super().delete_xcom(task)

    def end(self, task: Task) -> None:
        """Leave out what is documented: a task that is killed before its first step is not counted for a while."""
        super().end(task)
        if task.xcom is None:
            task.xcom = self.before.get(task.name)

    def money(self) -> dict[str, object]:
        guard = BudgetGuard(model=MODEL, high=PRICE, limit=self.limit, batch="submit", chance=lambda: 0.5)
        return {"high": PRICE, "guard": guard}

    def bills(self) -> list[object]:
        return [{"request_id": request_id, "cost": cost} for request_id, cost in self.billed.items()]

    def cost(self, request_id: str | None) -> float | None:
        return self.billed.get(request_id or "")

    def carry_out(self, task: Task) -> object:
        match task.step:
            case steps.AskBalance():
                return BatchBalance(100.0)
            case steps.AskRunning(retried=True):
                return [other.name for other in self.tasks if other.starts and not (other.done or other.stuck)]
        return super().carry_out(task)

    def accept(self, task: Task, row_after: float, later: float = 0) -> Job:
        job = super().accept(task, row_after, later)
        spent = sum(self.billed.get(job.request_id, PRICE) for job in self.jobs)
        assert spent <= self.limit, f"{spent} may be billed, {self.limit} are allowed"
        STEPS["paid"] += 1
        STEPS["paid to the last cent"] += spent == self.limit
        return job

    @precondition(lambda self: any(job.request_id not in self.billed for job in self.jobs))
    @rule(choice=st.integers(0, 2), cost=st.sampled_from([0.0, 0.25, 1.0]))
    def a_sensor_tells_a_bill(self, choice: int, cost: float) -> None:
        open_jobs = [job for job in self.jobs if job.request_id not in self.billed]
        self.billed[open_jobs[choice % len(open_jobs)].request_id] = cost


def test_the_jobs_of_a_run_never_may_cost_more_than_its_budget_whatever_dies_when():
    run_state_machine_as_test(
        BudgetWorld,
        settings=settings(
            max_examples=EXAMPLES,
            derandomize=not HUNTS,
            stateful_step_count=60,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
    assert STEPS["paid"] >= EXAMPLES
    assert STEPS["paid to the last cent"] >= EXAMPLES // 8
