"""Bills per wanted generation when task processes are killed: this provider, a plain operator, Airflow's own mixin."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from airflow_provider_kling.simulator import Simulator
from tests.e2e.airflow_processes import airflow
from tests.e2e.kills import LANES, Contestant, Moment, carry_out, schedule
from tests.e2e.ours import OURS

if TYPE_CHECKING:
    from rich.console import Console

    from tests.e2e.kills import Stage, Standstill, Tally

ROOT = Path(__file__).parents[1]
TITLES = {
    "kling": "this provider",
    "plain": "a plain operator (the model page's example)",
    "resumable": "Airflow's ResumableJobMixin",
}

_DAG_FILE = """
import sys
from datetime import timedelta

from airflow.sdk import DAG

sys.path.insert(0, {root!r})
from bench.contestants import {operator}

for lane, (model, parameters) in enumerate({lanes}):
    with DAG(f"{name}_{{lane}}", schedule=None, default_args={{"retries": 9, "retry_delay": timedelta(seconds=2)}}):
        {operator}(task_id="run", model=model, payload={{"prompt": "{{{{ run_id }}}}", **parameters}})
"""


def plain_dag_file(contestant: Contestant) -> str:
    """Write a DAG for each lane."""
    return _DAG_FILE.format(root=str(ROOT), operator="PlainOperator", lanes=json.dumps(LANES), name=contestant.name)


def resumable_dag_file(contestant: Contestant) -> str:
    """Write a DAG for each lane."""
    return _DAG_FILE.format(root=str(ROOT), operator="ResumableOperator", lanes=json.dumps(LANES), name=contestant.name)


def before_first_poll(stage: Stage) -> Standstill:
    """Stand still right after the reply, where nothing is recorded: at the first poll."""
    stage.sim.order_fault("hold", method="GET", path="/v2/requests/*", model=stage.model)
    return lambda: stage.wait(stage.polled)


def before_job_id(stage: Stage) -> Standstill:
    """Stand still at the write of the job's id."""
    return stage.hold("PUT", "/store/ti/.*/segmind_request_id$", lambda body: body["value"] == stage.accepted())


def before_return_value(stage: Stage) -> Standstill:
    """Stand still at the XCom of the result."""
    return stage.hold("POST", f"/xcoms/{stage.dag_id}/.*/run/return_value$")


CONTESTANTS = (
    OURS,
    Contestant("resumable", resumable_dag_file, "run", before_job_id, before_return_value),
    Contestant("plain", plain_dag_file, "run", before_first_poll, before_return_value),
)


def run(console: Console, kills: int) -> None:
    """Do the same kills to each contestant, and print what was billed."""
    console.print(f"{kills} task processes are killed for each of {len(CONTESTANTS)} contestants, some minutes …")
    with Simulator(time_scale=60, requests_per_minute=0, height=72, credits=1_000_000) as sim:
        os.environ.update(BENCH_URL=sim.url, BENCH_API_KEY=sim.api_key)
        extra = {"time_scale": 60, "requests_per_minute": 60_000}
        connection = json.dumps({"conn_type": "segmind", "host": sim.url, "password": sim.api_key, "extra": extra})
        with airflow(connection) as processes:
            tallies = {
                contestant.name: carry_out(processes, sim, contestant, schedule(kills)) for contestant in CONTESTANTS
            }
        bills = Counter(job["inputs"]["prompt"] for job in sim.ledger()["jobs"])
    _print(console, tallies, bills)
    problems = [problem for tally in tallies.values() for problem in tally.problems]
    if problems:
        raise RuntimeError("\n".join(problems))


def _print(console: Console, tallies: dict[str, Tally], bills: Counter[str]) -> None:
    table = Table(title="Kills by SIGKILL, then Airflow's own retries", title_justify="left")
    table.add_column("")
    for heading in ("kills", "wanted", "billed", "bills per wanted generation", "runs succeeded", "seconds"):
        table.add_column(heading, justify="right")
    for name, tally in tallies.items():
        billed = sum(bills[run_id] for run_id in tally.runs)
        succeeded = list(tally.runs.values()).count("success")
        ratio = f"{billed / len(tally.runs):.2f}" if tally.runs else "none"
        numbers = (tally.kills.total(), len(tally.runs), billed, ratio, succeeded, f"{tally.seconds:.0f}")
        table.add_row(TITLES[name], *(str(number) for number in numbers))
    console.print(table)
    console.print(
        "Moments, each as often as the others: " + "; ".join(Moment) + ". A plain operator records nothing: it dies at "
        "its first poll instead, and, like the mixin, at the XCom of its result."
    )
