"""Tasks in processes of their own ask for the same budget in the same moment: it is used up, and never broken."""

from __future__ import annotations

TASKS = 10
AFFORDABLE = 4
DAG_FILE = f"""
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_kling.budget import KlingBudget
from airflow_provider_kling.operators.cost import KlingRunCostOperator
from airflow_provider_kling.operators.kling import KlingSubmitOperator
from airflow_provider_kling.payloads import O1Image
from airflow_provider_kling.sensors.kling import KlingSensor

with DAG("budget", schedule=None):
    submit = KlingSubmitOperator.partial(
        task_id="submit", budget=KlingBudget(max_cost_per_dag_run={AFFORDABLE * 0.035 + 0.01})
    ).expand(
        payload=[
            O1Image(prompt=f"budget {{number}}", image_urls=["PICTURE"]) for number in range({TASKS})
        ]
    )
    KlingSensor.partial(task_id="done", poll_interval=1).expand(request_id=submit.output) >> KlingRunCostOperator(
        task_id="cost"
    )
"""


def test_tasks_that_ask_in_the_same_moment_use_the_budget_up_and_never_break_it(running, sim):
    running.write_dag("budget", DAG_FILE.replace("PICTURE", f"{sim.url}/simulator/inputs/robot.png"))
    before = len(sim.requests())
    sim.order_fault("delay", method="POST", model="kling-o1", times=TASKS, seconds=1)
    running.trigger("budget", "budget-1")
    state = running.run_ends("budget-1", seconds=300)
    sim.clear_faults()
    ours = [job for job in sim.ledger()["jobs"] if str(job["inputs"].get("prompt")).startswith("budget ")]
    assert state == "failed"
    assert len(ours) == AFFORDABLE
    assert running.states("budget-1", "submit") == ["failed"] * (TASKS - AFFORDABLE) + ["success"] * AFFORDABLE
    assert running.xcom("budget-1", "cost")["total"] == AFFORDABLE * 0.035, running.last_words()
    # Two tasks that start in the same instant may not see each other, and then both ask.
    looks = [request for request in sim.requests()[before:] if request["path"] == "/v1/get-user-credits"]
    assert 1 <= len(looks) < AFFORDABLE
