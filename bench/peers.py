"""The peers that the provider is measured against, as they are released; nothing else runs with them."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "build" / "bench-peers"
#: What the dbt Cloud provider needs that is not there already.
PACKAGES = ("apache-airflow-providers-dbt-cloud==4.11.1", "apache-airflow-providers-http", "requests-toolbelt")


def install() -> None:
    """Bring the peers, apart from the environment that the provider runs in."""
    constraints = ROOT / "constraints" / f"airflow-{version('apache-airflow')}.txt"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade"]
    # Without what they depend on: pip would bring a second Airflow along.
    subprocess.run([*pip, "--target", str(FOLDER), "--no-deps", "-c", str(constraints), *PACKAGES], check=True)


def path() -> str:
    """Return a ``PYTHONPATH`` with the peers behind everything else."""
    return os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(ROOT), str(FOLDER)]))
