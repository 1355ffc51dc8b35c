"""The API server dies while a POST is on its way, and is gone for longer than Airflow's own tasks put up with."""

from __future__ import annotations

import time

import psutil
import pytest

from tests.conftest import AIRFLOW_3
from tests.e2e.bills import request_ids
from tests.e2e.kills import RETRIES_THE_KILLED

pytestmark = pytest.mark.skipif(not AIRFLOW_3, reason="tasks of Airflow 2 write into its database themselves")

MODEL = "kling-3-pro-text2video"
#: Seconds for which the API server is gone: more than the ten or so for which a task of Airflow tries to reach it.
GONE = 40
#: Seconds after which a scheduler that is not healthy is started again: it counts as healthy 30 s from its last sign.
PATIENCE = 75
DAG_FILE = f"""
from datetime import timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_kling.operators.kling import KlingGenerateOperator

for retries in (0, 2):
    with DAG(f"api_server_{{retries}}", schedule=None):
        KlingGenerateOperator(
            task_id="clip", model={MODEL!r}, payload={{"prompt": "{{{{ run_id }}}}", "duration": "3"}},
            retries=retries, retry_delay=timedelta(seconds=2), orphan_grace=12, history_timeout=4,
        )
"""


def start_again(running):
    """
    Start the API server, and the scheduler where it has died too, as whatever watches over them does.

    A task that cannot tell its end ends in ``httpx.HTTPStatusError`` where something answers 5xx in the API server's
    place. The Local executor hands that to the scheduler, which cannot unpickle it and exits (Airflow 3.0 to 3.4), or,
    seen once on a busy machine, goes on and does nothing.
    """
    running.start("api-server")
    given_up = time.monotonic() + PATIENCE

    def healthy():
        nonlocal given_up
        if running.family("scheduler")[0].status() == psutil.STATUS_ZOMBIE or time.monotonic() > given_up:
            running.kill("scheduler")
            running.start("scheduler")
            given_up = time.monotonic() + PATIENCE
        return running.api.healthy()

    running.wait_until(healthy, "Airflow is healthy", seconds=3 * PATIENCE, every=0.5)


def test_a_job_whose_id_no_api_server_took_is_paid_once_and_found_by_a_retry_or_a_clear(running, sim):
    running.write_dag("api_server", DAG_FILE)
    runs = {0: "api-server-0", 2: "api-server-2"}
    sim.order_fault("delay", method="POST", model=MODEL, seconds=6, times=2)
    for retries, run_id in runs.items():
        running.trigger(f"api_server_{retries}", run_id)

    def posted():
        bodies = [str(request["body"]) for request in sim.requests() if request["method"] == "POST"]
        return all(any(run_id in body for body in bodies) for run_id in runs.values())

    running.wait_until(posted, "both submits are sent", every=0.05)
    running.kill("api-server")
    time.sleep(GONE)
    start_again(running)

    states = {retries: running.run_ends(run_id) for retries, run_id in runs.items()}
    assert states == {0: "failed", 2: "success" if RETRIES_THE_KILLED else states[2]}, running.last_words()
    for retries, run_id in runs.items():
        (job,) = request_ids(sim, run_id)
        if RETRIES_THE_KILLED:  # Airflow 3.0 ends the task's process before it can say anything
            assert f"Request {job} was accepted, runs and is billed if it completes" in running.task_logs(run_id)
        if states[retries] == "failed":
            running.clear(f"api_server_{retries}", run_id)
            assert running.run_ends(run_id) == "success", running.last_words()
        assert request_ids(sim, run_id) == [job]
        assert running.xcom(run_id, "clip")["request_id"] == job
