"""How many worker processes a submit and its wait take, counted at the API server of a running Airflow."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from airflow_provider_kling.simulator import Simulator
from bench.report import verdict, verdicts
from tests.e2e.airflow_processes import airflow

if TYPE_CHECKING:
    from rich.console import Console

    from tests.e2e.airflow_processes import Airflow

_DAG_FILE = """
from airflow.sdk import DAG

from airflow_provider_kling.operators.kling import KlingSubmitOperator
from airflow_provider_kling.sensors.kling import KlingSensor

for name, arguments in {
    "workers_kling": {},
    "workers_peers": {"start_from_trigger": False, "end_from_trigger": False},
}.items():
    with DAG(name, schedule=None):
        submit = KlingSubmitOperator(task_id="submit", model="kling-text2video", payload={"prompt": "a robot"})
        KlingSensor(task_id="done", request_id=submit.output, **arguments)
"""


def run(console: Console) -> None:
    """Print the measurement."""
    with Simulator(time_scale=20, requests_per_minute=0, height=72, credits=1_000) as sim:
        extra = {"time_scale": 20}
        connection = {"conn_type": "segmind", "host": sim.url, "password": sim.api_key, "extra": extra}
        with airflow(json.dumps(connection)) as running:
            running.write_dag("workers", _DAG_FILE)
            ours, peers = (_starts(running, dag_id) for dag_id in ("workers_kling", "workers_peers"))
    table = verdicts("Worker processes, in a running Airflow")
    told = f"{ours} ({peers} where the sensor defers from a worker and ends on one, as peers do)"
    verdict(table, "started for submit + wait", "1", told, ours == 1)
    console.print(table)


def _starts(running: Airflow, dag_id: str) -> int:
    """Run a DAG and return how many worker processes its tasks took."""
    running.trigger(dag_id, dag_id)
    running.wait_until(lambda: running.run_state(dag_id) == "success", f"{dag_id} succeeds")
    return sum(running.proxy.worker_starts.count(task["id"]) for task in running.tasks(dag_id))
