"""A Task Loop (Airflow 3.4): its iterations share the budget of the run, and each has a job of its own."""

from __future__ import annotations

import pytest

from tests.conftest import AIRFLOW_3_4

pytestmark = pytest.mark.skipif(not AIRFLOW_3_4, reason="loops came with Airflow 3.4")

PRICE = 0.035
DAG_FILE = """
from datetime import timedelta

from airflow.sdk import DAG, task, task_group

from airflow_provider_kling.budget import KlingBudget
from airflow_provider_kling.operators.cost import KlingRunCostOperator
from airflow_provider_kling.operators.kling import KlingGenerateOperator, KlingSubmitOperator
from airflow_provider_kling.payloads import O1Image
from airflow_provider_kling.sensors.kling import KlingSensor

PICTURE = {picture!r}
RETRIES = {{"retries": 2, "retry_delay": timedelta(seconds=1)}}


def picture(prompt):
    return O1Image(prompt=prompt, image_urls=[PICTURE])


with DAG("loop_pair", schedule=None, default_args=RETRIES):

    @task_group
    def rounds():
        submit = KlingSubmitOperator(
            task_id="submit", payload=picture("{{{{ run_id }}}} {{{{ loop.index }}}}"), budget=KlingBudget(0.08)
        )
        KlingSensor(task_id="done", request_id=submit.output, poll_interval=1)

    rounds.loop(max_iterations=4) >> KlingRunCostOperator(task_id="cost")

with DAG("loop_mapped", schedule=None, default_args=RETRIES):

    @task_group
    def rounds():
        KlingGenerateOperator.partial(task_id="generate", poll_interval=1, budget=KlingBudget(0.12)).expand(
            payload=[picture(f"{{{{{{{{ run_id }}}}}}}} {{number}}") for number in range(2)]
        )

    rounds.loop(max_iterations=3) >> KlingRunCostOperator(task_id="cost")

with DAG("loop_same", schedule=None, default_args=RETRIES):

    @task_group
    def rounds():
        KlingGenerateOperator(
            task_id="generate", payload=picture("{{{{ run_id }}}}"), poll_interval=1, history_timeout=20,
            orphan_grace=60,
        )

    rounds.loop(max_iterations=3)

with DAG("loop_gap", schedule=None, default_args=RETRIES):

    @task_group
    def rounds():
        @task.short_circuit(ignore_downstream_trigger_rules=False)
        def every_other(*, loop):
            return loop.index % 2 == 0

        @task(trigger_rule="all_done")
        def over():
            pass

        submit = KlingSubmitOperator(task_id="submit", payload=picture("{{{{ run_id }}}}"), budget=KlingBudget(0.08))
        every_other() >> submit >> over()

    rounds.loop(max_iterations=3)
"""


@pytest.fixture(scope="module")
def looping(running, sim):
    """Return the running Airflow with the DAGs of this file."""
    running.write_dag("loop_", DAG_FILE.format(picture=f"{sim.url}/simulator/inputs/robot.png"))
    return running


def jobs(sim, run_id):
    return [job["request_id"] for job in sim.ledger()["jobs"] if str(job["inputs"].get("prompt")).startswith(run_id)]


def test_a_budget_holds_in_a_loop_of_submit_and_sensor(looping, sim):
    looping.trigger("loop_pair", "loop-pair")
    assert looping.run_ends("loop-pair", seconds=400) == "failed"
    assert len(jobs(sim, "loop-pair")) == 2
    assert looping.states("loop-pair", "rounds.submit") == ["failed", "success", "success"]
    assert looping.xcom("loop-pair", "cost")["total"] == pytest.approx(2 * PRICE), looping.last_words()


def test_a_budget_holds_in_a_loop_of_mapped_tasks(looping, sim):
    looping.trigger("loop_mapped", "loop-mapped")
    assert looping.run_ends("loop-mapped", seconds=400) == "failed"
    assert len(jobs(sim, "loop-mapped")) == 3
    assert looping.states("loop-mapped", "rounds.generate") == ["failed", "success", "success", "success"]
    assert looping.xcom("loop-mapped", "cost")["total"] == pytest.approx(3 * PRICE), looping.last_words()


def test_iterations_that_want_the_same_have_one_job_each_whatever_is_lost(looping, sim):
    sim.order_fault("late_row", method="POST", model="kling-o1", row_after=1)  # spares the first iteration
    sim.order_fault("reset_after", method="POST", model="kling-o1", times=2)
    looping.trigger("loop_same", "loop-same")
    assert looping.run_ends("loop-same", seconds=400) == "success", looping.last_words()
    assert len(set(jobs(sim, "loop-same"))) == 3


def test_where_nothing_tells_what_earlier_iterations_cost_a_task_with_a_budget_sends_nothing(looping, sim):
    looping.trigger("loop_gap", "loop-gap")
    assert looping.run_ends("loop-gap", seconds=400) == "success", looping.last_words()
    assert len(jobs(sim, "loop-gap")) == 1
    assert looping.states("loop-gap", "rounds.submit") == ["failed", "skipped", "success"]
