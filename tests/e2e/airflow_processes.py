"""
A real Airflow: its components as processes of their own, on PostgreSQL, to be killed and started again.

What happened is read as a user reads it: through the public REST API, or by the tasks of a DAG themselves.
"""

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
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from tests.conftest import AIRFLOW_3
from tests.e2e import turns
from tests.e2e.postgres import free_port, new_database, postgres
from tests.e2e.proxy import Proxy
from tests.e2e.rest_api import RestApi

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

#: The components of a small deployment, by the names of Airflow's own commands.
COMPONENTS = (
    ("api-server", "dag-processor", "scheduler", "triggerer") if AIRFLOW_3 else ("webserver", "scheduler", "triggerer")
)
START_SECONDS = 180
PARSE_SECONDS = 120
#: The most task instances that Airflow's API tells at once.
PAGE = 100
UNFINISHED = {"queued", "running"}


class Airflow:
    """
    A running Airflow, and what a test asks of it.

    :param home: its ``AIRFLOW_HOME``.
    :param api: its public REST API.
    :param env: what its processes run with.
    :param database: the address of its PostgreSQL database, for tests that stop it at a moment.
    :param proxy: between its workers and its API server; Airflow 2 has nothing there.
    """

    def __init__(
        self, home: Path, api: RestApi, env: dict[str, str], database: str, proxy: Proxy | None = None
    ) -> None:
        self.home = home
        self.api = api
        self.database = database
        self.env = env
        self._proxy = proxy
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._dag_of: dict[str, str] = {}

    @property
    def proxy(self) -> Proxy:
        """What stands between the workers and the API server."""
        assert self._proxy is not None, "there is nothing between the workers of Airflow 2 and its database"
        return self._proxy

    def start(self, component: str, name: str | None = None, *arguments: str, **env: str) -> None:
        """
        Start a component, in a process group of its own.

        :param name: under which it is known here; the component's, where there is one of it.
        :param env: more of its environment; it starts in its ``HOME``, where that is given.
        """
        name = name or component
        log = (self.home / f"{name}.log").open("ab")
        self._processes[name] = subprocess.Popen(  # noqa: S603 Airflow's own command
            [sys.executable, "-m", "airflow", *component.split(), *arguments],
            env={**self.env, **env},
            cwd=env.get("HOME"),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        log.close()

    def family(self, name: str) -> list[psutil.Process]:
        """Return the process of a component, and all that it has started; nothing of one that was killed."""
        if name not in self._processes:
            return []
        process = psutil.Process(self._processes[name].pid)
        return [process, *process.children(recursive=True)]

    def kill(self, name: str) -> None:
        """Kill a component and all that it has started, as a machine that dies does."""
        family = self.family(name)
        for member in family:
            with suppress(psutil.NoSuchProcess):
                member.kill()
        psutil.wait_procs(family, timeout=10)
        self._processes.pop(name).wait(10)

    def stop(self) -> None:
        """End everything."""
        for process in self._processes.values():
            process.terminate()
        deadline = time.monotonic() + 8
        for name in list(self._processes):
            try:
                self._processes[name].wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self.kill(name)

    def write_dag(self, name: str, text: str) -> None:
        """Write a DAG file and wait until Airflow knows its DAGs, whose ids begin with the name."""
        self.write_dags({name: text})

    def write_dags(self, texts: Mapping[str, str]) -> None:
        """Write DAG files, by their names, and wait until Airflow knows the DAGs of all."""
        for name, text in texts.items():
            self.write_file(name, text)
        for name in texts:
            self.wait_until(
                partial(self._is_parsed, name), f"DAG file {name} is parsed", seconds=PARSE_SECONDS, every=0.5
            )
        errors = self.import_errors()
        assert not errors, errors[0]

    def _is_parsed(self, name: str) -> bool:
        dags = self.api.get("dags", dag_id_pattern=f"{name}%", limit=PAGE)["dags"]
        return any(dag["fileloc"].endswith(f"/{name}.py") for dag in dags) or bool(self.import_errors())

    def write_file(self, name: str, text: str) -> None:
        """Write a file into the folder of DAGs."""
        (self.home / "dags" / f"{name}.py").write_text(text)

    def remove_files(self, names: Iterable[str]) -> None:
        """Remove files from the folder of DAGs."""
        for name in names:
            (self.home / "dags" / f"{name}.py").unlink(missing_ok=True)

    def import_errors(self) -> list[str]:
        """Return what keeps DAG files from being read; a file that was removed meanwhile cannot be, and need not."""
        errors = self.api.get("importErrors")["import_errors"]
        return [error["stack_trace"] for error in errors if (self.home / "dags" / error["filename"]).exists()]

    def trigger(self, dag_id: str, run_id: str, conf: dict[str, Any] | None = None) -> None:
        """Start a run."""
        date = {"logical_date": None} if AIRFLOW_3 else {}
        self.api.post(f"dags/{dag_id}/dagRuns", {"dag_run_id": run_id, "conf": conf or {}, **date})
        self._dag_of[run_id] = dag_id

    def runs(self, dag_id: str) -> list[str]:
        """Return the ids of a DAG's runs, whoever or whatever started them."""
        found = [run["dag_run_id"] for run in self.api.get(f"dags/{dag_id}/dagRuns")["dag_runs"]]
        self._dag_of.update(dict.fromkeys(found, dag_id))
        return found

    def update_asset(self, uri: str) -> None:
        """Create an event of an asset, as a user does on its page."""
        if AIRFLOW_3:
            found = self.api.get("assets", uri_pattern=uri)["assets"]
            self.api.post("assets/events", {"asset_id": next(asset["id"] for asset in found if asset["uri"] == uri)})
        else:
            self.api.post("datasets/events", {"dataset_uri": uri})

    def add_connection(self, conn_id: str, connection: str) -> None:
        """Store a connection, given as JSON."""
        fields = json.loads(connection)
        self.api.post("connections", {"connection_id": conn_id, **fields, "extra": json.dumps(fields.get("extra", {}))})

    def change_connection(self, conn_id: str, connection: str) -> None:
        """Store a connection, given as JSON, in the place of the one with that id."""
        fields = json.loads(connection)
        body = {"connection_id": conn_id, **fields, "extra": json.dumps(fields.get("extra", {}))}
        self.api.patch(f"connections/{conn_id}", body)

    def clear(self, dag_id: str, run_id: str, *task_ids: str, downstream: bool = True, **options: Any) -> None:
        """
        Clear tasks of a run and, as the UI does, those downstream of them; all tasks, where none is named.

        :param options: more fields of the request, such as ``only_failed``.
        """
        chosen = {"task_ids": list(task_ids), "include_downstream": downstream} if task_ids else {}
        wanted = {"dag_run_id": run_id, "dry_run": False, "only_failed": False, "reset_dag_runs": True}
        before = self.run(run_id)
        self.api.post(f"dags/{dag_id}/clearTaskInstances", {**wanted, **chosen, **options})
        self.wait_until(
            lambda: (now := self.run(run_id))["state"] in UNFINISHED or now["end_date"] != before["end_date"],
            f"{run_id} is cleared",
        )

    def run(self, run_id: str) -> dict[str, Any]:
        """Return what the API says of a run that was triggered here."""
        found: dict[str, Any] = self.api.get(f"dags/{self._dag_of[run_id]}/dagRuns/{run_id}")
        return found

    def run_state(self, run_id: str) -> str:
        """Return the state of a run."""
        return str(self.run(run_id)["state"])

    def run_ends(self, run_id: str, *, seconds: float = 240) -> str:
        """Wait until a run is over and return its state."""
        state = self.wait_until(
            lambda: (now := self.run_state(run_id)) in {"success", "failed"} and now,
            f"{run_id} ends",
            seconds=seconds,
            every=0.5,
        )
        return str(state)

    def tasks(self, run_id: str, *task_ids: str) -> list[dict[str, Any]]:
        """Return what the API says of the task instances of a run, each mapped one for itself; of all, or of some."""
        found = self.tasks_of(self._dag_of[run_id], run_id)
        return [task for task in found if not task_ids or task["task_id"] in task_ids]

    def tasks_of(self, dag_id: str, run_id: str = "~", **chosen: Any) -> list[dict[str, Any]]:
        """
        Return what the API says of the task instances of a DAG, in one run or in all.

        :param chosen: more of the query, such as their state.
        """
        found: list[dict[str, Any]] = []
        while True:
            path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances"
            page = self.api.get(path, limit=PAGE, offset=len(found), **chosen)
            found += page["task_instances"]
            if len(found) >= page["total_entries"] or not page["task_instances"]:
                return found

    def states(self, run_id: str, *task_ids: str) -> list[str]:
        """Return the states of task instances, sorted."""
        return sorted(str(task["state"]) for task in self.tasks(run_id, *task_ids))

    def count(self, dag_id: str, state: str) -> int:
        """Return how many task instances of a DAG, in all its runs, are in a state."""
        found = self.api.get(f"dags/{dag_id}/dagRuns/~/taskInstances", state=state, limit=1)
        return int(found["total_entries"])

    def xcom(self, run_id: str, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        """Return an XCom as the API shows it."""
        return self.api.xcom(self._dag_of[run_id], run_id, task_id, key, map_index)

    def task_process(self, run_id: str, task_id: str, map_index: int = -1) -> psutil.Process | None:
        """Return the process in which a task runs now: the one that runs the user's code, not its supervisor."""
        running = [
            task
            for task in self.tasks(run_id, task_id)
            if (task["map_index"], task["state"]) == (map_index, "running") and task["pid"] is not None
        ]
        if not running:
            return None
        try:
            process = psutil.Process(running[0]["pid"])
            # The id of a process that has just ended may be another's by now.
            known = running[0]["id"] if AIRFLOW_3 else "airflow"
            return process if known in " ".join(process.cmdline()) else None
        except psutil.Error:
            return None

    def wait_until(self, happened: Callable[[], Any], what: str, *, seconds: float = 120, every: float = 0.1) -> Any:
        """Wait for something and return it."""
        deadline = time.monotonic() + seconds
        while not (answer := happened()):
            assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}\n{self.last_words()}"
            time.sleep(every)
        return answer

    def task_logs(self, run_id: str) -> str:
        """Return what the tasks of a run have logged, attempt by attempt, and their triggers."""
        logs = sorted(log for log in (self.home / "logs").rglob("*.log*") if run_id in str(log))
        return "\n".join(f"--- {log.relative_to(self.home)}\n{log.read_text(errors='replace')}" for log in logs)

    def last_words(self, lines: int = 15) -> str:
        """Return the end of every log."""
        logs = (
            sorted(self.home.glob("*.log"))
            + sorted((self.home / "logs").rglob("attempt=*.log"), key=lambda log: log.stat().st_mtime)[-4:]
        )
        return "\n".join(
            f"--- {log.relative_to(self.home)}\n" + "\n".join(line[:400] for line in _told(log)[-lines:])
            for log in logs
        )


def _told(log: Path) -> list[str]:
    """Return a log's lines, without the requests of whoever asked the API server."""
    return [line for line in log.read_text(errors="replace").splitlines() if "http.access" not in line]


@contextmanager
def airflow(
    connection: str,
    *,
    settings: Mapping[str, Any] | None = None,
    components: Sequence[str] = COMPONENTS,
    variables: Mapping[str, str] | None = None,
    ledger: bool = False,
) -> Iterator[Airflow]:
    """
    Yield a running Airflow.

    :param connection: ``segmind_default`` as JSON.
    :param settings: more of Airflow's settings, such as ``{"CORE__PARALLELISM": 2}``.
    :param components: what is started, each once.
    :param variables: more of its processes' environment, not Airflow's own.
    :param ledger: whether its config names a ledger, as ``LEDGER=1`` has it for all.
    """
    with ExitStack() as stack:
        database = stack.enter_context(postgres())
        home = Path(tempfile.mkdtemp(prefix="kling-e2e-"))
        for folder in ("dags", "config", "plugins"):
            (home / folder).mkdir()
        (home / "config" / "airflow_local_settings.py").write_text(turns.LOCAL_SETTINGS)
        (home / "webserver_config.py").write_text("AUTH_ROLE_PUBLIC = 'Admin'\nWTF_CSRF_ENABLED = False\n")
        port, proxy_port = free_port(), free_port()
        own = {**_settings(home, database, port, proxy_port), **(settings or {})}
        env = {**_environment(home, own, connection), **(variables or {})}
        try:
            subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], env=env, check=True, capture_output=True)
            if ledger or os.environ.get("LEDGER") == "1":
                env |= make_ledger(database, env)
            proxy = Proxy(f"http://127.0.0.1:{port}") if AIRFLOW_3 else None
            if proxy:
                stack.enter_context(proxy.serving(proxy_port))
            running = Airflow(home, RestApi(f"http://127.0.0.1:{port}"), env, database, proxy)
            stack.callback(running.stop)
            for component in components:
                running.start(component)
            running.wait_until(running.api.healthy, "Airflow is healthy", seconds=START_SECONDS, every=0.5)
            yield running
        finally:
            stack.close()
            if os.environ.get("KEEP") == "1":
                print(f"The logs are in {home}")  # noqa: T201 asked for by hand
            else:
                shutil.rmtree(home, ignore_errors=True)


def make_ledger(address: str, env: Mapping[str, str]) -> dict[str, str]:
    """
    Make a ledger in a database of its own, on the server of Airflow's; return the environment that names it.

    :param address: of Airflow's database.
    :param env: what Airflow's processes run with.
    """
    named = {
        "AIRFLOW_CONN_KLING_LEDGER": json.dumps(new_database(address)),
        "AIRFLOW__KLING__LEDGER_CONN_ID": "kling_ledger",
    }
    command = [sys.executable, "-m", "airflow_provider_kling", "ledger", "migrate"]
    subprocess.run(command, env={**env, **named}, check=True, capture_output=True)  # noqa: S603 this project's own
    return named


def _settings(home: Path, database: str, port: int, proxy_port: int) -> dict[str, Any]:
    """Return Airflow's settings: quick to notice the dead, and out of the way of any other Airflow."""
    both = {
        "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "CORE__DAGS_FOLDER": home / "dags",
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__PARALLELISM": 8,
        "DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
        "DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://airflow@{database}",
        "LOGGING__BASE_LOG_FOLDER": home / "logs",
        "LOGGING__TRIGGER_LOG_SERVER_PORT": free_port(),
        "LOGGING__WORKER_LOG_SERVER_PORT": free_port(),
        "SCHEDULER__JOB_HEARTBEAT_SEC": 1,
        "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": 5,
        "SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": 20,
        "TRIGGERER__JOB_HEARTBEAT_SEC": 1,
        "TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": 20,
        "USAGE_DATA_COLLECTION__ENABLED": "False",
    }
    if not AIRFLOW_3:
        return {
            **both,
            "API__AUTH_BACKENDS": "airflow.api.auth.backend.default",  # whoever reaches this machine is an admin
            "SCHEDULER__DAG_DIR_LIST_INTERVAL": 3,
            "SCHEDULER__LOCAL_TASK_JOB_HEARTBEAT_SEC": 2,
            "SCHEDULER__MIN_FILE_PROCESS_INTERVAL": 3,
            "SCHEDULER__SCHEDULER_ZOMBIE_TASK_THRESHOLD": 15,
            "SCHEDULER__ZOMBIE_DETECTION_INTERVAL": 3,
            "TRIGGERER__DEFAULT_CAPACITY": 5000,
            "WEBSERVER__CONFIG_FILE": home / "webserver_config.py",
            "WEBSERVER__WEB_SERVER_HOST": "127.0.0.1",
            "WEBSERVER__WEB_SERVER_PORT": port,
            "WEBSERVER__WORKERS": 1,
        }
    return {
        **both,
        "API__PORT": port,
        "API__HOST": "127.0.0.1",
        "API__BASE_URL": f"http://127.0.0.1:{port}",
        "API__WORKERS": 1,
        "API_AUTH__JWT_SECRET": secrets.token_hex(32),
        "CORE__AUTH_MANAGER": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
        "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{proxy_port}/execution/",
        "DAG_PROCESSOR__REFRESH_INTERVAL": 5,
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": 2,
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": 15,
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": 3,
        "SECRETS__USE_CACHE": "False",
        "TRIGGERER__CAPACITY": 5000,
        "WORKERS__EXECUTION_API_TIMEOUT": 30,
    }


def _environment(home: Path, settings: Mapping[str, Any], connection: str) -> dict[str, str]:
    """Return what every component runs with: nothing of the caller's own Airflow."""
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
    except psutil.NoSuchProcess:
        return False
    with suppress(psutil.NoSuchProcess):
        # Its supervisor may be too busy to reap it.
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
    return True
