"""What only time can tell is waited for in the triggerer, within the same try; nothing is sent twice meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_kling.simulator import Simulator
from tests.conftest import connection_json
from tests.e2e.airflow_processes import sigkill
from tests.e2e.bills import request_ids
from tests.e2e.kills import RETRIES_THE_KILLED, Stage

MODEL, GENERATED = "kling-1.6-text2video", "kling-text2video"
GRACE = 20
#: What a connection says of a simulator in which jobs take their time.
PACE = {"time_scale": 15, "requests_per_minute": 60}
DAG_FILE = f"""
from datetime import timedelta

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_kling.operators.kling import KlingGenerateOperator, KlingSubmitOperator

PAYLOAD = {{"prompt": "{{{{ run_id }}}}"}}
WAITS = {{"orphan_grace": {GRACE}, "history_timeout": 1, "payload": PAYLOAD}}

with DAG("waits_late", schedule=None):

    @task
    def long_before():
        import time

        time.sleep({GRACE} + 2)

    long_before() >> KlingSubmitOperator(task_id="submit", model={MODEL!r}, **WAITS)

with DAG("waits_submit", schedule=None):
    KlingSubmitOperator(task_id="submit", model={MODEL!r}, **WAITS)

with DAG("waits_retry", schedule=None, default_args={{"retries": 1, "retry_delay": timedelta(seconds=1)}}):
    KlingSubmitOperator(task_id="submit", model={MODEL!r}, **WAITS)

with DAG("waits_same", schedule=None):
    KlingSubmitOperator(task_id="submit", model={MODEL!r}, **{{**WAITS, "payload": {{"prompt": "the very same"}}}})

with DAG("waits_rotated", schedule=None):
    KlingGenerateOperator(
        task_id="submit", model={GENERATED!r}, segmind_conn_id="rotated", poll_interval=1, **WAITS
    )
"""


@pytest.fixture(scope="module")
def waiting(running):
    """Return the running Airflow with the DAGs of this file."""
    running.write_dag("waits", DAG_FILE)
    return running


def assert_one_job_in_one_try(waiting, sim, run_id):
    assert waiting.run_ends(run_id) == "success", waiting.last_words()
    (job,) = request_ids(sim, run_id)
    assert waiting.xcom(run_id, "submit") == job
    assert waiting.tasks(run_id, "submit")[0]["try_number"] == 1


def test_the_grace_counts_from_the_submit_and_not_from_the_begin_of_the_run(waiting, sim):
    sim.order_fault("reset_after", method="POST", model=MODEL, row_after=8)
    waiting.trigger("waits_late", "late")
    assert_one_job_in_one_try(waiting, sim, "late")


def test_a_submit_that_never_arrived_is_sent_again_in_the_same_try_once_its_grace_is_over(waiting, sim):
    sim.order_fault("reset_before", method="POST", model=MODEL)
    waiting.trigger("waits_submit", "never")
    waiting.wait_until(lambda: waiting.states("never") == ["deferred"], "it waits without a worker")
    assert request_ids(sim, "never") == []
    assert_one_job_in_one_try(waiting, sim, "never")


def test_a_worker_that_died_before_its_submit_arrived_costs_one_try_and_no_second_one(waiting, sim):
    sim.order_fault("hold", method="POST", model=MODEL)
    waiting.trigger("waits_retry", "died")
    waiting.wait_until(Stage(waiting, sim, "waits_retry", MODEL, "died").posted, "the POST is on its way")
    assert sigkill(waiting.task_process("died", "submit"))
    if not RETRIES_THE_KILLED:
        assert waiting.run_ends("died") == "failed"
        waiting.clear("waits_retry", "died")
    assert waiting.run_ends("died") == "success", waiting.last_words()
    assert len(request_ids(sim, "died")) == 1
    assert waiting.tasks("died", "submit")[0]["try_number"] == 2


def test_a_rate_limit_is_waited_out_without_a_worker_and_costs_no_try(waiting, sim):
    reset = datetime.now(tz=UTC) + timedelta(seconds=15)
    sim.order_fault(
        "respond",
        method="POST",
        model=MODEL,
        status=429,
        headers={"x-rate-limit-reset-at-utc": reset.isoformat()},
        body={"error": "Rate limit exceeded"},
    )
    waiting.trigger("waits_submit", "limited")
    waiting.wait_until(lambda: waiting.states("limited") == ["deferred"], "it waits without a worker")
    assert_one_job_in_one_try(waiting, sim, "limited")


def test_runs_that_want_the_very_same_have_one_job_each_when_the_reply_to_one_is_lost(waiting, sim):
    sim.order_fault("reset_after", method="POST", model=MODEL, row_after=10)
    waiting.trigger("waits_same", "lost-reply")
    waiting.wait_until(lambda: len(request_ids(sim, "the very same")) == 1, "the first is accepted", every=0.02)
    waiting.trigger("waits_same", "with-reply")
    for run_id in ("lost-reply", "with-reply"):
        assert waiting.run_ends(run_id) == "success", waiting.last_words()
    made = [waiting.xcom(run_id, "submit") for run_id in ("lost-reply", "with-reply")]
    assert made == request_ids(sim, "the very same")


def test_after_its_key_was_rotated_a_cleared_task_waits_for_the_same_job_and_on_another_account_for_another(waiting):
    # Slow, so that the job runs while its key is rotated.
    with Simulator(time_scale=15, height=72) as ours, Simulator(time_scale=15, height=72) as another:
        waiting.add_connection("rotated", connection_json(ours, extra=PACE))
        waiting.trigger("waits_rotated", "rotated")
        waiting.wait_until(lambda: waiting.states("rotated") == ["deferred"], "the job is waited for")
        ours.rotate_key("SG_1111111111111111")
        waiting.change_connection("rotated", connection_json(ours, extra=PACE))
        waiting.clear("waits_rotated", "rotated")
        assert waiting.run_ends("rotated") == "success", waiting.last_words()
        (job,) = request_ids(ours, "rotated")
        assert waiting.xcom("rotated", "submit")["request_id"] == job
        waiting.trigger("waits_rotated", "another")
        waiting.wait_until(lambda: waiting.states("another") == ["deferred"], "the job is waited for")
        waiting.change_connection("rotated", connection_json(another, extra=PACE))
        waiting.clear("waits_rotated", "another")
        assert waiting.run_ends("another") == "success", waiting.last_words()
        (job,) = request_ids(another, "another")
        assert waiting.xcom("another", "submit")["request_id"] == job
