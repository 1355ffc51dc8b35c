"""An Airflow as in production, small: its components as processes of their own, in a temporary folder."""

from __future__ import annotations

import json
import os
import random
import secrets
import shutil
import socket
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from demo import processes
from demo.airflow_api import AirflowApi, NotAnsweringError
from demo.problems import DemoError
from demo.versions import AIRFLOW_2

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping
    from types import TracebackType

ROOT = Path(__file__).parents[1]
EXAMPLE_DAGS = ROOT / "example_dags"
OUTPUT = ROOT / "demo-output"
LOOPBACK = "127.0.0.1"
#: The name of the one user, and the password.
LOGIN = "admin"
PASSWORDS = "passwords.json"
#: The connection of the provider's ledger, and its file.
LEDGER = "kling_ledger"
#: The slowest to start comes first. Airflow 2's scheduler processes the DAG files itself.
COMPONENTS = (
    ("webserver", "scheduler", "triggerer") if AIRFLOW_2 else ("api-server", "scheduler", "dag-processor", "triggerer")
)
START_SECONDS = 180
#: Seconds after which a component that ends has worked before: it is worth another start.
SHORTEST_LIFE = 20
POLL_EVERY = 0.3
STOP_SECONDS = 2  # after that the API server only frees its memory, for seconds
WORKERS_STOP_SECONDS = 20

#: How many times as fast as Segmind the simulator is.
SIMULATOR_TIME_SCALE = 40


def connection_fields(host: str, api_key: str, *, simulated: bool = True) -> dict[str, Any]:
    """Return a Segmind connection as Airflow names its fields."""
    extra = {"time_scale": SIMULATOR_TIME_SCALE} if simulated else {}
    return {"conn_type": "segmind", "host": host, "password": api_key, "extra": extra}


def free_port(wanted: int = 0) -> int:
    """
    Give the wanted port when it is free, else any that is.

    That one lies below those that a system gives to whoever connects: what will listen on it starts later.
    """
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, wanted or random.randint(20_000, 32_000)))  # noqa: S311 no secret
        except OSError:
            return free_port()
        return int(listener.getsockname()[1])


class AirflowHome:
    """A folder for `AIRFLOW_HOME`, the environment that makes Airflow use it and nothing else, and its processes.

    Airflow settings, and the Segmind key, of whoever started the demo are left out of that environment, but what says
    which files may be uploaded and where results may go.
    All that was started here ends with the `with` block.

    :param settings: more environment variables.
    :param dags: where the DAG files are; None is an empty folder in this home.
    :param logs: where the components and the tasks write their logs; None is a folder in this home.
    :param port: of Airflow's UI and API; None is one that is free.
    :param keep: leave the folder there.
    """

    def __init__(
        self,
        settings: Mapping[str, str],
        *,
        dags: Path | None = None,
        logs: Path | None = None,
        port: int | None = None,
        keep: bool = False,
    ) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="kling-airflow-"))
        self.dags = dags or self.path / "dags"
        self.logs = logs or self.path / "logs"
        self.keep = keep
        port = port or free_port()
        self.url = f"http://{LOOPBACK}:{port}"
        self.api = AirflowApi(self.url, LOGIN)
        self.env = {**_environment(self.path, self.dags, self.logs, port), **settings}
        self._started: dict[str, subprocess.Popen[bytes]] = {}
        self._started_at: dict[str, float] = {}

    def __enter__(self) -> Self:
        self.dags.mkdir(exist_ok=True)
        self.logs.mkdir(parents=True, exist_ok=True)
        (self.path / PASSWORDS).write_text(json.dumps({LOGIN: LOGIN}))
        (self.path / "webserver_config.py").write_text('AUTH_ROLE_PUBLIC = "Admin"\n')  # Airflow 2 reads this
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with processes.signals_held():
            self._end()
            if not self.keep:
                shutil.rmtree(self.path, ignore_errors=True)

    def make_databases(self) -> None:
        """Make Airflow's database and the provider's ledger."""
        self.run("airflow", "db", "migrate")
        self.run("airflow_provider_kling", "ledger", "migrate")

    def run(self, module: str, *command: str) -> None:
        """Run a command to its end, which must be a good one."""
        name = "-".join(command)
        if code := self.start(name, module, *command).wait():
            raise DemoError(f"{module} {' '.join(command)} ended with code {code}: {self._last_words(name)}")
        del self._started[name]

    def start_components(self) -> None:
        """Start all that makes up an Airflow."""
        for component in COMPONENTS:
            self.start(component, "airflow", component)

    def start(self, name: str, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a Python module as a process that ends with this home; its log has the given name."""
        command = [sys.executable, "-m", module, *arguments]
        self._started_at[name] = time.monotonic()
        with processes.signals_held():  # there is no moment in which it runs and nobody would end it
            process = self._started[name] = processes.start(command, env=self.env, folder=ROOT, log=self.log(name))
        return process

    def ask_to_stop(self) -> None:
        """Let all that was started, which has nothing to do any more, begin to end."""
        for process in self._started.values():
            process.terminate()

    def stop(self) -> None:
        """End all that was started, and everything that it started in turn."""
        with processes.signals_held():
            self._end()

    def check(self) -> None:
        """Make sure that all that was started lives."""
        for name, process in self._started.items():
            if process.poll() is not None:
                raise DemoError(f"{name} ended by itself: {self._last_words(name)}")

    def start_again(self) -> list[str]:
        """
        Start the components that have ended, as whatever watches over an Airflow does; return their names.

        :raises DemoError: one has ended as soon as it was started, or something else than a component has.
        """
        ended = [name for name, process in self._started.items() if process.poll() is not None]
        for name in ended:
            if name not in COMPONENTS or time.monotonic() - self._started_at[name] < SHORTEST_LIFE:
                self.check()
            processes.end([self._started[name]], patience=1)  # what it has started, too
            self.start(name, "airflow", name)
        return ended

    def wait_for(self, dag_id: str) -> None:
        """Wait until the API answers and a DAG can be run."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            self.check()
            with suppress(NotAnsweringError):
                if self.api.serves_workers() and self.api.knows(dag_id):
                    return
            time.sleep(POLL_EVERY)
        raise DemoError(f"Airflow cannot run {dag_id} after {START_SECONDS} s: see the logs in {self.logs}")

    def log(self, name: str) -> Path:
        """Return where a process writes what it says."""
        return self.logs / f"{name}.log"

    def _end(self) -> None:
        # The task that a worker runs may be about to pay: it goes on to its end, for which it needs the API server.
        if scheduler := self._started.pop("scheduler", None):
            processes.end([scheduler], patience=WORKERS_STOP_SECONDS)
        processes.end(list(self._started.values()), patience=STOP_SECONDS)
        self._started.clear()

    def _last_words(self, name: str) -> str:
        lines = self.log(name).read_text(errors="replace").strip().splitlines()
        return f"{lines[-1] if lines else 'it said nothing'} (see {self.log(name)})"


def _environment(home: Path, dags: Path, logs: Path, port: int) -> dict[str, str]:
    """Keep Airflow on this machine, with one known user, and out of the way of any other Airflow."""
    settings = {
        "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "CORE__DAGS_FOLDER": str(dags),
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__PARALLELISM": "4",
        "CORE__TEST_CONNECTION": "Enabled",
        "DAG_PROCESSOR__REFRESH_INTERVAL": "10",  # a DAG of your own shows soon; Airflow 3 looks every five minutes
        "DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
        **_allowed_paths(),
        "KLING__LEDGER_CONN_ID": LEDGER,
        "LOGGING__BASE_LOG_FOLDER": str(logs / "tasks"),
        "LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
        "LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
        "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",  # a second by default, at each of the ten tasks
        "USAGE_DATA_COLLECTION__ENABLED": "False",
        **(_settings_of_airflow_2(port) if AIRFLOW_2 else _settings_of_airflow_3(home, port)),
    }
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("AIRFLOW") and name != "SEGMIND_API_KEY"
    }
    return {
        **inherited,
        **{f"AIRFLOW__{name}": value for name, value in settings.items()},
        "AIRFLOW_HOME": str(home),
        f"AIRFLOW_CONN_{LEDGER.upper()}": json.dumps({"conn_type": "sqlite", "host": str(home / f"{LEDGER}.db")}),
        # The simulator is on this machine, whatever proxy leads to the rest of the world.
        "NO_PROXY": ",".join(filter(None, (os.environ.get("NO_PROXY"), LOOPBACK, "localhost"))),
        # Airflow starts more of itself by name.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PYTHONUNBUFFERED": "1",
    }


def _allowed_paths() -> dict[str, str]:
    """Return which files may be uploaded and where results may go, as whoever starts it has set it."""
    upload, store = (os.environ.get(f"AIRFLOW__KLING__{name}_ALLOWED_PATHS", "") for name in ("UPLOAD", "STORE"))
    shots = "/tmp/kling/shots"  # noqa: S108 is what kling_product_shots names
    return {
        "KLING__UPLOAD_ALLOWED_PATHS": ",".join(filter(None, (shots, upload))),
        "KLING__STORE_ALLOWED_PATHS": store,
    }


def _settings_of_airflow_3(home: Path, port: int) -> dict[str, str]:
    url = f"http://{LOOPBACK}:{port}"
    return {
        "API__BASE_URL": url,
        "API__HOST": LOOPBACK,
        "API__PORT": str(port),
        "API__WORKERS": "1",
        "API_AUTH__JWT_SECRET": secrets.token_hex(32),
        "CORE__AUTH_MANAGER": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
        "CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / PASSWORDS),
        "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{LOGIN}:admin",
        "WORKERS__EXECUTION_API_TIMEOUT": "60",  # 5 by default: too few on a busy machine
    }


def _settings_of_airflow_2(port: int) -> dict[str, str]:
    """Leave the API, as the pages, open to everybody on this machine; on SQLite there is one executor only."""
    return {
        "API__AUTH_BACKENDS": "airflow.api.auth.backend.default",
        "CORE__EXECUTOR": "SequentialExecutor",
        "WEBSERVER__BASE_URL": f"http://{LOOPBACK}:{port}",
        "WEBSERVER__SECRET_KEY": secrets.token_hex(32),
        "WEBSERVER__WEB_SERVER_HOST": LOOPBACK,
        "WEBSERVER__WEB_SERVER_PORT": str(port),
        "WEBSERVER__WORKERS": "1",
    }
