"""No triggerer runs: the waits end on workers after their deadline, say what to do, and lose and pay nothing."""

from __future__ import annotations

from airflow_provider_kling.operators.wait_base import NO_TRIGGERER

DONE, RUNNING = "kling-text2video", "kling-1.6-text2video"
STILL_GOING = {"status": 200, "body": {"status": "PROCESSING"}}
DAG_FILE = f"""
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_kling.operators.kling import KlingGenerateOperator, KlingSubmitOperator
from airflow_provider_kling.sensors.kling import KlingSensor

with DAG("unwatched", schedule=None):
    submit = KlingSubmitOperator(
        task_id="submit", model={DONE!r}, payload={{"prompt": "{{{{ run_id }}}} is done"}}
    )
    KlingSensor(task_id="done", request_id=submit.output, timeout=5)
    KlingGenerateOperator(
        task_id="running", model={RUNNING!r}, payload={{"prompt": "{{{{ run_id }}}} runs"}}, timeout=5
    )
"""


def log(running, run_id, task_id):
    """Return what Airflow shows as the log of the task's first try."""
    path = f"dags/unwatched/dagRuns/{run_id}/taskInstances/{task_id}/logs/1"
    return running.api.ask("GET", path, params={"full_content": True}).text


def test_without_a_triggerer_a_done_job_is_delivered_and_a_running_one_is_waited_for_again(running, sim):
    running.write_dag("unwatched", DAG_FILE)
    for model in (DONE, RUNNING):
        sim.order_fault("respond", method="GET", model=model, times=10_000, **STILL_GOING)
    running.kill("triggerer")
    try:
        running.trigger("unwatched", "alone")
        running.wait_until(lambda: running.states("alone", "done", "running") == ["deferred"] * 2, "both wait")
        sim.clear_faults()
        sim.order_fault("respond", method="GET", model=RUNNING, times=10_000, **STILL_GOING)
        assert running.run_ends("alone") == "failed"
        assert (running.states("alone", "done"), running.states("alone", "running")) == (["success"], ["failed"])
        assert f"The wait is over, but {NO_TRIGGERER}" in log(running, "alone", "done")
        assert NO_TRIGGERER in log(running, "alone", "running")
    finally:
        sim.clear_faults()
        running.start("triggerer")
    running.clear("unwatched", "alone", "running")
    assert running.run_ends("alone") == "success", running.last_words()
    prompts = [job["inputs"]["prompt"] for job in sim.ledger()["jobs"]]
    assert sorted(prompt for prompt in prompts if prompt.startswith("alone")) == ["alone is done", "alone runs"]
