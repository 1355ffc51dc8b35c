"""
Kill task processes at random moments, up to three times each, while Segmind loses, delays and refuses submits.

With three retries every wanted job is billed once and delivered: what waits for an answer costs no try.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.e2e.airflow_processes import sigkill
from tests.e2e.kills import RUN_SECONDS
from tests.e2e.ours import GRACE

if TYPE_CHECKING:
    from airflow_provider_kling.simulator import Simulator
    from tests.e2e.airflow_processes import Airflow

RETRIES = 3
#: Runs at a time.
LANES = 6
#: Seconds from one question to the API server to the next; it has the tasks to serve as well.
POLL = 0.5
#: The longest time from an attempt's begin to its kill; most attempts end sooner.
SECONDS = 3.0
PAIRED, SINGLE = "kling-1.6-text2video", "kling-text2video"
DAG_FILE = f"""
from datetime import timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_kling.operators.kling import KlingGenerateOperator, KlingSubmitOperator
from airflow_provider_kling.sensors.kling import KlingSensor

DEFAULTS = {{"retries": {RETRIES}, "retry_delay": timedelta(seconds=1)}}
WANTED = {{"payload": {{"prompt": "{{{{ run_id }}}}"}}, "orphan_grace": {GRACE}, "history_timeout": 2}}

with DAG("random_pair", schedule=None, default_args=DEFAULTS):
    submit = KlingSubmitOperator(task_id="submit", model={PAIRED!r}, **WANTED)
    KlingSensor(task_id="done", request_id=submit.output, poll_interval=1)

with DAG("random_single", schedule=None, default_args=DEFAULTS):
    KlingGenerateOperator(task_id="submit", model={SINGLE!r}, poll_interval=1, **WANTED)
"""


@dataclass
class Storm:
    """
    What has happened so far.

    :param wanted: how many kills there shall be.
    :param logs: of the runs that were not delivered, or not billed once.
    """

    wanted: int
    kills: int = 0
    bills: Counter[str] = field(default_factory=Counter)
    runs: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    logs: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


def order_trouble(sim: Simulator, dice: random.Random, posts: int) -> None:
    """Order what befalls the next submits: half of them are only slow, so that more of them are struck by a kill."""
    # Of what is lost, the row shows in the history within the grace.
    late = GRACE - 5
    trouble: list[dict[str, Any]] = [
        {"kind": "hold_after", "seconds": 2},
        {"kind": "reset_before"},
        {"kind": "reset_after", "row_after": late},
        {"kind": "replace_after", "status": 502, "body": "<html>Bad Gateway</html>", "row_after": late},
        {"kind": "respond", "status": 429, "body": {"error": "Rate limit exceeded"}},
    ]
    for _ in range(posts):
        fault = dict(dice.choice(trouble)) if dice.random() < 0.5 else {"kind": "delay", "seconds": 0.5}
        if fault.get("status") == 429:
            reset = datetime.now(tz=UTC) + timedelta(seconds=5)
            fault["headers"] = {"x-rate-limit-reset-at-utc": reset.isoformat()}
        sim.order_fault(fault.pop("kind"), method="POST", path="/v2/*", **fault)


def strike(airflow: Airflow, storm: Storm, run_id: str, dice: random.Random) -> None:
    """Start a run, kill its task process at random moments, but never on its last try, and wait for the run's end."""
    airflow.trigger(dice.choice(["random_pair", "random_single"]), run_id)
    killed: set[int] = set()
    strikes, deadline = dice.randint(1, RETRIES), time.monotonic() + RUN_SECONDS
    while (state := airflow.run_state(run_id)) not in {"success", "failed"} and time.monotonic() < deadline:
        process = airflow.task_process(run_id, "submit")
        if process is None or process.pid in killed or len(killed) == strikes:
            time.sleep(POLL)
            continue
        # Airflow 2.11 now and then counts a try of its own ("not ready for retry yet"), so the last one is asked for.
        if airflow.tasks(run_id, "submit")[0]["try_number"] > RETRIES:
            strikes = len(killed)
            continue
        time.sleep(dice.uniform(0, SECONDS))
        with storm.lock:
            enough = storm.kills >= storm.wanted
        if enough:
            strikes = len(killed)
        elif sigkill(process):
            killed.add(process.pid)
            with storm.lock:
                storm.kills += 1
    with storm.lock:
        storm.runs[run_id] = state


def blow(airflow: Airflow, sim: Simulator, kills: int, name: str = "random") -> Storm:
    """Run jobs and kill their tasks so many times; return what came of it, once all runs are over."""
    airflow.write_dag("random", DAG_FILE)
    storm = Storm(kills)
    order_trouble(sim, random.Random(5), kills * 3)  # noqa: S311 an order, no secret

    def drive(lane: int) -> None:
        dice = random.Random(lane)  # noqa: S311 moments, no secret
        for number in itertools.count():
            if storm.kills >= kills or storm.problems:
                return
            try:
                strike(airflow, storm, f"{name}-{lane}-{number}", dice)
            except Exception as problem:  # noqa: BLE001 it is shown by the test, and ends the lanes
                storm.problems.append(f"lane {lane}: {type(problem).__name__}: {problem}")

    threads = [threading.Thread(target=drive, args=(lane,)) for lane in range(LANES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sim.clear_faults()
    prompts = [job["inputs"].get("prompt", "") for job in sim.ledger()["jobs"]]
    storm.bills.update(prompt for prompt in prompts if prompt.startswith(f"{name}-"))
    astray = [run_id for run_id, state in storm.runs.items() if (state, storm.bills[run_id]) != ("success", 1)]
    storm.logs += [
        f"{run_id} {storm.runs[run_id]}, {storm.bills[run_id]} billed\n{airflow.task_logs(run_id)}" for run_id in astray
    ]
    return storm


def assert_all_delivered_once(storm: Storm) -> None:
    """Check that each wanted job was billed once and delivered."""
    assert storm.problems == []
    assert storm.kills >= storm.wanted
    assert not storm.logs, "\n\n".join(storm.logs)
    assert storm.bills == Counter(storm.runs.keys()), "a job was paid twice, or not at all"
