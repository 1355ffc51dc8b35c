"""
Three triggerers and ten workers share 60 requests a minute; 200 jobs get no more delay than one triggerer gives them.

It takes half an hour, so it runs only with ``WAITS=2000`` or more.
"""

from __future__ import annotations

import os
import sys
from bisect import bisect_left
from statistics import fmean
from typing import TYPE_CHECKING

import pytest

from airflow_provider_kling.simulator import Simulator
from tests.conftest import connection_json
from tests.e2e.airflow_processes import airflow
from tests.e2e.postgres import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.airflow_processes import Airflow

JOBS = int(os.environ.get("WAITS", "500")) // 10
TRIGGERERS, WORKERS, PLAN = 3, 10, 60
MODEL = "kling-3-text2image"
DAG_FILE = f"""
from datetime import timedelta

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_kling.operators.kling import KlingGenerateOperator

@task
def wishes(dag_run=None):
    return [{{"prompt": f"{{dag_run.run_id}} {{number}}"}} for number in range({JOBS})]

with DAG("limited", schedule=None, max_active_tasks={WORKERS}):
    KlingGenerateOperator.partial(
        task_id="make", model={MODEL!r}, retries=2, retry_delay=timedelta(seconds=5)
    ).expand(payload=wishes())
"""


@pytest.fixture
def limited() -> Iterator[Simulator]:
    """Yield a Segmind that answers 429 above the plan's requests."""
    with Simulator(time_scale=1, requests_per_minute=PLAN, height=72, credits=100_000) as simulator:
        yield simulator


@pytest.fixture
def fleet(limited: Simulator) -> Iterator[Airflow]:
    """Yield an Airflow with a ledger, whose triggerers take a third of the jobs each."""
    settings = {
        "CORE__PARALLELISM": WORKERS,
        "TRIGGERER__CAPACITY": JOBS,
        "TRIGGERER__DEFAULT_CAPACITY": JOBS,
    }
    connection = connection_json(limited, extra={"time_scale": 1, "requests_per_minute": PLAN})
    with airflow(connection, settings=settings, ledger=True) as running:
        running.write_dag("limited", DAG_FILE)
        yield running


@pytest.mark.skipif(JOBS < 200, reason="half an hour; WAITS=2000 runs it")
@pytest.mark.timeout(0)
def test_three_triggerers_and_ten_workers_keep_to_the_plan_and_wait_no_longer_than_one_triggerer(fleet, limited, capfd):
    alone, triggerers = delay_of_a_run(fleet, limited, "one")
    assert len(triggerers) == 1
    fleet.kill("triggerer")
    for number in range(TRIGGERERS):
        fleet.start(
            "triggerer",
            f"triggerer-{number}",
            AIRFLOW__TRIGGERER__CAPACITY=str(JOBS // TRIGGERERS),
            AIRFLOW__TRIGGERER__DEFAULT_CAPACITY=str(JOBS // TRIGGERERS),
            AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT=str(free_port()),
        )
    together, triggerers = delay_of_a_run(fleet, limited, "three")
    asked = limited.requests()
    times = sorted(request["time"] for request in asked)
    busiest = max(bisect_left(times, first + 60) - number for number, first in enumerate(times))
    with capfd.disabled():
        sys.stdout.write(
            f"\n\n{JOBS} jobs on {PLAN} a minute: mean delay {alone:.1f} s with one triggerer, {together:.1f} s with "
            f"{len(triggerers)}; {len(asked)} requests, at most {busiest} in a minute\n"
        )
    assert [request for request in asked if request["status"] == 429] == []
    assert busiest <= PLAN
    assert len(triggerers) == TRIGGERERS
    assert together <= 1.2 * alone


def delay_of_a_run(fleet: Airflow, sim: Simulator, run_id: str) -> tuple[float, set[int]]:
    """Return how many seconds, on average, a job's end was seen after it, and the triggerers that had waits."""
    fleet.trigger("limited", run_id)
    triggerers: set[int] = set()

    def is_over() -> bool:
        triggerers.update(task["triggerer_job"]["id"] for task in fleet.tasks(run_id) if task["triggerer_job"])
        return fleet.run_state(run_id) in {"success", "failed"}

    fleet.wait_until(is_over, f"run {run_id} ends", seconds=3600, every=5)
    assert fleet.run_state(run_id) == "success", fleet.last_words()
    jobs = {job["request_id"]: job for job in sim.ledger()["jobs"] if job["inputs"]["prompt"].startswith(f"{run_id} ")}
    assert len(jobs) == JOBS
    seen = {}
    for request in sim.requests():
        job = jobs.get(request["path"].split("/")[3] if request["path"].startswith("/v2/requests/") else "")
        if job is not None and request["time"] >= job["finished_at"]:
            seen.setdefault(job["request_id"], request["time"] - job["finished_at"])
    assert len(seen) == JOBS
    return fmean(seen.values()), triggerers
