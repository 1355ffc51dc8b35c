from __future__ import annotations

from airflow_provider_kling.simulator import Simulator
from tests.conftest import connection_json

RUN = """
from airflow_provider_kling.budget import KlingBudget
from airflow_provider_kling.operators.cost import KlingRunCostOperator

submit = KlingSubmitOperator.partial(task_id="submit", budget=KlingBudget(2.0)).expand(
    payload=[O1Image(prompt=f"@Image1 in colour {n}", image_urls=PICTURES) for n in range(3)]
)
done = KlingSensor.partial(task_id="done", poll_interval=0.2).expand(request_id=submit.output)
film = KlingSubmitOperator(task_id="film", payload=O3TextToVideo(prompt="a fox", duration=3), max_cost=2.0)
shown = KlingSensor(task_id="shown", request_id=film.output, poll_interval=0.2)
[done, shown] >> KlingRunCostOperator(task_id="cost")
"""


def test_it_adds_up_what_a_run_cost_after_a_failure_too_and_leaves_the_run_failed(sim, conn_id, run_dag, capfd):
    sim.order_fault("fail_job", model="kling-o1", error="bad picture")
    run = run_dag(RUN)
    assert run.state == "failed"
    assert run.task_state("cost") == "success"
    told, ledger = run.xcom("cost"), sim.ledger()
    film = next(job for job in ledger["jobs"] if job["model"] == "kling-o3-text2video")
    assert told["total"] == ledger["billed"]
    assert (told["jobs"], told["failed"], told["unknown"]) == (4, 1, [])
    assert told["by_request"] == {job["request_id"]: job["cost_billed"] for job in ledger["jobs"]}
    assert told["by_model"] == {
        "kling-o3-text2video": {"jobs": 1, "cost": film["cost_billed"]},
        "kling-o1": {"jobs": 3, "cost": 0.07},
    }
    assert told["limit"] == 2.0
    assert told["left"] == round(2.0 - ledger["billed"], 6)
    out = capfd.readouterr().out
    assert "What the Kling jobs of this run cost:" in out
    assert "  kling-o1                3 jobs      $0.07" in out
    assert "FAILED: 1 of them." in out
    assert "Budget of the run: $2.00, left: $" in out


def test_a_job_that_no_sensor_saw_end_is_looked_up(sim, conn_id, run_dag):
    run = run_dag(f"""
        from airflow_provider_kling.operators.cost import KlingRunCostOperator

        first = KlingSubmitOperator(task_id="first", payload=O1Image(prompt="@Image1", image_urls=PICTURES))

        @task
        def until_it_is_done():
            import time
            import requests

            while requests.get("{sim.url}/simulator/ledger", timeout=10).json()["jobs"][0]["status"] != "COMPLETED":
                time.sleep(0.05)

        first >> until_it_is_done() >> KlingRunCostOperator(task_id="cost")
    """)
    assert run.state == "success"
    told = run.xcom("cost")
    assert told["by_request"] == {run.xcom("first"): 0.035}
    assert told["total"] == sim.ledger()["billed"]
    assert "limit" not in told


def test_a_job_that_still_runs_is_named_and_not_in_the_total(monkeypatch, run_dag, capfd):
    with Simulator(time_scale=1, requests_per_minute=0, height=72) as slow:
        monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", connection_json(slow))
        run = run_dag("""
            from airflow_provider_kling.operators.cost import KlingRunCostOperator

            submit = KlingSubmitOperator(task_id="submit", payload=O3TextToVideo(prompt="a fox", duration=15))
            submit >> KlingRunCostOperator(task_id="cost")
        """)
    assert run.state == "success"
    assert (run.xcom("cost")["total"], run.xcom("cost")["unknown"]) == (0.0, [run.xcom("submit")])
    assert f"Cost not known yet, and not in the total: {run.xcom('submit')}." in capfd.readouterr().out


def test_a_history_that_cannot_be_read_leaves_a_cost_unknown_and_fails_nothing(sim, conn_id, run_dag, capfd):
    sim.order_fault("respond", method="GET", path="/inference-request/*", times=9, status=403, body={"error": "no"})
    run = run_dag("""
        from airflow_provider_kling.operators.cost import KlingRunCostOperator

        submit = KlingSubmitOperator(task_id="submit", payload=O1Image(prompt="@Image1", image_urls=PICTURES))
        submit >> KlingRunCostOperator(task_id="cost")
    """)
    assert run.state == "success"
    assert run.xcom("cost")["unknown"] == [run.xcom("submit")]
    assert "could not be read" in capfd.readouterr().out


def test_a_submit_of_which_nobody_knows_whether_it_was_accepted_is_named(sim, conn_id, run_dag, capfd):
    sim.order_fault("reset_after", method="POST", row_after=3600)
    run = run_dag("""
        from airflow_provider_kling.operators.cost import KlingRunCostOperator

        submit = KlingSubmitOperator(
            task_id="submit", payload=O1Image(prompt="@Image1", image_urls=PICTURES),
            history_timeout=0, orphan_grace=1, on_orphaned_intent="fail",
        )
        submit >> KlingRunCostOperator(task_id="cost")
    """)
    assert run.state == "failed"
    assert run.xcom("cost")["jobs"] == 0
    assert "It is unknown whether these tasks have a job that is billed: submit." in capfd.readouterr().out


def test_a_run_without_jobs_costs_nothing(sim, conn_id, run_dag):
    run = run_dag("""
        from airflow_provider_kling.operators.cost import KlingRunCostOperator

        KlingRunCostOperator(task_id="cost", trigger_rule="all_done")
    """)
    assert run.state == "success"
    assert run.xcom("cost") == {
        "total": 0,
        "jobs": 0,
        "failed": 0,
        "by_model": {},
        "by_request": {},
        "unknown": [],
    }
