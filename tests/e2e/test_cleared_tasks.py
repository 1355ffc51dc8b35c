"""What clearing a task does, on a running Airflow."""

from __future__ import annotations

from tests.e2e.airflow_processes import sigkill
from tests.e2e.bills import request_ids
from tests.e2e.ours import GRACE

MODEL = "kling-text2video"
DAG_FILE = f"""
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_kling.operators.kling import KlingSubmitOperator
from airflow_provider_kling.sensors.kling import KlingSensor

with DAG("cleared", schedule=None):
    submit = KlingSubmitOperator(
        task_id="submit",
        model={MODEL!r},
        payload={{"prompt": "{{{{ run_id }}}}"}},
        orphan_grace={GRACE},
        history_timeout=1,
    )
    KlingSensor(task_id="done", request_id=submit.output, poll_interval=1)
"""


def test_clearing_a_delivered_submit_makes_a_new_job_once(running, sim):
    running.write_dag("cleared", DAG_FILE)
    running.trigger("cleared", "cleared-1")
    assert running.run_ends("cleared-1") == "success"
    (first,) = request_ids(sim, "cleared-1")
    running.clear("cleared", "cleared-1")
    assert running.run_ends("cleared-1") == "success", running.last_words()
    assert request_ids(sim, "cleared-1")[0] == first
    assert len(request_ids(sim, "cleared-1")) == 2
    assert running.xcom("cleared-1", "submit") == request_ids(sim, "cleared-1")[1]


def test_clearing_a_submit_that_failed_with_its_job_running_adopts_the_job(running, sim):
    running.write_dag("cleared", DAG_FILE)
    sim.order_fault("hold_after", method="POST", model=MODEL)
    running.trigger("cleared", "cleared-2")
    running.wait_until(lambda: request_ids(sim, "cleared-2"), "the job is accepted")
    assert sigkill(running.task_process("cleared-2", "submit"))
    assert running.run_ends("cleared-2") == "failed"
    running.clear("cleared", "cleared-2")
    assert running.run_ends("cleared-2") == "success", running.last_words()
    (job,) = request_ids(sim, "cleared-2")
    assert running.xcom("cleared-2", "submit") == job
