"""The triggerer dies after it has pushed a wait's XComs and before the task has ended; another one ends it."""

from __future__ import annotations

import psycopg2
import pytest

from tests.conftest import AIRFLOW_3_3
from tests.e2e.chains import HEADER, jobs_of
from tests.e2e.kills import Stage

DAG_FILE = (
    HEADER
    + """
with DAG("between", schedule=None):
    submit = KlingSubmitOperator(task_id="submit", model="kling-text2video", payload={{"prompt": "{{{{ run_id }}}}"}})
    done = KlingSensor(task_id="done", request_id=submit.output)
    judge_of("judged", done)
"""
)


@pytest.mark.skipif(not AIRFLOW_3_3, reason="waits end in the triggerer from Airflow 3.3 on")
def test_a_triggerer_that_dies_between_the_xcoms_and_the_end_leaves_a_wait_that_another_one_ends(running, sim):
    running.write_dag("between", DAG_FILE.format(picture=""))
    hold = {"status": 200, "body": {"status": "PROCESSING"}}
    sim.order_fault("respond", method="GET", model="kling-text2video", times=10_000, **hold)
    running.trigger("between", "between-1")
    running.wait_until(lambda: running.states("between-1", "done") == ["deferred"], "the wait begins", every=0.5)
    # A task counts as deferred before a triggerer has taken it up; the lock may not come in between.
    stage = Stage(running, sim, "between", "kling-text2video", "between-1")
    stage.wait(stage.polled)
    database = psycopg2.connect(f"postgresql://airflow@{running.database}")
    try:
        # XComs refer to the task instance and can still be written; its state cannot.
        database.cursor().execute(
            "select state from task_instance where dag_id = 'between' and task_id = 'done' for no key update"
        )
        sim.clear_faults()
        running.wait_until(lambda: running.xcom("between-1", "done", "kling_bill"), "the XComs are pushed", every=0.5)
        running.wait_until(
            lambda: running.xcom("between-1", "done", "_link_KlingOutputLink"), "all of them are", every=0.5
        )
        assert running.states("between-1", "done") == ["deferred"]
        running.kill("triggerer")
    finally:
        database.close()
    running.start("triggerer")
    assert running.run_ends("between-1") == "success", running.last_words()
    assert len(jobs_of(sim, "between-1")) == 1
