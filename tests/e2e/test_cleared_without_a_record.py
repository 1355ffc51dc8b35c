"""
What clearing a task does where Airflow drops the task's state (3.4), or has none (below 3.3), on a running Airflow.

The same holds on 3.3, whose task state outlives a clear.
"""

from __future__ import annotations

import json
import os

import pytest

from airflow_provider_kling.versions import STATE_OUTLIVES_A_CLEAR
from tests.conftest import AIRFLOW_3
from tests.e2e.airflow_processes import sigkill

#: Longer than any test here lasts: whatever is sent again before it is over, is sent because of what is known.
GRACE = 600
DAG_FILE = f"""
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_kling.operators.kling import KlingGenerateOperator, KlingSubmitOperator
from airflow_provider_kling.sensors.kling import KlingSensor

PAYLOAD = {{"prompt": "{{{{ run_id }}}}"}}
CERTAIN = {{"orphan_grace": {GRACE}, "history_timeout": 1}}

with DAG("dropped_pair", schedule=None):
    submit = KlingSubmitOperator(task_id="submit", model="kling-1.6-text2video", payload=PAYLOAD, **CERTAIN)
    KlingSensor(task_id="done", request_id=submit.output, poll_interval=1)

with DAG("dropped_generate", schedule=None):
    KlingGenerateOperator(
        task_id="generate", model="kling-text2video", payload=PAYLOAD, poll_interval=1, **CERTAIN
    )
"""
#: Whether a cleared task does not know what it has delivered: neither its state nor a ledger tells.
FORGETS = not STATE_OUTLIVES_A_CLEAR and os.environ.get("LEDGER") != "1"
SUBMITTED, GENERATED = "kling-1.6-text2video", "kling-text2video"


@pytest.fixture(scope="module")
def dropped(running):
    """Return the running Airflow with the DAGs of this file."""
    running.write_dag("dropped", DAG_FILE)
    return running


def jobs(sim, run_id):
    return [job for job in sim.ledger()["jobs"] if job["inputs"]["prompt"] == run_id]


def looks(sim):
    return sum(request["path"].endswith("/request-history") for request in sim.requests())


def variables(dropped, run_id):
    """Return the records of undelivered jobs that Variables keep for a run; on 3.3 there never is one."""
    found = [kept for kept in dropped.api.get("variables")["variables"] if f" run {run_id} " in kept["description"]]
    return [record for kept in found if not (record := json.loads(kept["value"]))["closed"]]


def test_a_job_that_was_finished_while_nobody_had_its_id_is_adopted_by_the_cleared_task(dropped, sim):
    sim.order_fault("hold_after", method="POST", model=SUBMITTED)
    dropped.trigger("dropped_pair", "finished")
    dropped.wait_until(lambda: jobs(sim, "finished"), "the job is accepted")
    assert sigkill(dropped.task_process("finished", "submit"))
    dropped.wait_until(lambda: jobs(sim, "finished")[0]["status"] == "COMPLETED", "the job is done")
    assert dropped.run_ends("finished") == "failed"
    dropped.clear("dropped_pair", "finished", "submit")
    assert dropped.run_ends("finished") == "success", dropped.last_words()
    (job,) = jobs(sim, "finished")
    assert dropped.xcom("finished", "submit") == job["request_id"]
    assert variables(dropped, "finished") == []


def test_a_task_that_is_cleared_while_it_waits_waits_for_the_same_job(dropped, sim):
    dropped.trigger("dropped_generate", "waiting")
    dropped.wait_until(lambda: dropped.states("waiting") == ["deferred"], "the task waits", every=0.05)
    dropped.clear("dropped_generate", "waiting", "generate")
    assert dropped.run_ends("waiting") == "success", dropped.last_words()
    (job,) = jobs(sim, "waiting")
    assert dropped.xcom("waiting", "generate")["request_id"] == job["request_id"]
    assert dropped.tasks("waiting")[0]["try_number"] > 1
    assert variables(dropped, "waiting") == []


@pytest.mark.parametrize(("dag", "task"), [("dropped_pair", "submit"), ("dropped_generate", "generate")])
def test_a_task_that_has_delivered_makes_a_new_job_when_it_is_cleared(dropped, sim, dag, task):
    run_id, looked = f"again-{task}", looks(sim)
    dropped.trigger(dag, run_id)
    assert dropped.run_ends(run_id) == "success", dropped.last_words()
    for count in (2, 3):
        dropped.clear(dag, run_id, task)
        assert dropped.run_ends(run_id) == "success", dropped.last_words()
        assert len(jobs(sim, run_id)) == count
    # Where no record tells of the jobs before, they are looked up, so that none of them is taken for a new one.
    assert looks(sim) - looked == (2 if FORGETS and AIRFLOW_3 else 0)
    assert variables(dropped, run_id) == []


def test_a_refused_submit_is_sent_at_once_when_the_task_is_cleared(dropped, sim):
    sim.order_fault("respond", method="POST", model=SUBMITTED, status=401, body={"error": "no such key"})
    looked = looks(sim)
    dropped.trigger("dropped_pair", "refused")
    assert dropped.run_ends("refused") == "failed"
    assert (jobs(sim, "refused"), variables(dropped, "refused")) == ([], [])
    dropped.clear("dropped_pair", "refused", "submit")
    assert dropped.run_ends("refused") == "success", dropped.last_words()
    assert len(jobs(sim, "refused")) == 1
    assert looks(sim) - looked == (1 if FORGETS else 0)


@pytest.mark.parametrize(("status", "body"), [(424, {"message": "Failed Dependency"}), (404, "<html>")])
def test_what_a_gateway_refused_after_it_was_accepted_is_adopted_by_the_cleared_task(dropped, sim, status, body):
    sim.order_fault("replace_after", method="POST", model=SUBMITTED, status=status, body=body)
    run_id = f"gateway-{status}"
    dropped.trigger("dropped_pair", run_id)
    assert dropped.run_ends(run_id) == "failed"
    dropped.clear("dropped_pair", run_id, "submit")
    assert dropped.run_ends(run_id) == "success", dropped.last_words()
    assert len(jobs(sim, run_id)) == 1


def test_a_submit_that_never_arrived_is_not_sent_by_a_cleared_task_while_it_may_still_turn_up(dropped, sim):
    sim.order_fault("reset_before", method="POST", model=SUBMITTED)
    dropped.trigger("dropped_pair", "lost")
    for tries in (1, 2, 3):
        dropped.wait_until(lambda: dropped.states("lost", "submit") == ["deferred"], "it waits to look again")
        assert dropped.tasks("lost", "submit")[0]["try_number"] == tries
        assert jobs(sim, "lost") == []
        dropped.clear("dropped_pair", "lost", "submit")
    looked = looks(sim)
    dropped.wait_until(lambda: looks(sim) > looked, "the cleared task has looked")
    assert jobs(sim, "lost") == []
