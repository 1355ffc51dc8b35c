"""An Airflow that is too old is named, with what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("installed", "works"),
    [("2.10.5", False), ("1.10.15", False), ("3.0.2", False), ("2.11.0", True), ("3.0.3", True), ("3.4.0b2", True)],
)
def test_an_airflow_that_is_too_old_is_named_with_what_to_do(tmp_path, installed, works):
    # What pip leaves behind, first on the path: the same that importlib finds of an installed Airflow.
    info = tmp_path / f"apache_airflow-{installed}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: apache-airflow\nVersion: {installed}\n")
    done = subprocess.run(
        [sys.executable, "-c", "import airflow_provider_kling.get_provider_info"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode == 0) is works, done.stderr
    if not works:
        assert (
            f"needs Apache Airflow 2.11, or 3.0.3 or newer, and {installed} is installed. Upgrade Airflow"
            in done.stderr
        )
