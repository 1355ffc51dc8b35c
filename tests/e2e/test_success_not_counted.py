"""What a task has submitted is its next attempt's, as long as Airflow has not counted its success."""

from __future__ import annotations

import time

import pytest

from tests.conftest import AIRFLOW_3
from tests.e2e.bills import request_ids

MODEL, GENERATED = "kling-1.6-text2video", "kling-text2video"
DAG_FILE = f"""
from pathlib import Path

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_kling.operators.kling import KlingGenerateOperator, KlingSubmitOperator

PAYLOAD = {{"prompt": "{{{{ run_id }}}}"}}


def fail_once(context, result):
    done = Path(%(folder)r) / f"{{context['run_id']}}.failed"
    if not done.exists():
        done.touch()
        raise RuntimeError("the author's own code fails")


with DAG("uncounted_submit", schedule=None):
    KlingSubmitOperator(task_id="task", model={MODEL!r}, payload=PAYLOAD, post_execute=fail_once)

with DAG("uncounted_generate", schedule=None):
    KlingGenerateOperator(
        task_id="task", model={GENERATED!r}, payload=PAYLOAD, poll_interval=1, post_execute=fail_once
    )

with DAG("uncounted_plain", schedule=None):
    KlingSubmitOperator(task_id="task", model={MODEL!r}, payload=PAYLOAD)
"""


@pytest.fixture(scope="module")
def uncounted(running):
    """Return the running Airflow with the DAGs of this file."""
    running.write_dag("uncounted", DAG_FILE % {"folder": str(running.home)})
    return running


@pytest.mark.parametrize("dag", ["uncounted_submit", "uncounted_generate"])
def test_a_task_that_failed_in_its_post_execute_takes_its_job_when_it_is_cleared(uncounted, sim, dag):
    run_id = f"{dag}-1"
    uncounted.trigger(dag, run_id)
    assert uncounted.run_ends(run_id) == "failed"
    (job,) = request_ids(sim, run_id)
    uncounted.clear(dag, run_id)
    assert uncounted.run_ends(run_id) == "success", uncounted.last_words()
    assert request_ids(sim, run_id) == [job]
    # Now it has delivered: cleared once more, it makes another one.
    uncounted.clear(dag, run_id)
    assert uncounted.run_ends(run_id) == "success", uncounted.last_words()
    assert len(request_ids(sim, run_id)) == 2


def test_a_task_that_is_cleared_while_its_submit_is_on_its_way_takes_the_job(uncounted, sim):
    sim.order_fault("hold_after", method="POST", model=MODEL)
    uncounted.trigger("uncounted_plain", "on-its-way")
    uncounted.wait_until(lambda: request_ids(sim, "on-its-way"), "the job is accepted")
    uncounted.clear("uncounted_plain", "on-its-way", "task")
    uncounted.wait_until(
        # Airflow 2.11 was seen to let the running task go on.
        lambda: (
            (uncounted.tasks("on-its-way")[0]["try_number"] > 1 or not AIRFLOW_3)
            and uncounted.run_state("on-its-way") == "success"
        ),
        "the cleared task succeeds",
    )
    (job,) = request_ids(sim, "on-its-way")
    assert uncounted.xcom("on-its-way", "task") == job


@pytest.mark.skipif(not AIRFLOW_3, reason="a worker of Airflow 2 writes its success into the database itself")
def test_a_success_that_airflow_refused_because_the_task_was_cleared_meanwhile_delivers_nothing(uncounted, sim):
    hold = uncounted.proxy.hold("PATCH", "/task-instances/[^/]+/state$", lambda body: body["state"] == "success")
    uncounted.trigger("uncounted_plain", "refused-success")
    uncounted.wait_until(hold.reached.is_set, "the task says that it has succeeded")
    uncounted.clear("uncounted_plain", "refused-success", "task")
    hold.let_go.set()
    uncounted.wait_until(
        lambda: (
            uncounted.tasks("refused-success")[0]["try_number"] > 1
            and uncounted.run_state("refused-success") == "success"
        ),
        "the cleared task succeeds",
    )
    time.sleep(1)
    (job,) = request_ids(sim, "refused-success")
    assert uncounted.xcom("refused-success", "task") == job
