"""An Airflow of its own in a temporary folder, driven through its real command line."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

from demo.problems import DemoError
from demo.run_record import RunRecord

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

ROOT = Path(__file__).parents[1]
EXAMPLE_DAGS = ROOT / "example_dags"
STOP_SECONDS = 3


#: How many times as fast as Segmind the simulator is, unless it is told otherwise.
SIMULATOR_TIME_SCALE = 20


def connection_json(host: str, api_key: str, *, simulated: bool = True) -> str:
    """Write a Segmind connection as Airflow reads it from JSON."""
    extra = {"time_scale": SIMULATOR_TIME_SCALE} if simulated else {}
    return json.dumps({"conn_type": "segmind", "host": host, "password": api_key, "extra": extra})


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process that `AirflowHome` started, and all of its session if it does not go at once."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class AirflowHome:
    """A folder for `AIRFLOW_HOME`, and the environment that makes Airflow use it and nothing else.

    Airflow settings, and the Segmind key, of whoever started the demo are left out of that environment.
    """

    def __init__(self, settings: Mapping[str, str], *, keep: bool = False) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="kling-airflow-"))
        self.keep = keep
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("AIRFLOW") and name != "SEGMIND_API_KEY"
        }
        self.env = {
            **inherited,
            # `airflow standalone` starts more of itself by name.
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "AIRFLOW_HOME": str(self.path),
            "AIRFLOW__CORE__DAGS_FOLDER": str(EXAMPLE_DAGS),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            # The simulator is on this machine, whatever proxy leads to the rest of the world.
            "NO_PROXY": ",".join(filter(None, (os.environ.get("NO_PROXY"), "127.0.0.1", "localhost"))),
            "PYTHONUNBUFFERED": "1",
            **settings,
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.keep:
            shutil.rmtree(self.path, ignore_errors=True)

    @property
    def record(self) -> RunRecord:
        """What the runs write into this Airflow's database."""
        return RunRecord(self.path / "airflow.db")

    def start(self, *command: str, log: IO[bytes]) -> subprocess.Popen[bytes]:
        """Start `airflow …`, with all that it says going to a log."""
        return subprocess.Popen(
            [sys.executable, "-m", "airflow", *command],
            env=self.env,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches the demo alone, which stops what it started
        )

    def run(self, *command: str, log: IO[bytes]) -> None:
        """Run `airflow …` to its end, which must be a good one."""
        if code := self.start(*command, log=log).wait():
            raise DemoError(f"airflow {' '.join(command[:2])} ended with code {code}: see {log.name}")
