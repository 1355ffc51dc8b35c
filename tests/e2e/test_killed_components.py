"""The triggerer and the scheduler die while sensors wait; nothing is submitted anew and nothing is lost."""

from __future__ import annotations

import pytest

RUNS = 6
DAG_FILE = """
from datetime import timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_kling.operators.kling import KlingSubmitOperator
from airflow_provider_kling.sensors.kling import KlingSensor

with DAG("waiting", schedule=None, default_args={"retries": 3, "retry_delay": timedelta(seconds=2)}):
    submit = KlingSubmitOperator(
        task_id="submit", model="kling-3-pro-text2video", payload={"prompt": "{{ run_id }}", "duration": "3"}
    )
    KlingSensor(task_id="done", request_id=submit.output, poll_interval=1)
"""


@pytest.mark.parametrize("component", ["triggerer", "scheduler"])
def test_a_killed_component_submits_nothing_and_loses_nothing(running, sim, component):
    running.write_dag("waiting", DAG_FILE)
    still_going = {"status": 200, "body": {"status": "PROCESSING"}}
    sim.order_fault("respond", method="GET", model="kling-3-pro-text2video", times=10_000, **still_going)
    runs = [f"{component}-{number}" for number in range(RUNS)]
    for run_id in runs:
        running.trigger("waiting", run_id)

    def count(state: str) -> int:
        return [found for run_id in runs for found in running.states(run_id, "done")].count(state)

    running.wait_until(lambda: count("deferred") == RUNS, "all sensors wait in the triggerer", every=0.5)
    running.kill(component)
    sim.clear_faults()
    assert count("deferred") == RUNS, "the waits were over before the kill"
    running.start(component)
    running.wait_until(lambda: count("success") == RUNS, "all sensors are done", seconds=240, every=0.5)
    running.wait_until(lambda: {running.run_state(run_id) for run_id in runs} == {"success"}, "all runs succeed")
    prompts = [job["inputs"].get("prompt", "") for job in sim.ledger()["jobs"]]
    assert sorted(prompt for prompt in prompts if prompt.startswith(component)) == runs
