"""A limit of a month, shared by runs whose task processes are killed: it is used up, and never broken."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time

import psycopg2
import pytest

from tests.e2e.airflow_processes import sigkill

KILLS = int(os.environ.get("KILLS", "50"))
RUNS, TASKS = 2, 15
AFFORDABLE = 13
PRICE = 0.035
DAG_FILE = f"""
from datetime import timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_kling.budget import KlingBudget
from airflow_provider_kling.operators.kling import KlingGenerateOperator

with DAG("ledger", schedule=None, default_args={{"ledger_conn_id": "kling_ledger"}}):
    KlingGenerateOperator.partial(
        task_id="make", model="kling-3-text2image", poll_interval=1,
        orphan_grace=20, retries=5, retry_delay=timedelta(seconds=1),
        budget=KlingBudget(max_cost_per_month={AFFORDABLE * PRICE + 0.01}, project="e2e"),
    ).expand(payload=[{{"prompt": f"ledger {{number}}"}} for number in range({TASKS})])
"""


@pytest.fixture
def ledger(running):
    """Return a connection to a ledger in a database of its own, on the server of Airflow's."""
    address = running.database.partition("/")[0]
    host, port = address.split(":")
    connection = psycopg2.connect(host=host, port=port, user="airflow", dbname="airflow")
    connection.autocommit = True
    connection.cursor().execute("CREATE DATABASE ledger")
    connection.close()
    fields = {"conn_type": "postgres", "host": host, "port": int(port), "login": "airflow", "schema": "ledger"}
    running.add_connection("kling_ledger", json.dumps(fields))
    return {"AIRFLOW_CONN_KLING_LEDGER": json.dumps(fields), "AIRFLOW__KLING__LEDGER_CONN_ID": "kling_ledger"}


def kling(running, ledger, *arguments):
    """Run a command of the provider's, and return what it prints."""
    command = [sys.executable, "-m", "airflow_provider_kling", *arguments]
    done = subprocess.run(  # noqa: S603 is this project's own command
        command, env={**running.env, **ledger}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_limit_of_a_month_is_used_up_and_never_broken_by_runs_that_are_killed(running, sim, ledger):
    assert "migrated" in kling(running, ledger, "ledger", "migrate")
    running.write_dag("ledger", DAG_FILE)
    runs = [f"ledger-{number}" for number in range(RUNS)]
    for run_id in runs:
        running.trigger("ledger", run_id)
    chance = random.Random(15)  # noqa: S311 to be repeated
    killed = 0
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and any(running.run_state(run_id) in {"queued", "running"} for run_id in runs):
        time.sleep(0.3)
        run_id = chance.choice(runs)
        alive = [task for task in running.tasks(run_id, "make") if task["state"] == "running"]
        if not alive or killed >= min(KILLS, 12):
            continue
        process = running.task_process(run_id, "make", chance.choice(alive)["map_index"])
        killed += process is not None and sigkill(process)
    assert killed
    for run_id in runs:
        assert running.run_ends(run_id) == "failed"
    jobs = [job for job in sim.ledger()["jobs"] if str(job["inputs"].get("prompt")).startswith("ledger ")]
    states = [state for run_id in runs for state in running.states(run_id, "make")]
    assert (len(jobs), states.count("success")) == (AFFORDABLE, AFFORDABLE), running.last_words()
    (total,) = json.loads(kling(running, ledger, "costs", "--by", "project", "--format", "json"))
    assert (total["project"], total["jobs"], total["cost"]) == ("e2e", AFFORDABLE, round(AFFORDABLE * PRICE, 6))
    assert (total["unused"], total["open_jobs"]) == (0, 0)
