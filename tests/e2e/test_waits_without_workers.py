"""A wait starts and ends in the triggerer, where Airflow can: submit and wait take one worker process."""

from __future__ import annotations

import pytest

from tests.conftest import AIRFLOW_3, AIRFLOW_3_3
from tests.e2e.chains import HEADER

MODEL = "kling-text2video"
DAG_FILE = (
    HEADER
    + """
from airflow.providers.common.compat.sdk import Asset

with DAG("workerless", schedule=None):
    submit = KlingSubmitOperator(task_id="submit", model={model!r}, payload={{"prompt": "{{{{ run_id }}}}"}})
    waits = [
        KlingSensor(task_id="done", request_id=submit.output),
        KlingSensor(task_id="templated", request_id="{{{{ ti.xcom_pull(task_ids='submit', map_indexes=-1) }}}}"),
        KlingSensor(task_id="pulled", request_id="{{{{ ti.xcom_pull(task_ids='submit') }}}}"),
        KlingSensor(task_id="ends_on_worker", request_id=submit.output, end_from_trigger=False),
        KlingSensor(task_id="starts_on_worker", request_id=submit.output, start_from_trigger=False),
        KlingSensor(task_id="many_outputs", request_id=submit.output, multiple_outputs=True),
        KlingSensor(
            task_id="told", request_id=submit.output, model=submit.output["model"],
            submitted_at=submit.output["submitted_at"],
        ),
        KlingSensor(
            task_id="told_in_words", request_id=submit.output,
            model="{{{{ ti.xcom_pull(task_ids='submit', key='model') }}}}",
        ),
        KlingSensor(task_id="with_outlet", request_id=submit.output),
        KlingSensor(task_id="poked", request_id=submit.output, mode="poke"),
        KlingSensor(task_id="rescheduled", request_id=submit.output, mode="reschedule"),
    ]
    mapped = KlingSensor.partial(task_id="mapped").expand(request_id=[submit.output])
    mapped_over = KlingSensor(task_id="mapped_over", request_id=submit.output)
    (with_outlet,) = [wait for wait in waits if wait.task_id == "with_outlet"]
    with_outlet.add_outlets([Asset("file:///with/outlet")])
    submit >> waits

    @task
    def is_expanded_over(fact):
        assert isinstance(fact, (list, tuple)) and len(fact) == 2, fact

    is_expanded_over.expand(fact=mapped_over.output)

    @task
    def agree(results, of_mapped, ti=None):
        for task_id, result in results.items():
            facts = {{key: ti.xcom_pull(task_ids=task_id, key=key) for key in ("url", "urls", "cost", "metrics")}}
            judge(result, bill=ti.xcom_pull(task_ids=task_id, key="kling_bill"), **facts)
        results["mapped"], = of_mapped
        for task_id, result in results.items():
            wanted = dict(results["done"])
            # Who submitted is known of a submit's output, and of that of as many instances as there are waits.
            if task_id in ("templated", "pulled", "mapped"):
                del wanted["model"]
            assert result == wanted, (task_id, result)

    agree({{wait.task_id: wait.output for wait in [*waits, mapped_over]}}, mapped.output)
"""
)
#: How many worker processes each wait takes where the triggerer can start and end one.
STARTS = {
    "done": 0,
    "templated": 0,
    "pulled": 1,
    "ends_on_worker": 1,
    "starts_on_worker": 1,
    "many_outputs": 1,
    "told": 0,
    "told_in_words": 1,
    "mapped": 1,
}


@pytest.mark.parametrize("end", ["COMPLETED", "FAILED"])
def test_submit_and_wait_take_one_worker_process_and_each_wait_hands_on_the_same(running, sim, end):
    run_id = f"workerless-{end}"
    running.write_dag("workerless", DAG_FILE.format(model=MODEL, picture=""))
    if end == "FAILED":
        sim.order_fault("fail_job", model=MODEL, error="Content policy violation")
    running.trigger("workerless", run_id)
    assert running.run_ends(run_id) == ("success" if end == "COMPLETED" else "failed"), running.last_words()
    waits = running.tasks(run_id, *STARTS)
    if end == "FAILED":
        assert {task["state"] for task in waits} == {"failed"}
        assert {task["try_number"] for task in waits} <= {0, 1}
        return
    (job,) = [job for job in sim.ledger()["jobs"] if job["inputs"]["prompt"] == run_id]
    assert running.xcom(run_id, "done", "url") == job["url"]
    assert running.xcom(run_id, "done", "cost") == job["cost_billed"]
    if AIRFLOW_3:
        events = running.api.get("assets/events", source_run_id=run_id, source_task_id="with_outlet")
        assert events["total_entries"] == 1
        links = running.api.get(f"dags/workerless/dagRuns/{run_id}/taskInstances/done/links")
        assert links["extra_links"]["Kling output"] == job["url"]
    if AIRFLOW_3_3:
        starts = {task["task_id"]: running.proxy.worker_starts.count(task["id"]) for task in waits}
        assert starts == STARTS
