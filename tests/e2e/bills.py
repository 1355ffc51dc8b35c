"""What the simulator billed for a run, told by the bills that its tasks hand on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_kling.simulator import Simulator
    from tests.e2e.airflow_processes import Airflow


def jobs_of(running: Airflow, sim: Simulator, run_id: str) -> list[dict[str, Any]]:
    """Return the billed jobs that the tasks of a run waited for, in the order in which they were submitted."""
    bills = [running.xcom(run_id, task["task_id"], "kling_bill", task["map_index"]) for task in running.tasks(run_id)]
    waited_for = {bill["request_id"] for bill in bills if bill}
    return [job for job in sim.ledger()["jobs"] if job["request_id"] in waited_for and job["cost_billed"]]


def request_ids(sim: Simulator, prompt: str) -> list[str]:
    """Return the jobs that were accepted for a prompt, in the order in which they were submitted."""
    return [job["request_id"] for job in sim.ledger()["jobs"] if job["inputs"]["prompt"] == prompt]
