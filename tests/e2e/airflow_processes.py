"""A real Airflow: its four components as processes of their own, on PostgreSQL, to be killed and started again."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import psycopg2
import requests

from tests.e2e import turns
from tests.e2e.postgres import free_port, postgres
from tests.e2e.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

COMPONENTS = ("api-server", "dag-processor", "scheduler", "triggerer")
START_SECONDS = 180


class Airflow:
    """A running Airflow, and what a test asks of it."""

    def __init__(self, home: Path, database: str, proxy: Proxy, env: dict[str, str], port: int) -> None:
        self.home = home
        self.proxy = proxy
        self._database = database
        self._env = env
        self._url = f"http://127.0.0.1:{port}"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, component: str) -> None:
        """Start a component, in a process group of its own."""
        log = (self.home / f"{component}.log").open("ab")
        self._processes[component] = subprocess.Popen(  # noqa: S603 Airflow's own command
            [sys.executable, "-m", "airflow", component], env=self._env, stdout=log, stderr=log, start_new_session=True
        )
        log.close()

    def kill(self, component: str) -> None:
        """Kill a component and all that it has started, as a machine that dies does."""
        process = self._processes.pop(component)
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        for member in family:
            member.kill()
        psutil.wait_procs(family, timeout=10)
        process.wait(10)

    def stop(self) -> None:
        """End everything."""
        for process in self._processes.values():
            process.terminate()
        for component in list(self._processes):
            try:
                self._processes[component].wait(8)
            except subprocess.TimeoutExpired:
                self.kill(component)

    def write_dag(self, name: str, text: str) -> None:
        """Write a DAG file and wait until Airflow knows its DAGs, whose ids begin with the name."""
        (self.home / "dags" / f"{name}.py").write_text(text)
        self.wait_until(
            lambda: self.rows("select count(*) from dag where dag_id like %s and not is_stale", f"{name}%")[0][0] > 0,
            f"DAG file {name} is parsed",
            seconds=120,
        )
        errors = self.rows("select stacktrace from import_error")
        assert not errors, errors[0][0]

    def trigger(self, dag_id: str, run_id: str, conf: dict[str, Any] | None = None) -> None:
        """Start a run."""
        self._ask(f"dags/{dag_id}/dagRuns", {"dag_run_id": run_id, "logical_date": None, "conf": conf or {}})

    def add_connection(self, conn_id: str, connection: str) -> None:
        """Store a connection, given as JSON."""
        fields = json.loads(connection)
        self._ask("connections", {"connection_id": conn_id, **fields, "extra": json.dumps(fields.get("extra", {}))})

    def clear(self, dag_id: str, run_id: str) -> None:
        """Clear all tasks of a run, as a user does in the UI."""
        self._ask(
            f"dags/{dag_id}/clearTaskInstances",
            {"dag_run_id": run_id, "dry_run": False, "only_failed": False, "reset_dag_runs": True},
        )
        self.wait_until(lambda: self.run_state(run_id) in {"queued", "running"}, f"{run_id} is cleared")

    def _ask(self, path: str, body: dict[str, Any]) -> None:
        """Ask Airflow's public API for something."""
        token = requests.get(f"{self._url}/auth/token", timeout=30)
        token.raise_for_status()
        answer = requests.post(
            f"{self._url}/api/v2/{path}",
            json=body,
            headers={"Authorization": f"Bearer {token.json()['access_token']}"},
            timeout=60,
        )
        assert answer.ok, answer.text

    def rows(self, query: str, *values: Any) -> list[Any]:
        """Ask the database."""
        with psycopg2.connect(f"postgresql://airflow@{self._database}") as connection, connection.cursor() as cursor:
            cursor.execute(query, values)
            found = cursor.fetchall()
        connection.close()
        return found

    def run_state(self, run_id: str) -> str:
        """Return the state of a run."""
        return str(self.rows("select state from dag_run where run_id = %s", run_id)[0][0])

    def run_ends(self, run_id: str, *, seconds: float = 240) -> str:
        """Wait until a run is over and return its state."""
        state = self.wait_until(
            lambda: (now := self.run_state(run_id)) in {"success", "failed"} and now,
            f"{run_id} ends",
            seconds=seconds,
            every=0.4,
        )
        return str(state)

    def task_process(self, run_id: str, task_id: str, map_index: int = -1) -> psutil.Process | None:
        """Return the process in which a task runs now: the one that runs the user's code, not its supervisor."""
        found = self.rows(
            "select id, pid from task_instance where run_id = %s and task_id = %s and map_index = %s"
            " and state = 'running'",
            run_id,
            task_id,
            map_index,
        )
        if not found or found[0][1] is None:
            return None
        try:
            process = psutil.Process(found[0][1])
            return process if str(found[0][0]) in " ".join(process.cmdline()) else None
        except psutil.Error:
            return None

    def wait_until(self, happened: Callable[[], Any], what: str, *, seconds: float = 120, every: float = 0.1) -> Any:
        """Wait for something and return it."""
        deadline = time.monotonic() + seconds
        while not (answer := happened()):
            assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}\n{self.last_words()}"
            time.sleep(every)
        return answer

    def last_words(self, lines: int = 15) -> str:
        """Return the end of every log."""
        logs = (
            sorted(self.home.glob("*.log"))
            + sorted((self.home / "logs").rglob("attempt=*.log"), key=lambda log: log.stat().st_mtime)[-4:]
        )
        return "\n".join(
            f"--- {log.relative_to(self.home)}\n"
            + "\n".join(line[:400] for line in log.read_text(errors="replace").splitlines()[-lines:])
            for log in logs
        )


@contextmanager
def airflow(connection: str) -> Iterator[Airflow]:
    """
    Yield a running Airflow.

    :param connection: ``segmind_default`` as JSON.
    """
    with ExitStack() as stack:
        database = stack.enter_context(postgres())
        home = Path(tempfile.mkdtemp(prefix="kling-e2e-"))
        (home / "dags").mkdir()
        (home / "config").mkdir()
        (home / "config" / "airflow_local_settings.py").write_text(turns.LOCAL_SETTINGS)
        port, proxy_port = free_port(), free_port()
        env = _environment(home, database, port, proxy_port, connection)
        try:
            subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], env=env, check=True, capture_output=True)
            proxy = stack.enter_context(Proxy(f"http://127.0.0.1:{port}").serving(proxy_port))
            running = Airflow(home, database, proxy, env, port)
            stack.callback(running.stop)
            for component in COMPONENTS:
                running.start(component)
            running.wait_until(lambda: _healthy(port), "Airflow is healthy", seconds=START_SECONDS, every=0.5)
            yield running
        finally:
            stack.close()
            if os.environ.get("KEEP") == "1":
                print(f"The logs are in {home}")  # noqa: T201 asked for by hand
            else:
                shutil.rmtree(home, ignore_errors=True)


def _healthy(port: int) -> bool:
    try:
        health = requests.get(f"http://127.0.0.1:{port}/api/v2/monitor/health", timeout=5).json()
    except (requests.RequestException, ValueError):
        return False
    return all(
        health[part]["status"] == "healthy" for part in ("metadatabase", "scheduler", "triggerer", "dag_processor")
    )


def _environment(home: Path, database: str, port: int, proxy_port: int, connection: str) -> dict[str, str]:
    """Return what every component runs with: quick to notice the dead, and blind to the caller's own Airflow."""
    settings = {
        "API__PORT": port,
        "API__HOST": "127.0.0.1",
        "API__BASE_URL": f"http://127.0.0.1:{port}",
        "API__WORKERS": 1,
        "API_AUTH__JWT_SECRET": secrets.token_hex(32),
        "CORE__AUTH_MANAGER": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
        "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "CORE__DAGS_FOLDER": home / "dags",
        "CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{proxy_port}/execution/",
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__PARALLELISM": 8,
        "DAG_PROCESSOR__REFRESH_INTERVAL": 5,
        "DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
        "DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://airflow@{database}",
        "LOGGING__BASE_LOG_FOLDER": home / "logs",
        "SCHEDULER__JOB_HEARTBEAT_SEC": 1,
        "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": 5,
        "SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": 20,
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": 2,
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": 15,
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": 3,
        "SECRETS__USE_CACHE": "False",
        "TRIGGERER__CAPACITY": 5000,
        "TRIGGERER__JOB_HEARTBEAT_SEC": 1,
        "TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": 20,
        "USAGE_DATA_COLLECTION__ENABLED": "False",
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    return {
        **inherited,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW_CONN_SEGMIND_DEFAULT": connection,
        "NO_PROXY": "127.0.0.1,localhost",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PYTHONUNBUFFERED": "1",
        **{f"AIRFLOW__{name}": str(value) for name, value in settings.items()},
    }


def sigkill(process: psutil.Process) -> bool:
    """Kill a process; return whether it was our signal that ended it."""
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        process.send_signal(signal.SIGKILL)
        # Its supervisor may be too busy to reap it.
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
    except psutil.NoSuchProcess:
        pass
    return True
