"""Tasks that want the very same picture die while their submits are on their way; each still gets one of its own."""

from __future__ import annotations

from tests.e2e.airflow_processes import sigkill

SIBLINGS = 3
DAG_FILE = f"""
from datetime import timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_kling.operators.kling import KlingSubmitOperator
from airflow_provider_kling.sensors.kling import KlingSensor

with DAG("siblings", schedule=None, default_args={{"retries": 9, "retry_delay": timedelta(seconds=2)}}):
    submit = KlingSubmitOperator.partial(
        task_id="submit", model="kling-text2video", orphan_grace=20, history_timeout=6
    ).expand(payload=[{{"prompt": "the same fox"}}] * {SIBLINGS})
    KlingSensor.partial(task_id="done", poll_interval=1).expand(request_id=submit.output)
"""


def test_killed_siblings_with_the_same_payload_get_one_job_each(running, sim):
    running.write_dag("siblings", DAG_FILE)
    sim.order_fault("hold_after", method="POST", model="kling-text2video", times=SIBLINGS)
    running.trigger("siblings", "siblings-1")

    def accepted() -> list[str]:
        jobs = sim.ledger()["jobs"]
        return [job["request_id"] for job in jobs if job["inputs"]["prompt"] == "the same fox"]

    running.wait_until(lambda: len(accepted()) == SIBLINGS, "all are accepted")
    tasks = [running.task_process("siblings-1", "submit", index) for index in range(SIBLINGS)]
    assert [task is not None and sigkill(task) for task in tasks] == [True] * SIBLINGS
    assert running.run_ends("siblings-1") == "success", running.last_words()
    assert len(accepted()) == SIBLINGS
    assert {running.xcom("siblings-1", "submit", map_index=index) for index in range(SIBLINGS)} == set(accepted())
