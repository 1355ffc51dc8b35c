from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from datetime import timedelta

import pytest

from tests.conftest import AIRFLOW_3
from tests.ledger.test_generations import NOW, intent, job, task


def kling(*arguments, ledger=None, **env):
    connection = {} if ledger is None else {"AIRFLOW_CONN_MY_LEDGER": json.dumps(ledger)}
    named = {} if ledger is None else {"AIRFLOW__KLING__LEDGER_CONN_ID": "my_ledger"}
    return subprocess.run(  # noqa: S603 is this project's own command
        [sys.executable, "-m", "airflow_provider_kling", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **connection, **named, **env},
        timeout=60,
    )


def test_without_a_ledger_each_command_says_how_to_name_one():
    for command in (("ledger", "migrate"), ("costs",)):
        ran = kling(*command)
        assert (ran.returncode, ran.stdout) == (2, "")
        assert "AIRFLOW__KLING__LEDGER_CONN_ID" in ran.stderr.splitlines()[-1]


def test_a_ledger_is_made_and_its_costs_are_told_in_three_forms(ledger_connection):
    empty = kling("costs", ledger=ledger_connection)
    assert empty.returncode == 2
    assert "airflow kling ledger migrate" in empty.stderr
    assert "migrated to version 0003" in kling("ledger", "migrate", ledger=ledger_connection).stdout
    assert "has version 0003" in kling("ledger", "migrate", ledger=ledger_connection).stdout
    told = kling("costs", "--format", "json", "--by", "project", ledger=ledger_connection)
    assert json.loads(told.stdout) == []


def test_costs_are_added_up_where_they_were_caused(database, ledger_connection):
    for number, (dag, cost, used) in enumerate([("film", 0.35, True), ("film", 0.4, False), ("clips", None, True)]):
        ledger = task(database, f"submit[{number}]", dag=dag)
        ledger.save(intent(request_id=job(number), cost=cost, closed=used))
    task(database, "old").save(
        intent(request_id=job(9), cost=7.0).model_copy(update={"intended_at": NOW - timedelta(days=31)})
    )
    told = kling("costs", "--month", "2026-11", "--by", "dag,model", "--format", "json", ledger=ledger_connection)
    film, clips = json.loads(told.stdout)
    assert (film["dag"], film["model"], film["jobs"], film["cost"], film["open_jobs"]) == (
        "film",
        "kling-o1",
        2,
        0.75,
        0,
    )
    assert (clips["dag"], clips["cost"], clips["open_jobs"], clips["open_cost"]) == ("clips", 0, 1, 0.5)
    listed = kling("costs", "--month", "2026-11", "--by", "dag", "--format", "csv", ledger=ledger_connection).stdout
    assert [row["cost"] for row in csv.DictReader(io.StringIO(listed))] == ["0.75", "0.0"]
    table = kling("costs", "--month", "2026-11", "--by", "dag", ledger=ledger_connection).stdout
    assert "$0.75" in table
    assert "November 2026, in UTC: $0.75 billed." in table


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(("--by", "colour"), "'colour' is none of dag, model"), (("--month", "May"), "no month such as")],
)
def test_what_cannot_be_asked_is_told_in_a_line(arguments, told, tmp_path):
    ran = kling("costs", *arguments, ledger={"conn_type": "sqlite", "host": str(tmp_path / "x.db")})
    assert ran.returncode == 2
    assert told in ran.stderr


@pytest.mark.skipif(not AIRFLOW_3, reason="Airflow 2 reads its database in any process")
def test_a_connection_of_airflows_own_database_is_found(tmp_path):
    env = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW__KLING", "AIRFLOW_CONN"))}
    env |= {"AIRFLOW_HOME": str(tmp_path), "AIRFLOW__KLING__LEDGER_CONN_ID": "kling_ledger"}
    env.pop("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", None)
    stored = {"kling_ledger": {"conn_type": "sqlite", "host": str(tmp_path / "ledger.db")}}
    (tmp_path / "connections.json").write_text(json.dumps(stored))

    def run(*arguments):
        command = [sys.executable, "-m", *arguments]
        return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=120)  # noqa: S603

    run("airflow", "db", "migrate")
    assert run("airflow", "connections", "import", str(tmp_path / "connections.json")).returncode == 0
    assert "migrated to version" in run("airflow_provider_kling", "ledger", "migrate").stdout
