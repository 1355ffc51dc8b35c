"""What a cleared task's former jobs count in the budget of the run, and when its cost is told again."""

from __future__ import annotations

import os

import pytest

from tests.conftest import AIRFLOW_3_3, AIRFLOW_3_4

MODEL = "kling-o1"
PRICE = 0.035
DAG_FILE = """
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_kling.budget import KlingBudget
from airflow_provider_kling.operators.cost import KlingRunCostOperator
from airflow_provider_kling.operators.kling import KlingGenerateOperator, KlingSubmitOperator
from airflow_provider_kling.payloads import O1Image
from airflow_provider_kling.sensors.kling import KlingSensor

PAYLOAD = O1Image(prompt="{{{{ run_id }}}}", image_urls=[{picture!r}])

with DAG("refilled_generate", schedule=None):
    clip = KlingGenerateOperator(task_id="clip", payload=PAYLOAD, budget=KlingBudget({limit}))
    clip >> KlingRunCostOperator(task_id="cost")

with DAG("refilled_mapped", schedule=None):
    KlingGenerateOperator.partial(task_id="clip", budget=KlingBudget({limit})).expand(payload=[PAYLOAD] * 4)

with DAG("refilled_pair", schedule=None):
    submit = KlingSubmitOperator(task_id="submit", payload=PAYLOAD, budget=KlingBudget({limit}))
    KlingSensor(task_id="done", request_id=submit.output) >> KlingRunCostOperator(task_id="cost")
"""

keeps_the_record = pytest.mark.skipif(
    (not AIRFLOW_3_3 or AIRFLOW_3_4) and os.environ.get("LEDGER") != "1",
    reason="elsewhere, without a ledger, a clear forgets the former job, and what it cost",
)


def jobs(sim, run_id):
    return [job for job in sim.ledger()["jobs"] if job["inputs"]["prompt"] == run_id]


@pytest.fixture
def cleared(running, sim):
    """Return a function that writes the DAGs with a limit and runs one."""

    def run(dag_id, run_id, limit):
        text = DAG_FILE.format(picture=f"{sim.url}/simulator/inputs/robot.png", limit=limit)
        running.write_dag("refilled", text)
        running.trigger(dag_id, run_id)
        running.run_ends(run_id)

    return run


@keeps_the_record
@pytest.mark.parametrize(("dag_id", "task_id"), [("refilled_generate", "clip"), ("refilled_pair", "submit")])
def test_a_job_that_failed_at_no_cost_leaves_the_budget_to_the_cleared_task(cleared, running, sim, dag_id, task_id):
    """Only one job fits the budget: the one that content rules blocked is not it."""
    sim.order_fault("fail_job", model=MODEL, error="Content policy violation")
    run_id = f"{dag_id}-blocked"
    cleared(dag_id, run_id, 1.5 * PRICE)
    assert running.run_state(run_id) == "failed"
    running.clear(dag_id, run_id, task_id)
    assert running.run_ends(run_id) == "success", running.last_words()
    assert [job["status"] for job in jobs(sim, run_id)] == ["FAILED", "COMPLETED"]
    assert running.xcom(run_id, "cost")["total"] == pytest.approx(PRICE)


@keeps_the_record
def test_a_cleared_task_counts_what_its_former_job_was_billed(cleared, running, sim):
    """Two jobs fit the budget, three do not: what was billed before a clear stays spent."""
    cleared("refilled_generate", "spent", 2.5 * PRICE)
    running.clear("refilled_generate", "spent", "clip")
    assert running.run_ends("spent") == "success", running.last_words()
    running.clear("refilled_generate", "spent", "clip")
    assert running.run_ends("spent") == "failed"
    assert len(jobs(sim, "spent")) == 2


@keeps_the_record
def test_tasks_that_are_cleared_together_count_what_each_of_them_was_billed(cleared, running, sim):
    """Airflow deletes what they have shown as it starts them, all at once: each waits for what the others tell."""
    cleared("refilled_mapped", "together", 2.5 * PRICE)
    assert running.states("together") == ["failed", "failed", "success", "success"]
    for _ in range(3):
        running.clear("refilled_mapped", "together", "clip")
        running.run_ends("together")
        assert len(jobs(sim, "together")) == 2


@keeps_the_record
def test_what_a_run_cost_is_told_anew_when_it_is_cleared_with_the_tasks_before_it(cleared, running, sim):
    cleared("refilled_generate", "told", 9 * PRICE)
    running.clear("refilled_generate", "told", "clip")
    assert running.run_ends("told") == "success", running.last_words()
    assert running.xcom("told", "cost")["total"] == pytest.approx(2 * PRICE)


@keeps_the_record
def test_after_a_clear_without_it_what_a_run_cost_is_told_anew_by_clearing_it_alone(cleared, running, sim):
    """Airflow runs no task again that was not cleared, a teardown neither; only this one knows of what came after."""
    sim.order_fault("fail_job", model=MODEL, error="Content policy violation")
    cleared("refilled_pair", "left-out", 9 * PRICE)
    running.clear("refilled_pair", "left-out", "submit", downstream=False)
    running.run_ends("left-out")
    running.clear("refilled_pair", "left-out", only_failed=True)
    assert running.run_ends("left-out") == "success", running.last_words()
    assert running.xcom("left-out", "cost")["total"] == 0.0
    running.clear("refilled_pair", "left-out", "cost")
    assert running.run_ends("left-out") == "success", running.last_words()
    told = running.xcom("left-out", "cost")
    assert (told["total"], told["jobs"], told["failed"]) == (pytest.approx(PRICE), 2, 1)
    assert len(jobs(sim, "left-out")) == 2
