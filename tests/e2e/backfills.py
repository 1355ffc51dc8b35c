"""Backfills, asked for as users do."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

from tests.conftest import AIRFLOW_3

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.e2e.airflow_processes import Airflow


def backfill(running: Airflow, dag_id: str, days: Sequence[str], *, anew: bool = False) -> None:
    """
    Run a DAG for days in the past, and wait until all are done.

    :param days: the first to the last, such as 2024-03-01.
    :param anew: whether days that are done are run again.
    """
    before = {run["dag_run_id"]: run["end_date"] for run in _runs(running, dag_id)}
    if AIRFLOW_3:
        wanted = {"from_date": f"{days[0]}T00:00:00Z", "to_date": f"{days[-1]}T00:00:00Z", "max_active_runs": 2}
        behavior = {"reprocess_behavior": "completed"} if anew else {}
        # The scheduler ends a backfill some time after its last run.
        running.wait_until(lambda: not _unfinished(running, dag_id), "the backfill before is over", every=1)
        running.api.post("backfills", {"dag_id": dag_id, "dag_run_conf": {}, **wanted, **behavior})
    else:
        reset = ["--reset-dagruns", "--yes"] if anew else []
        command = ["airflow", "dags", "backfill", dag_id, "-s", days[0], "-e", days[-1], *reset]
        subprocess.run(  # noqa: S603 Airflow's own command
            [sys.executable, "-m", *command], env=running.env, check=True, capture_output=True, timeout=400
        )

    def are_done() -> bool:
        runs = _runs(running, dag_id)
        return [run["state"] for run in runs] == ["success"] * len(days) and all(
            run["end_date"] != before.get(run["dag_run_id"]) for run in runs
        )

    running.wait_until(are_done, "all days are done", seconds=300, every=1)


def _unfinished(running: Airflow, dag_id: str) -> list[dict[str, Any]]:
    return [one for one in running.api.get("backfills", dag_id=dag_id)["backfills"] if not one["completed_at"]]


def _runs(running: Airflow, dag_id: str) -> list[dict[str, str]]:
    running.runs(dag_id)
    found: list[dict[str, str]] = running.api.get(f"dags/{dag_id}/dagRuns")["dag_runs"]
    return found
