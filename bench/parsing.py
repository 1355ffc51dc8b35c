"""What a user's DAG file costs Airflow's DAG processor, each time that it reads the file."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from bench import peers
from bench.report import verdict, verdicts

if TYPE_CHECKING:
    from rich.console import Console

ROUNDS = 7
AT_MOST = 0.2
MAIN_EXAMPLE = peers.ROOT / "example_dags" / "kling_image_to_video_to_edit.py"

_THEIRS = """
from airflow.sdk import DAG, Asset
from airflow.providers.dbt.cloud.operators.dbt import DbtCloudRunJobOperator

with DAG("two_jobs", schedule=None):
    (
        DbtCloudRunJobOperator(task_id="first", job_id=1, deferrable=True)
        >> DbtCloudRunJobOperator(task_id="second", job_id=2, deferrable=True, outlets=OUTLETS)
    )
"""

# As Airflow does: a fork of the processor for each file, which has loaded what the processor has. The garbage collector
# is off, because when it runs is chance.
_SCRIPT = """
import gc, os, runpy, sys, time
import airflow.dag_processing.processor
import airflow.providers.common.compat.sdk
gc.collect()
gc.disable()
for file in sys.argv[1:]:
    reader, writer = os.pipe()
    if not os.fork():
        loaded, begun = set(sys.modules), time.process_time()
        runpy.run_path(file)
        os.write(writer, f"{time.process_time() - begun} {len(set(sys.modules) - loaded)}\\n".encode())
        os._exit(0)
    os.wait()
    print("measured", os.read(reader, 100).decode(), end="")
"""


def run(console: Console) -> None:
    """Print the measurement."""
    with tempfile.TemporaryDirectory() as folder:
        first, second, plain, with_asset = (Path(folder, name) for name in ("a.py", "b.py", "c.py", "d.py"))
        (first_dag, second_dag) = _readme()[:2]
        first.write_text(first_dag)
        second.write_text(second_dag)
        plain.write_text(_THEIRS.replace("OUTLETS", "[]"))
        with_asset.write_text(_THEIRS.replace("OUTLETS", '[Asset("s3://shop/clips")]'))  # as the first DAG's store is
        measured = _parse([first, with_asset, second, plain, MAIN_EXAMPLE])
    table = verdicts("Parsing a DAG file in a fork of the DAG processor")
    rows = {
        "README's first DAG, against two operators of dbt-cloud 4.11.1 and the same asset": (first, with_asset),
        "README's second DAG, against two operators of dbt-cloud": (second, plain),
        "the main example, against the same": (MAIN_EXAMPLE, plain),
    }
    for name, (ours, theirs) in rows.items():
        (seconds, modules), (their_seconds, their_modules) = measured[ours], measured[theirs]
        ratio = seconds / their_seconds
        told = (
            f"{ratio:.2f} x ({seconds * 1e3:.0f} ms, {modules} modules, "
            f"against {their_seconds * 1e3:.0f} ms, {their_modules} modules)"
        )
        verdict(table, f"CPU of {name}", f"<= {AT_MOST} x", told, ratio <= AT_MOST)
    console.print(table)


def _readme() -> list[str]:
    """Return the DAGs that the README shows."""
    return re.findall(r"```python\n(.*?)```", (peers.ROOT / "README.md").read_text(), re.DOTALL)


def _parse(files: list[Path]) -> dict[Path, tuple[float, int]]:
    """Return the least seconds of CPU that each file took, and the modules that it loaded."""
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, *map(str, files * ROUNDS)],
        env={**os.environ, "PYTHONPATH": peers.path()},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    lines = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("measured")]
    taken = [(float(seconds), int(modules)) for seconds, modules in lines]
    return {file: min(taken[place :: len(files)]) for place, file in enumerate(files)}
