"""A wait starts and ends in the triggerer: submit and wait take one worker process."""

from __future__ import annotations

import json

import pytest

MODEL = "kling-text2video"
DAG_FILE = f"""
from airflow.sdk import DAG, task

from airflow_provider_kling.operators.kling import KlingSubmitOperator
from airflow_provider_kling.sensors.kling import KlingSensor

with DAG("workerless", schedule=None):
    submit = KlingSubmitOperator(task_id="submit", model={MODEL!r}, payload={{"prompt": "{{{{ run_id }}}}"}})
    done = KlingSensor(task_id="done", request_id=submit.output)
    KlingSensor(task_id="templated", request_id="{{{{ ti.xcom_pull(task_ids='submit', map_indexes=-1) }}}}") << submit
    KlingSensor(task_id="pulled", request_id="{{{{ ti.xcom_pull(task_ids='submit') }}}}") << submit
    KlingSensor(task_id="ends_on_worker", request_id=submit.output, end_from_trigger=False)
    KlingSensor(task_id="starts_on_worker", request_id=submit.output, start_from_trigger=False)
    KlingSensor.partial(task_id="mapped").expand(request_id=[submit.output])

    @task
    def next_step(url):
        return url

    next_step(done.output["url"])
"""
STARTS = {
    "submit": 1,
    "done": 0,
    "templated": 0,
    "pulled": 1,
    "ends_on_worker": 1,
    "starts_on_worker": 1,
    "mapped": 1,
    "next_step": 1,
}


def xcoms(running, run_id, task_id):
    query = "select key, value from xcom where run_id = %s and task_id = %s"
    return {key: decoded(value) for key, value in running.rows(query, run_id, task_id)}


def decoded(value):
    """Read what the database driver has read once already: Airflow stores JSON text as a JSON string."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value


@pytest.mark.parametrize("end", ["COMPLETED", "FAILED"])
def test_submit_and_wait_take_one_worker_process_and_leave_the_same_xcoms(running, sim, end):
    run_id = f"workerless-{end}"
    running.write_dag("workerless", DAG_FILE)
    if end == "FAILED":
        sim.order_fault("fail_job", model=MODEL, error="Content policy violation")
    running.trigger("workerless", run_id)
    assert running.run_ends(run_id) == ("success" if end == "COMPLETED" else "failed"), running.last_words()
    tasks = running.rows("select task_id, id, state, try_number from task_instance where run_id = %s", run_id)
    starts = {task_id: running.proxy.worker_starts.count(str(ti_id)) for task_id, ti_id, _, _ in tasks}
    if end == "FAILED":
        assert {
            task_id: state for task_id, _, state, _ in tasks if task_id not in {"submit", "next_step"}
        } == dict.fromkeys(STARTS.keys() - {"submit", "next_step"}, "failed")
        assert {tries for _, _, _, tries in tasks} <= {0, 1}
        return
    assert starts == STARTS
    (job,) = [job for job in sim.ledger()["jobs"] if job["inputs"]["prompt"] == run_id]
    seen = {task_id: xcoms(running, run_id, task_id) for task_id in STARTS.keys() - {"submit", "next_step"}}
    for task_id, told in seen.items():
        assert told["return_value"]["url"] == told["url"] == job["url"], task_id
        assert told["return_value"]["request_id"] == job["request_id"], task_id
        assert (told["urls"], told["cost"]) == ([job["url"]], job["cost_billed"]), task_id
        assert told["_link_KlingOutputLink"] == job["url"], task_id
        assert told.keys() == seen["done"].keys(), task_id
