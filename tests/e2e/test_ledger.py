"""
A ledger shared by runs whose task processes are killed: a limit of a month holds, what is the same is paid once.

``KILLS=50`` has 200 tasks in four runs; fewer kills have fewer tasks.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress

import pytest

from tests.e2e.airflow_processes import make_ledger, sigkill
from tests.e2e.backfills import backfill

KILLS = int(os.environ.get("KILLS", "50"))
RUNS = 4
TASKS, AFFORDABLE = (50, 37) if KILLS >= 50 else (8, 13)
DAYS = 14 if KILLS >= 50 else 3
PRICE = 0.035
#: The most seconds for all runs together.
PATIENCE = 300 + 6 * RUNS * TASKS
DAG_FILE = f"""
from datetime import timedelta

import pendulum
from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_kling.budget import KlingBudget
from airflow_provider_kling.operators.kling import KlingGenerateOperator

COMMON = dict(
    task_id="make", model="kling-3-text2image", poll_interval=1,
    orphan_grace=20, retries=8, retry_delay=timedelta(seconds=1),
)

def wishes():
    @task
    def wishes(dag_run=None):
        return [{{"prompt": prompt}} for prompt in dag_run.conf["prompts"]]
    return wishes()

with DAG("ledger_budget", schedule=None, max_active_tasks=50, default_args={{"ledger_conn_id": "kling_ledger"}}):
    KlingGenerateOperator.partial(
        **COMMON, budget=KlingBudget(max_cost_per_month={AFFORDABLE * PRICE + 0.01}, project="e2e")
    ).expand(payload=wishes())

with DAG("ledger_reuse", schedule=None, max_active_tasks=50, default_args={{"ledger_conn_id": "kling_ledger"}}):
    KlingGenerateOperator.partial(**COMMON, reuse="completed").expand(payload=wishes())

with DAG(
    "ledger_daily", schedule="@daily", catchup=False, max_active_runs=2,
    start_date=pendulum.datetime(2024, 1, 1, tz="UTC"), end_date=pendulum.datetime(2024, 4, 1, tz="UTC"),
    default_args={{"ledger_conn_id": "kling_ledger"}},
):
    made = KlingGenerateOperator(
        **COMMON, reuse="completed", payload={{"prompt": "daily {{{{ ds }}}}"}}, store=FOLDER + "/{{{{ ds }}}}"
    )

    @task
    def published(result):
        return result["url"]

    published(made.output)
"""


@pytest.fixture(scope="module")
def ledger(running):
    """Return the environment with a ledger in a database of its own, on the server of Airflow's."""
    settings = {name: value for name, value in running.env.items() if "KLING_LEDGER" in name or "LEDGER_CONN" in name}
    if not settings:  # this Airflow's config names none
        settings = make_ledger(running.database, running.env)
        running.add_connection("kling_ledger", settings["AIRFLOW_CONN_KLING_LEDGER"])
    running.write_dag("ledger", f"FOLDER = {(running.home / 'daily').as_uri()!r}\n{DAG_FILE}")
    return settings


def kling(running, ledger, *arguments):
    """Run a command of the provider's, and return what it prints."""
    command = [sys.executable, "-m", "airflow_provider_kling", *arguments]
    done = subprocess.run(  # noqa: S603 is this project's own command
        command, env={**running.env, **ledger}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_all(running, dag_id, prompts):
    """Start a run for each list of prompts, kill their tasks at random until they are over, and return their ids."""
    runs = [f"{dag_id}-{number}" for number in range(len(prompts))]
    for run_id, wanted in zip(runs, prompts, strict=True):
        running.trigger(dag_id, run_id, conf={"prompts": wanted})
    chance = random.Random(15)  # noqa: S311 to be repeated
    killed, begun = 0, time.monotonic()
    while not all_over(running, runs):
        assert time.monotonic() < begun + PATIENCE, running.last_words()
        time.sleep(0.3)
        if killed < KILLS:
            with suppress(AssertionError):  # for a moment Airflow's API server has no connection to its database left
                killed += kills_one(running, chance.choice(runs), chance)
    assert killed
    print(f"\n{dag_id}: {killed} kills in {time.monotonic() - begun:.0f} s")  # noqa: T201 shown where it is asked for
    return runs


def all_over(running, runs):
    with suppress(AssertionError):  # see above
        return all(running.run_state(run_id) in {"success", "failed"} for run_id in runs)
    return False


def kills_one(running, run_id, chance):
    """Kill a task of a run, if one runs; return whether one was killed."""
    alive = [task for task in running.tasks(run_id, "make") if task["state"] == "running"]
    process = running.task_process(run_id, "make", chance.choice(alive)["map_index"]) if alive else None
    return process is not None and sigkill(process)


def billed(sim, word):
    """Return how often each prompt with that word was billed."""
    prompts = (str(job["inputs"].get("prompt")) for job in sim.ledger()["jobs"])
    return Counter(prompt for prompt in prompts if prompt.startswith(word))


@pytest.mark.timeout(0)  # it lasts as long as KILLS says
def test_a_limit_of_a_month_is_used_up_and_never_broken_by_runs_that_are_killed(running, sim, ledger):
    wanted = [[f"month {run} {number}" for number in range(TASKS)] for run in range(RUNS)]
    runs = run_all(running, "ledger_budget", wanted)
    states = [state for run_id in runs for state in running.states(run_id, "make")]
    bills = billed(sim, "month")
    assert (bills.total(), len(bills), states.count("success")) == (AFFORDABLE,) * 3, running.last_words()
    total = totals(running, ledger)["e2e"]
    assert (total["jobs"], total["cost"]) == (AFFORDABLE, round(AFFORDABLE * PRICE, 6))
    assert (total["unused"], total["open_jobs"]) == (0, 0)


@pytest.mark.timeout(0)  # it lasts as long as KILLS says
def test_what_two_runs_want_at_once_is_billed_once_though_their_processes_are_killed(running, sim, ledger):
    twins = [[f"twin {run % 2} {number}" for number in range(TASKS)] for run in range(RUNS)]
    runs = run_all(running, "ledger_reuse", twins)
    assert [running.run_state(run_id) for run_id in runs] == ["success"] * RUNS, running.last_words()
    bills, different = billed(sim, "twin"), RUNS * TASKS // 2
    assert (len(bills), bills.total()) == (different, different)
    urls = [running.xcom(run_id, "make", map_index=0)["url"] for run_id in runs]
    assert urls[:2] == urls[2:]
    total = totals(running, ledger)["ledger_reuse"]
    assert (total["jobs"], total["reused"], total["cost"]) == (different, different, round(different * PRICE, 6))


def test_a_backfill_pays_for_the_days_that_do_not_exist_and_runs_what_comes_after_all(running, sim, ledger):
    days = [f"2024-03-{day:02}" for day in range(1, DAYS + 1)]
    backfill(running, "ledger_daily", days[:2])
    assert billed(sim, "daily").total() == 2
    backfill(running, "ledger_daily", days, anew=True)
    assert billed(sim, "daily") == Counter(f"daily {day}" for day in days)
    urls = [running.xcom(run_id, "published") for run_id in running.runs("ledger_daily")]
    assert len(set(urls)) == len(days)


def totals(running, ledger):
    """Return what the command tells of the costs, by project."""
    found = json.loads(kling(running, ledger, "costs", "--by", "project", "--format", "json"))
    return {total["project"]: total for total in found}
