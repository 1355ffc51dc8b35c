"""What a DAG file pays to import an operator, on top of what Airflow has loaded anyway."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from bench import peers
from bench.report import verdict, verdicts

if TYPE_CHECKING:
    from rich.console import Console

ROUNDS = 7
OURS = "airflow_provider_kling.operators.kling"
THEIRS = "airflow.providers.dbt.cloud.operators.dbt"

_SCRIPT = """
import sys, time
import airflow.sdk
import airflow.providers.common.compat.sdk
begun, loaded = time.process_time(), set(sys.modules)
__import__({module!r})
print(time.process_time() - begun, len(set(sys.modules) - loaded))
"""


def run(console: Console) -> None:
    """Print the measurement."""
    taken: dict[str, list[tuple[float, int]]] = {OURS: [], THEIRS: []}
    for _ in range(ROUNDS):
        for module, measured in taken.items():
            measured.append(_import(module))
    (ours, our_modules), (theirs, their_modules) = (min(measured) for measured in taken.values())
    ratio = ours / theirs
    table = verdicts("Importing the operator module, on top of airflow.sdk and the compat layer")
    told = (
        f"{ratio:.2f} x ({ours * 1e3:.0f} ms, {our_modules} modules, "
        f"against {theirs * 1e3:.0f} ms, {their_modules} modules)"
    )
    verdict(table, "CPU, against dbt-cloud 4.11.1", "<= 0.15 x", told, ratio <= 0.15)
    console.print(table)


def _import(module: str) -> tuple[float, int]:
    """Return the seconds of CPU and the modules of one import, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT.format(module=module)],
        env={**os.environ, "PYTHONPATH": peers.path()},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    seconds, modules = done.stdout.split()[-2:]
    return float(seconds), int(modules)
