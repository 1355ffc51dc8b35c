"""
A distributed Airflow: CeleryExecutor on a real Redis, and two of everything.

Each worker, and the second of each other component, has a machine of its own as far as one machine can show it: a
home, a temporary folder, an ``AIRFLOW_HOME`` and a current folder that nobody else has, empty when it starts and
gone with it. What the machines share is what machines share in production: the database, Redis, the API servers'
address and the DAG files.
"""

from __future__ import annotations

import base64
import secrets
import shutil
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from tests.conftest import AIRFLOW_3
from tests.e2e.airflow_processes import START_SECONDS, airflow
from tests.e2e.postgres import free_port
from tests.e2e.proxy import Proxy
from tests.e2e.redis_server import redis
from tests.e2e.rest_api import RestApi

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.e2e.airflow_processes import Airflow

WORKERS = ("worker-1", "worker-2")
#: How many tasks each worker runs at once.
SLOTS = 2
#: How many waits each triggerer takes: two hundred need both.
CAPACITY = 120
#: Seconds after which Redis hands the message of a dead worker to another one. In production this exceeds the longest
#: task; here it is short, so that a task that died between Redis and its start does not hold up the tests.
VISIBILITY_SECONDS = 30
#: Seconds after which a task that a scheduler had queued, and died before it told Redis, is queued again.
QUEUED_SECONDS = 120
API_SERVER = "api-server" if AIRFLOW_3 else "webserver"


@contextmanager
def distributed(connection: str, variables: Mapping[str, str] | None = None) -> Iterator[Airflow]:
    """
    Yield a running Airflow; its components are ``scheduler``, ``scheduler-2`` and so on, and the workers.

    :param connection: ``segmind_default`` as JSON.
    :param variables: more of every process's environment.
    """
    with ExitStack() as stack:
        broker = stack.enter_context(redis())
        running = stack.enter_context(airflow(connection, settings=_settings(broker), variables=variables))
        second = free_port()
        start_machine(running, API_SERVER, f"{API_SERVER}-2", "--port", str(second))
        for worker in WORKERS:
            start_worker(running, worker)
        start_machine(running, "scheduler", "scheduler-2", *([] if AIRFLOW_3 else ["--skip-serve-logs"]))
        start_machine(running, "triggerer", "triggerer-2", "--skip-serve-logs")
        own = f"http://127.0.0.1:{second}"
        running.wait_until(RestApi(own).healthy, "the second API server is up", seconds=START_SECONDS, every=0.5)
        if AIRFLOW_3:
            balancer = running.proxy
            balancer.targets.append(own)
        else:
            balancer = stack.enter_context(Proxy(running.api.url, own).serving(free_port()))
        running.api = RestApi(balancer.url)
        yield running


def start_worker(running: Airflow, name: str) -> None:
    """Start a worker on an empty machine."""
    options = ["--concurrency", str(SLOTS), "--skip-serve-logs", "--without-mingle", "--without-gossip"]
    start_machine(running, "celery worker", name, "--celery-hostname", f"{name}@%h", *options)


def start_machine(running: Airflow, component: str, name: str, *arguments: str) -> None:
    """Start a component on an empty machine."""
    folder = _machine(running, name)
    env = {"HOME": folder / "home", "TMPDIR": folder / "tmp", "AIRFLOW_HOME": folder / "airflow"}
    for part in env.values():
        part.mkdir(parents=True)
    running.start(component, name, *arguments, **{key: str(part) for key, part in env.items()})


def lose_machine(running: Airflow, name: str) -> None:
    """Kill a component and all that it has started, and whatever it has written to its disk."""
    running.kill(name)
    shutil.rmtree(_machine(running, name))


def machine_of(running: Airflow, run_id: str, task_id: str) -> str:
    """Wait until a task runs, and return the name of the worker that runs it."""

    def found() -> str | None:
        process = running.task_process(run_id, task_id)
        return next((name for name in WORKERS if process and process in running.family(name)), None)

    return str(running.wait_until(found, f"{task_id} of {run_id} runs on a worker", seconds=90))


def _machine(running: Airflow, name: str) -> Path:
    return running.home / "machines" / name


def _settings(broker: str) -> dict[str, Any]:
    capacity = "TRIGGERER__CAPACITY" if AIRFLOW_3 else "TRIGGERER__DEFAULT_CAPACITY"
    secret = "API__SECRET_KEY" if AIRFLOW_3 else "WEBSERVER__SECRET_KEY"
    return {
        "CELERY__BROKER_URL": broker,
        "CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": VISIBILITY_SECONDS,
        "CORE__EXECUTOR": "CeleryExecutor",
        # Components with an AIRFLOW_HOME of their own would each make these up.
        "CORE__FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        secret: secrets.token_hex(16),
        "SCHEDULER__TASK_QUEUED_TIMEOUT": QUEUED_SECONDS,
        "SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": 10,
        capacity: CAPACITY,
    }
