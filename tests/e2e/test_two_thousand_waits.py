"""Two thousand jobs wait in one triggerer, which dies in the middle."""

from __future__ import annotations

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import requests

from airflow_provider_kling.payloads import get_payload_class
from airflow_provider_kling.polling.schedule import Durations, Job
from airflow_provider_kling.simulator import Simulator
from tests.conftest import connection_json
from tests.e2e import turns

if TYPE_CHECKING:
    from collections.abc import Iterator


MODEL = "kling-3-text2image"
USUAL = get_payload_class(MODEL).usual_latency
WAITS_PER_RUN = 4
RUNS = int(os.environ.get("WAITS", "2000")) // WAITS_PER_RUN
WAITS = RUNS * WAITS_PER_RUN
#: So slow that no job ends before all wait and the triggerer has died.
TIME_SCALE = 0.3 if WAITS > 500 else 0.6
REQUESTS_PER_MINUTE = 3000

DAG_FILE = f"""
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_kling.sensors.kling import KlingSensor

with DAG("crowd", schedule=None, max_active_runs={RUNS}):
    for number in range({WAITS_PER_RUN}):
        KlingSensor(
            task_id=f"done_{{number}}",
            request_id=f"{{{{{{{{ dag_run.conf['request_ids'][{{number}}] }}}}}}}}",
            model={MODEL!r},
            segmind_conn_id="segmind_crowd",
        )
"""


@pytest.fixture
def crowded() -> Iterator[Simulator]:
    """Yield a Segmind that takes its time."""
    with Simulator(time_scale=TIME_SCALE, requests_per_minute=0, height=72, credits=100_000) as simulator:
        yield simulator


def submit(sim: Simulator, number: int) -> str:
    answer = requests.post(
        f"{sim.url}/v2/{MODEL}", json={"prompt": f"number {number}"}, headers={"x-api-key": sim.api_key}, timeout=60
    )
    return answer.json()["request_id"]


def looks_by_schedule(job: dict[str, Any]) -> int:
    """Return how many looks one wait without a break takes."""
    paced = Job(job["submitted_at"], Durations().expect(MODEL, USUAL), time_scale=TIME_SCALE)
    now, looks = job["submitted_at"], 1
    while now < job["finished_at"]:
        now += paced.pause(now)
        paced.seen(now)
        looks += 1
    return looks


@pytest.mark.timeout(0)  # it lasts as long as WAITS says
def test_two_thousand_waits_survive_the_death_of_their_triggerer(running, crowded):
    running.add_connection(
        "segmind_crowd",
        connection_json(crowded, extra={"time_scale": TIME_SCALE, "requests_per_minute": REQUESTS_PER_MINUTE}),
    )
    with ThreadPoolExecutor(8) as pool:
        request_ids = list(pool.map(lambda number: submit(crowded, number), range(WAITS)))
    running.write_dag("crowd", DAG_FILE)
    for number in range(RUNS):
        ids = request_ids[number * WAITS_PER_RUN : (number + 1) * WAITS_PER_RUN]
        running.trigger("crowd", f"crowd-{number}", {"request_ids": ids})
    running.wait_until(lambda: running.count("crowd", "deferred") == WAITS, "all wait", seconds=400, every=2)
    looked_at = polls(crowded)
    assert not {job["status"] for job in crowded.ledger()["jobs"]} & {"COMPLETED", "FAILED"}, "too early to tell"
    running.kill("triggerer")
    running.start("triggerer")
    running.wait_until(lambda: running.count("crowd", "deferred") == 0, "all end", seconds=900, every=2)
    running.wait_until(lambda: running.count("crowd", "success") == WAITS, "all succeed", seconds=60, every=2)

    assert looked_at.total() > 0
    jobs = {job["request_id"]: job for job in crowded.ledger()["jobs"]}
    assert len(jobs) == WAITS  # a wait bills nothing
    too_often = {
        request_id: (polled, by_schedule)
        for request_id, polled in polls(crowded).items()
        if polled >= 2 * (by_schedule := looks_by_schedule(jobs[request_id]))
    }
    assert not too_often
    # Airflow warns of a blocked loop while it starts thousands of triggers itself, whosever they are.
    costliest = turns.read(running.home)
    assert len({turn.process for turn in costliest}) >= 2, "one triggerer died, another has ended the waits"
    assert max(turn.waits for turn in costliest) < turns.STALL_SECONDS, costliest


def polls(sim: Simulator) -> Counter[str]:
    """Count the requests about each job."""
    return Counter(
        request["path"].removeprefix("/v2/requests/").removesuffix("/status")
        for request in sim.requests()
        if request["method"] == "GET" and request["path"].startswith("/v2/requests/")
    )
