"""Tasks on Airflow, with a ledger."""

from __future__ import annotations

import json

from airflow_provider_kling.ledger.cost_totals import totals
from tests.ledger.test_generations import rows

PAIR = """
submit = KlingSubmitOperator(task_id="submit", payload=O1Image(prompt="@Image1", image_urls=PICTURES), {submit})
KlingSensor(task_id="wait", request_id=submit.output, mode="poke", poll_interval=0.1)
"""
BATCH = """
from airflow_provider_kling.budget import KlingBudget

def told(context):
    print("TOLD", context["kling_budget"])

KlingSubmitOperator.partial(
    task_id="submit", model="kling-3-text2image", retries=0,
    budget=KlingBudget({limits}, project="spring", warn_at=0.5, notifier=told),
).expand(payload=[{{"prompt": f"fox {{n}}"}} for n in range({count})])
"""


def test_a_pair_leaves_one_row_with_all_that_is_known(ledger, sim, conn_id, run_dag):
    run = run_dag(PAIR.format(submit=""))
    (row,) = rows(ledger)
    job = sim.ledger()["jobs"][0]
    assert (row.dag_id, row.run_id, row.task) == (run.dag_run.dag_id, run.dag_run.run_id, "submit")
    assert (row.state, row.request_id, row.cost, row.used) == ("completed", job["request_id"], 0.035, True)
    assert row.project == row.dag_id
    assert json.loads(row.output)["urls"] == [job["url"]]
    assert json.loads(row.payload)["prompt"] == "@Image1"


def test_a_job_that_failed_is_there_with_what_it_cost(ledger, sim, conn_id, run_dag):
    sim.order_fault("fail_job", error="bad picture")
    run_dag(PAIR.format(submit=""))
    (row,) = rows(ledger)
    assert (row.state, row.cost) == ("failed", 0.0)


def test_only_digests_are_stored_if_so_configured(ledger, conn_id, run_dag, monkeypatch):
    monkeypatch.setenv("AIRFLOW__KLING__STORE_PAYLOAD", "False")
    run_dag(PAIR.format(submit=""))
    (row,) = rows(ledger)
    assert row.payload is None
    assert "@Image1" not in json.dumps([str(value) for value in row])


def test_after_everything_airflow_knew_is_gone_the_same_run_takes_its_job(ledger, sim, conn_id, run_dag):
    broken = PAIR.format(submit="post_execute=lambda *_: 1 / 0, retries=0")
    assert run_dag(broken, again="ledger").task_state("submit") == "failed"
    run = run_dag(PAIR.format(submit=""), again="ledger")
    assert (run.state, sim.ledger()["accepted"]) == ("success", 1)
    run_dag(PAIR.format(submit=""), again="ledger")  # cleared after its success: a new one is wanted
    assert sim.ledger()["accepted"] == 2
    assert [row.used for row in rows(ledger)] == [True, True]


def test_a_limit_of_a_month_holds_over_runs_and_its_author_is_warned_once(ledger, sim, conn_id, run_dag, capfd):
    batch = BATCH.format(limits="max_cost_per_month=0.14", count=3)
    assert run_dag(batch).state == "success"
    run_dag(batch, dag_id="another_dag")
    assert len(sim.ledger()["jobs"]) == 4  # of $0.035 each
    told = capfd.readouterr().out
    assert told.count("TOLD {") == 1
    assert "The budget of 'spring' for" in told
    (total,) = totals(ledger, *ever(), ["project"])
    assert (total.group, total.jobs) == (("spring",), 4)


def test_without_a_ledger_a_limit_of_a_month_sends_nothing(sim, conn_id, run_dag, capfd):
    run_dag(BATCH.format(limits="max_cost_per_month=0.14", count=1))
    assert sim.ledger()["accepted"] == 0
    assert "needs the ledger" in capfd.readouterr().out


def test_a_ledger_that_is_away_sends_nothing_and_says_so(ledger, sim, conn_id, run_dag, monkeypatch, capfd):
    away = {"conn_type": "postgres", "host": "127.0.0.1", "port": 9, "login": "x", "schema": "x"}
    monkeypatch.setenv("AIRFLOW_CONN_MY_LEDGER", json.dumps(away))
    run_dag(PAIR.format(submit="retries=0"))
    assert sim.ledger()["accepted"] == 0
    assert "The ledger (connection 'my_ledger') does not answer" in capfd.readouterr().out


def ever():
    from datetime import UTC, datetime

    return datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
