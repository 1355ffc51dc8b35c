"""``airflow kling ledger export``, ``archive`` and ``reconcile``."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_kling.ledger.results import JobLedger
from airflow_provider_kling.segmind.schemas import Result
from tests.conftest import connection_json
from tests.ledger.test_commands import kling
from tests.ledger.test_generations import NOW, WANTED, intent, job, rows, task

LONG_AGO = NOW - timedelta(days=100)


def old(**fields):
    return intent(**fields).model_copy(update={"intended_at": LONG_AGO})


def test_the_rows_of_a_month_are_exported_with_all_that_is_known(database, ledger_connection):
    for number in range(3):
        task(database, f"submit[{number}]").save(intent(request_id=job(number), cost=0.1))
    task(database, "old").save(old(request_id=job(9)))
    told = kling("ledger", "export", "--month", "2026-11", ledger=ledger_connection)
    lines = [json.loads(line) for line in told.stdout.splitlines()]
    assert [(line["task"], line["request_id"], line["cost"]) for line in lines] == [
        (f"submit[{number}]", job(number), 0.1) for number in range(3)
    ]
    assert lines[0]["payload"] == {"prompt": "🦊"}
    assert lines[0]["intended_at"] == NOW.isoformat()
    table = kling("ledger", "export", "--month", "2026-11", "--format", "csv", ledger=ledger_connection).stdout
    assert [json.loads(row["payload"]) for row in csv.DictReader(io.StringIO(table))] == [{"prompt": "🦊"}] * 3


def test_what_is_over_is_moved_into_a_file_and_what_may_be_needed_stays(database, ledger_connection, tmp_path):
    done = Result.model_validate({"status": "COMPLETED", "metrics": {"cost": 0.4}, "output": "https://a/b.png"})
    for name, number, used in (("done", 1, True), ("not used", 2, False)):
        task(database, name).save(old(request_id=job(number), closed=True))
        JobLedger(database, WANTED.host, job(number), None).completed(done, is_used=used)
    task(database, "runs").save(old(request_id=job(3)))
    task(database, "unclear").save(old(unclear=True))
    task(database, "new").save(intent(request_id=job(4), closed=True))
    JobLedger(database, WANTED.host, job(4), None).completed(done)
    target = tmp_path / "old.jsonl"
    arguments = ("ledger", "archive", "--before", "2026-11", "--to", str(target))
    assert "1 row(s) from before November 2026 were moved" in kling(*arguments, ledger=ledger_connection).stdout
    assert [json.loads(line)["task"] for line in target.read_text().splitlines()] == ["done"]
    assert sorted(row.task for row in rows(database)) == ["new", "not used", "runs", "unclear"]
    again = kling(*arguments, ledger=ledger_connection)
    assert (again.returncode, "nothing was moved" in again.stderr) == (2, True)


def test_this_months_rows_are_not_archived(tmp_path):
    later = (datetime.now(tz=UTC) + timedelta(days=40)).strftime("%Y-%m")
    ran = kling("ledger", "archive", "--before", later, "--to", str(tmp_path / "x"), ledger=sqlite(tmp_path))
    assert (ran.returncode, "needed for its budgets" in ran.stderr) == (2, True)


def sqlite(folder):
    return {"conn_type": "sqlite", "host": str(folder / "ledger.db")}


@pytest.fixture
def told(ledger, sim, tmp_path):
    """Return a function that reconciles a moment's month, and returns what is printed and the exit code."""

    def run(moment):
        month = ("--month", f"{moment:%Y-%m}")
        segmind = connection_json(sim)
        ran = kling("ledger", "reconcile", *month, ledger=sqlite(tmp_path), AIRFLOW_CONN_SEGMIND_DEFAULT=segmind)
        return ran.stdout + ran.stderr, ran.returncode

    return run


SUBMIT = """
KlingSubmitOperator(task_id="submit", payload=O1Image(prompt="@Image1", image_urls=PICTURES))
"""


def test_a_job_that_nobody_waited_for_gets_its_end(told, ledger, sim, conn_id, run_dag):
    run_dag(SUBMIT)
    (row,) = rows(ledger)
    assert (row.state, row.cost) == ("accepted", None)
    sim.advance(100)
    printed, code = told(row.intended_at)
    assert ("both know 1 job(s). The ends of 1 were added" in printed, code) == (True, 0), printed
    (row,) = rows(ledger)
    assert (row.state, row.cost, json.loads(row.output)["urls"]) == (
        "completed",
        0.035,
        [sim.ledger()["jobs"][0]["url"]],
    )


def test_a_job_that_only_one_side_knows_is_listed(told, ledger, sim, conn_id, run_dag, monkeypatch):
    monkeypatch.delenv("AIRFLOW__KLING__LEDGER_CONN_ID")
    submitted_at = datetime.now(tz=UTC)
    run_dag(SUBMIT)
    strange = sim.ledger()["jobs"][0]["request_id"]
    monkeypatch.setenv("AIRFLOW__KLING__LEDGER_CONN_ID", "my_ledger")
    earlier = datetime.now(tz=UTC) - timedelta(days=40)
    lost = task(ledger, "lost")
    wanted = type(WANTED)(host=sim.url, model="kling-o1", content="c")
    type(lost)(ledger, lost.owner, wanted).save(
        intent(request_id=job(7), closed=True).model_copy(update={"intended_at": earlier})
    )
    printed, code = told(submitted_at)
    assert (code, "1 differ" in printed) == (1, True), printed
    assert f"{strange} kling-o1" in " ".join(printed.split())
    assert "only Segmind knows it" in printed
    printed, code = told(earlier)
    assert (code, "1 differ" in printed) == (1, True), printed
    assert job(7) in printed
    assert "only the ledger knows it" in printed
