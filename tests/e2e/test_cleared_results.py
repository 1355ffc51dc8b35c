"""A wait that is cleared and then fails hands on nothing of the job before."""

from __future__ import annotations

from tests.e2e.chains import HEADER, jobs_of

MODEL = "kling-1.6-text2video"
DAG_FILE = (
    HEADER
    + """
with DAG("results", schedule=None):
    submit = KlingSubmitOperator(task_id="submit", model={model!r}, payload={{"prompt": "{{{{ run_id }}}}"}})
    done = KlingSensor(task_id="done", request_id=submit.output)

    @task(trigger_rule="all_done")
    def seen(ti=None):
        return [ti.xcom_pull(task_ids="done", key=key) is not None for key in ("return_value", "url", "cost")]

    done >> seen()
"""
)


def test_after_a_clear_a_job_that_fails_leaves_no_result_of_the_job_before(running, sim):
    running.write_dag("results", DAG_FILE.format(picture="", model=MODEL))
    running.trigger("results", "results-1")
    assert running.run_ends("results-1") == "success", running.last_words()
    assert running.xcom("results-1", "seen") == [True] * 3
    sim.order_fault("fail_job", model=MODEL, error="internal error")
    running.clear("results", "results-1", "submit")
    running.run_ends("results-1")
    assert running.states("results-1", "done") == ["failed"]
    assert running.xcom("results-1", "seen") == [False] * 3
    assert len(jobs_of(sim, "results-1")) == 2
