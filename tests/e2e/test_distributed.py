"""The main job with CeleryExecutor, two of everything, and machines that are lost with their disks."""

from __future__ import annotations

import hashlib
import os
import sys
from bisect import bisect_left
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import requests
from airflow import __version__ as airflow_version

from airflow_provider_kling.payloads import get_payload_class
from airflow_provider_kling.polling.schedule import Durations, Job
from airflow_provider_kling.simulator import Simulator
from tests.conftest import connection_json, needs_task_state
from tests.e2e.chains import GENERATES, HEADER, PAIRS, assert_one_chain, dag_file, jobs_of
from tests.e2e.distributed import API_SERVER, CAPACITY, WORKERS, distributed, lose_machine, machine_of, start_worker
from tests.e2e.kills import RETRIES_THE_KILLED, Moment, carry_out, schedule
from tests.e2e.ours import GRACE, OURS
from tests.e2e.random_kills import assert_all_delivered_once, blow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.airflow_processes import Airflow

pytestmark = pytest.mark.distributed

#: How many task processes are killed at random.
KILLS = int(os.environ.get("KILLS", "50"))

retries_after_a_lost_worker = pytest.mark.skipif(
    airflow_version == "3.4.0b2",
    reason="its schedulers die of a task without a heartbeat (UniqueViolation in prepare_db_for_next_try)",
)


@pytest.fixture(scope="module")
def fleet(sim: Simulator, aws: dict[str, str]) -> Iterator[Airflow]:
    """Yield a distributed Airflow, connected to the simulator."""
    with distributed(connection_json(sim, extra={"time_scale": 60}), aws) as running:
        yield running


def test_pairs_and_single_tasks_chain_and_hand_on_plain_values(fleet, sim):
    chains = {"pairs": PAIRS, "generates": GENERATES}
    for name, body in chains.items():
        fleet.write_dag(name, dag_file(body, name, sim))
        fleet.trigger(name, f"celery-{name}")
    for name in chains:
        assert fleet.run_ends(f"celery-{name}") == "success", fleet.last_words()
        assert_one_chain(sim, f"celery-{name}")


@needs_task_state
def test_whenever_a_task_process_is_killed_each_job_is_paid_once_and_every_run_succeeds(fleet, sim):
    tally = carry_out(fleet, sim, OURS, schedule(len(Moment)))
    assert tally.problems == []
    assert tally.kills == dict.fromkeys(Moment, 1)
    assert set(tally.runs.values()) == {"success"}, tally.runs
    assert {run_id: len(jobs_of(sim, run_id)) for run_id in tally.runs} == dict.fromkeys(tally.runs, 1)


@pytest.mark.skipif(not RETRIES_THE_KILLED, reason="Airflow 3.0 fails a task whose process was killed")
def test_whatever_is_killed_at_random_three_retries_deliver_every_job_once(fleet, sim, capfd):
    storm = blow(fleet, sim, KILLS, name="random-celery")
    with capfd.disabled():
        sys.stdout.write(
            f"\n\n{storm.kills} random kills over {len(storm.runs)} wanted jobs, {storm.bills.total()} billed\n"
        )
    assert_all_delivered_once(storm)


FLEET_MODEL = "kling-3-pro-text2video"
FLEET = (
    HEADER
    + """
with DAG("lost", schedule=None, default_args=DEFAULTS):
    submit = KlingSubmitOperator(
        task_id="submit",
        model={model!r},
        payload={{"prompt": "{{{{ run_id }}}}", "duration": "3"}},
        orphan_grace={grace},
        history_timeout=4,
        retries=9,
    )
    KlingSensor(task_id="done", request_id=submit.output, poll_interval=1)
"""
)


@retries_after_a_lost_worker
def test_workers_lost_with_their_disks_while_they_submit_cost_no_job_and_no_second_bill(fleet, sim):
    fleet.write_dag("lost", FLEET.format(model=FLEET_MODEL, grace=GRACE, picture=""))
    runs = [f"lost-{number}" for number in range(8)]
    # Of the first four, two are accepted without an answer, and two never.
    sim.order_fault("hold_after", method="POST", model=FLEET_MODEL, times=2)
    sim.order_fault("hold", method="POST", model=FLEET_MODEL, times=2)
    for run_id in runs:
        fleet.trigger("lost", run_id)

    def held() -> list[dict[str, Any]]:
        return [request for request in sim.requests() if request["path"] == f"/v2/{FLEET_MODEL}"]

    fleet.wait_until(lambda: len(held()) == 4, "four submits are on their way")
    for worker in WORKERS:
        lose_machine(fleet, worker)
    assert len([job for run_id in runs for job in jobs_of(sim, run_id)]) == 2
    for worker in WORKERS:
        start_worker(fleet, worker)
    assert [fleet.run_ends(run_id, seconds=300) for run_id in runs] == ["success"] * len(runs), fleet.last_words()
    assert {run_id: len(jobs_of(sim, run_id)) for run_id in runs} == dict.fromkeys(runs, 1)


BUCKET = "films"
STORES = (
    HEADER
    + """
with DAG("stores", schedule=None, default_args=DEFAULTS):
    KlingGenerateOperator(
        task_id="film",
        payload=O1ReferenceToVideo(
            prompt="@Image1 {{{{ run_id }}}}", image_urls=["s3://films/robot.png"], duration="5"
        ),
        store="s3://films/kept",
        orphan_grace={grace},
        history_timeout=4,
    )
"""
)


@needs_task_state
@retries_after_a_lost_worker
def test_each_attempt_on_another_empty_machine_pays_once_uploads_once_and_keeps_a_whole_file(fleet, sim, s3):
    s3.create_bucket(Bucket=BUCKET)
    picture = requests.get(f"{sim.url}/simulator/inputs/robot.png", timeout=60).content
    s3.put_object(Bucket=BUCKET, Key="robot.png", Body=picture)
    fleet.write_dag("stores", STORES.format(grace=GRACE, picture=""))
    uploads = len(sim.uploads())
    sim.order_fault("hold_after", method="POST", model="kling-o1-reference-image-to-video")
    # The download breaks off in the middle, and its rest does not come.
    sim.order_fault("truncate", method="GET", path="/generations/*")
    sim.order_fault("hold", method="GET", path="/generations/*")
    fleet.trigger("stores", "stores-1")

    fleet.wait_until(lambda: jobs_of(sim, "stores-1"), "the job is accepted")
    submitted_on = machine_of(fleet, "stores-1", "film")
    lose_machine(fleet, submitted_on)
    fleet.wait_until(lambda: len(_fetches(sim, "stores-1")) == 2, "half of the file has come", seconds=180)
    fetched_on = machine_of(fleet, "stores-1", "film")
    assert fetched_on != submitted_on
    start_worker(fleet, submitted_on)
    lose_machine(fleet, fetched_on)
    assert fleet.run_ends("stores-1", seconds=180) == "success", fleet.last_words()
    start_worker(fleet, fetched_on)

    (job,) = jobs_of(sim, "stores-1")
    assert len(sim.uploads()) == uploads + 1
    (kept,) = fleet.xcom("stores-1", "film")["files"]
    film = requests.get(job["url"], timeout=60).content
    assert kept["sha256"] == hashlib.sha256(film).hexdigest()
    path, sidecar = (kept[name].removeprefix(f"s3://{BUCKET}/") for name in ("path", "sidecar"))
    assert s3.get_object(Bucket=BUCKET, Key=path)["Body"].read() == film
    objects = {entry["Key"] for entry in s3.list_objects_v2(Bucket=BUCKET)["Contents"]}
    assert objects == {path, sidecar, "robot.png"}


def _fetches(sim: Simulator, run_id: str) -> list[dict[str, Any]]:
    ids = [job["request_id"] for job in jobs_of(sim, run_id)]
    return [asked for asked in sim.downloads() if any(f"/generations/{id_}" in asked["path"] for id_ in ids)]


CROWD_MODEL = "kling-3-text2image"
USUAL = get_payload_class(CROWD_MODEL).usual_latency
RUNS, WAITS_PER_RUN = 50, 4
WAITS = RUNS * WAITS_PER_RUN
#: What the plan allows, and each triggerer's share of it, as docs/waiting.md says to divide it.
PLAN = 600
SHARE = PLAN // 2
CROWD = """
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_kling.sensors.kling import KlingSensor

with DAG("crowd", schedule=None, max_active_runs={runs}):
    for number in range({waits}):
        KlingSensor(
            task_id=f"done_{{number}}",
            request_id=f"{{{{{{{{ dag_run.conf['request_ids'][{{number}}] }}}}}}}}",
            model={model!r},
            segmind_conn_id="segmind_crowd",
        )
"""


@pytest.fixture
def crowded() -> Iterator[Simulator]:
    """Yield a Segmind of a plan with a limit, as fast as the real one."""
    with Simulator(time_scale=1, requests_per_minute=PLAN, height=72, credits=100_000) as simulator:
        yield simulator


def test_two_hundred_waits_outlive_a_triggerer_a_scheduler_and_an_api_server_within_the_plan(fleet, crowded, capfd):
    share = connection_json(crowded, extra={"time_scale": 1, "requests_per_minute": SHARE})
    fleet.add_connection("segmind_crowd", share)
    fleet.write_dag("crowd", CROWD.format(runs=RUNS, waits=WAITS_PER_RUN, model=CROWD_MODEL))
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda number: _submitted(crowded, number), range(WAITS)))
    # No wait ends before all wait and three components have died.
    still_going = {"status": 200, "body": {"status": "PROCESSING"}}
    crowded.order_fault("respond", method="GET", path="/v2/requests/*", times=100_000, **still_going)
    for number in range(RUNS):
        own = ids[number * WAITS_PER_RUN : (number + 1) * WAITS_PER_RUN]
        fleet.trigger("crowd", f"crowd-{number}", {"request_ids": own})
    fleet.wait_until(lambda: fleet.count("crowd", "deferred") == WAITS, "all wait", seconds=900, every=1)
    fleet.wait_until(lambda: len(_polls(crowded)) == WAITS, "all are polled", seconds=120, every=1)
    waits_of = Counter(task["triggerer_job"]["id"] for task in fleet.tasks_of("crowd", state="deferred"))
    fleet.kill("triggerer")
    fleet.kill("scheduler")
    fleet.kill(API_SERVER)
    fleet.start("triggerer")
    crowded.clear_faults()
    fleet.wait_until(lambda: fleet.count("crowd", "success") == WAITS, "all succeed", seconds=400, every=1)

    assert len(waits_of) == 2
    assert min(waits_of.values()) >= WAITS - CAPACITY
    assert len(crowded.ledger()["jobs"]) == WAITS  # a wait bills nothing
    asked = [request for request in crowded.requests() if request["method"] == "GET"]
    assert Counter(request["status"] for request in asked) == {200: len(asked)}
    times = sorted(request["time"] for request in asked)
    busiest = max(bisect_left(times, moment + 60) - number for number, moment in enumerate(times))
    jobs = {job["request_id"]: job for job in crowded.ledger()["jobs"]}
    scheduled = {id_: _looks_by_schedule(jobs[id_], max(polls)) for id_, polls in _polls(crowded).items()}
    with capfd.disabled():
        sys.stdout.write(
            f"\n\n{WAITS} waits on two triggerers ({' and '.join(map(str, waits_of.values()))}): {len(asked)} polls in "
            f"{times[-1] - times[0]:.0f} s, at most {busiest} in a minute of {PLAN} requests\n"
        )
    assert busiest <= PLAN  # one triggerer is started anew, with a new burst
    # The one that takes a wait over looks at once.
    too_often = {
        id_: (len(polls), scheduled[id_]) for id_, polls in _polls(crowded).items() if len(polls) > scheduled[id_] + 1
    }
    assert not too_often


def _submitted(sim: Simulator, number: int) -> str:
    sent = {"prompt": f"number {number}"}
    answer = requests.post(f"{sim.url}/v2/{CROWD_MODEL}", json=sent, headers={"x-api-key": sim.api_key}, timeout=60)
    return str(answer.json()["request_id"])


def _polls(sim: Simulator) -> dict[str, list[float]]:
    """Return when each job was asked for."""
    polls: dict[str, list[float]] = {}
    for request in sim.requests():
        if request["method"] == "GET" and request["path"].startswith("/v2/requests/"):
            polls.setdefault(request["path"].split("/")[3], []).append(request["time"])
    return polls


def _looks_by_schedule(job: dict[str, Any], until: float) -> int:
    """Return how many looks one wait without a break and without a limit takes."""
    paced = Job(job["submitted_at"], Durations().expect(CROWD_MODEL, USUAL))
    now, looks = job["submitted_at"], 1
    while now < until:
        now += paced.pause(now)
        paced.seen(now)
        looks += 1
    return looks
