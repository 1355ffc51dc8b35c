"""
A real Airflow in a temporary home, and a simulator on a real socket, for all tests.

Airflow reads its environment when it is first imported, so the home is set here, before any test is. Each process
that runs tests has a home and simulators of its own; their database is made once and copied.
"""

from __future__ import annotations

import atexit
import fcntl
import hashlib
import importlib
import json
import os
import runpy
import shutil
import subprocess
import sys
import tempfile
import textwrap
import uuid
from datetime import UTC, datetime
from importlib.metadata import distributions, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

_HOME = tempfile.mkdtemp(prefix="airflow-provider-kling-tests-")
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)
os.environ.update(
    AIRFLOW_HOME=_HOME,
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__CORE__DAGS_FOLDER=str(Path(_HOME, "dags")),
    AIRFLOW__CORE__UNIT_TEST_MODE="False",
    AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS="False",
)
Path(_HOME, "dags").mkdir()

_VERSION = tuple(int(part) for part in version("apache-airflow").split(".")[:2])
AIRFLOW_3 = _VERSION >= (3, 0)
#: Whether a task can ask a person, and whether Airflow retries a task whose process was killed (it does on 2.11 too).
AIRFLOW_3_1 = _VERSION >= (3, 1)
#: Whether providers can add commands to Airflow's own.
AIRFLOW_3_2 = _VERSION >= (3, 2)
#: Whether there is task state.
AIRFLOW_3_3 = _VERSION >= (3, 3)
#: Whether tasks can loop, and a clear discards a task's state.
AIRFLOW_3_4 = _VERSION >= (3, 4)
needs_task_state = pytest.mark.skipif(
    not AIRFLOW_3_3, reason="it reaches into a task's state, which came with Airflow 3.3"
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow.models.dagrun import DagRun

    from airflow_provider_kling.ledger.database import Database
    from airflow_provider_kling.simulator import Simulator

#: The longest tests: one that begins last keeps one core busy and leaves the others idle.
LONGEST = ("test_kling_image_to_video_to_edit", "test_airflow_home", "test_submission_machine")


@pytest.hookimpl(optionalhook=True)  # pytest-xdist's
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Choose no workers for a part of the tests: it ends before they would have started. Else keep all cores busy."""
    part = config.option.keyword or any(Path(argument.partition("::")[0]).is_file() for argument in config.args)
    # Many a test waits for a second or two: of the time of a worker two thirds are waiting.
    return 0 if part else 3 * (os.cpu_count() or 1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest tests first; refuse an attack that `make attack` could not tell of."""
    if untold := [item.nodeid for mark, item in _attacks(items) if len(mark.args) != 2]:
        raise pytest.UsageError(f"attack(case, expected) is not told: {', '.join(untold)}")
    items.sort(key=lambda item: item.path.stem not in LONGEST)


def _attacks(items: list[pytest.Item]) -> Iterator[tuple[pytest.Mark, pytest.Item]]:
    return ((mark, item) for item in items for mark in item.iter_markers("attack"))


def connection_json(sim: Simulator, **fields: Any) -> str:
    """Return an Airflow connection to the simulator, as an environment variable holds it."""
    extra = {"time_scale": 400, "requests_per_minute": 60_000, **fields.pop("extra", {})}
    return json.dumps({"conn_type": "segmind", "host": sim.url, "password": sim.api_key, "extra": extra, **fields})


def _migrated(folder: Path) -> Path:
    """Return an empty database of the Airflow and the providers that are installed; it is made where there is none."""
    packages = sorted(f"{package.name} {package.version}" for package in distributions())
    database = folder / f"{hashlib.sha256(repr(packages).encode()).hexdigest()[:16]}.db"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the other workers wait
        if not database.exists():
            command = [sys.executable, "-m", "airflow", "db", "migrate"]
            subprocess.run(command, check=True, capture_output=True, timeout=300)  # noqa: S603 is Airflow's own command
            shutil.copy(Path(_HOME, "airflow.db"), folder / "draft")
            (folder / "draft").rename(database)
    return database


@pytest.fixture(scope="session")
def empty_db(pytestconfig: pytest.Config) -> Path:
    """Return a database to copy into another home."""
    return _migrated(pytestconfig.cache.mkdir("airflow"))


@pytest.fixture(scope="session")
def airflow_db(empty_db: Path) -> str:
    """Return the home of an Airflow whose database is ready."""
    shutil.copy(empty_db, Path(_HOME, "airflow.db"))
    return _HOME


@pytest.fixture
def seen(record_property: Callable[[str, object], None]) -> Callable[[object], None]:
    """Return a function that tells what came of an attack, for the table of `make attack`."""
    return lambda what: record_property("seen", textwrap.shorten(str(what), 400, placeholder=" …"))


@pytest.fixture
def sim() -> Iterator[Simulator]:
    """Yield a simulator of its own for the test: what it lists as billed is what the test caused."""
    from airflow_provider_kling.simulator import Simulator

    with Simulator(time_scale=400, requests_per_minute=0, height=72) as simulator:
        yield simulator


@pytest.fixture
def conn_id(sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the id of a connection to the simulator."""
    monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", connection_json(sim))
    return "segmind_default"


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    """Return the database of a ledger that Airflow's config names."""
    from airflow.providers.common.compat.sdk import Connection

    from airflow_provider_kling.ledger.database import database_of
    from airflow_provider_kling.ledger.migration import migrate

    fields = {"conn_type": "sqlite", "host": str(tmp_path / "ledger.db")}
    monkeypatch.setenv("AIRFLOW_CONN_MY_LEDGER", json.dumps(fields))
    monkeypatch.setenv("AIRFLOW__KLING__LEDGER_CONN_ID", "my_ledger")
    database = database_of(Connection(conn_id="my_ledger", **fields))
    migrate(database)
    return database


@pytest.fixture
def set_connection(sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Return a function that defines a connection with other fields than the usual ones."""

    def define(**fields: Any) -> str:
        monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_OTHER", connection_json(sim, **fields))
        return "segmind_other"

    return define


@pytest.fixture
def pictures(sim: Simulator) -> list[str]:
    """Return the addresses of two pictures that the simulator can fetch."""
    return [f"{sim.url}/simulator/inputs/{name}.png" for name in ("robot", "beach")]


class Run:
    """A finished DAG run, as a user would look at it."""

    def __init__(self, dag_run: DagRun) -> None:
        self.dag_run = dag_run
        self.state = str(dag_run.state)

    def task(self, task_id: str, map_index: int = -1) -> Any:
        for ti in self.dag_run.get_task_instances():
            if (ti.task_id, ti.map_index) == (task_id, map_index):
                return ti
        raise LookupError(task_id)

    def task_state(self, task_id: str, map_index: int = -1) -> str:
        return str(self.task(task_id, map_index).state)

    def xcom(self, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        try:
            from airflow.models.xcom import XComModel
        except ImportError:
            from airflow.models.xcom import XCom

            return XCom.get_one(
                run_id=self.dag_run.run_id,
                dag_id=self.dag_run.dag_id,
                task_id=task_id,
                key=key,
                map_index=map_index,
            )
        from airflow.utils.session import create_session

        with create_session() as session:
            row = session.execute(
                XComModel.get_many(
                    run_id=self.dag_run.run_id,
                    dag_ids=self.dag_run.dag_id,
                    task_ids=task_id,
                    key=key,
                    map_indexes=map_index,
                )
            ).first()
            return None if row is None else XComModel.deserialize_value(row[0] if hasattr(row[0], "value") else row)


_HEADER = """
from datetime import timedelta

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_kling.operators.kling import KlingSubmitOperator
from airflow_provider_kling.payloads import *
from airflow_provider_kling.sensors.kling import KlingSensor

PICTURES = {pictures!r}

with DAG({dag_id!r}, schedule=None, default_args={{"retry_delay": timedelta(seconds=0)}}) as dag:
"""


@pytest.fixture
def run_dag(airflow_db: str, pictures: list[str]) -> Callable[..., Run]:
    """
    Return a function that writes a DAG file around some tasks and runs it to its end, triggers included.

    With an ``again`` it runs the tasks of the run before under that name anew: the same DAG and run, no record left, as
    clearing all its tasks does on an Airflow that discards their state.
    """

    def run(tasks: str, *, dag_id: str | None = None, again: str | None = None, **kwargs: Any) -> Run:
        dag_id = dag_id or f"test_{again or uuid.uuid4().hex[:8]}"
        if again is not None:
            moment = datetime(2026, 1, 1, tzinfo=UTC)
            kwargs |= {"logical_date": moment, "run_after": moment} if AIRFLOW_3 else {"execution_date": moment}
            if not AIRFLOW_3:  # which deletes a run by way of a table that it has not imported
                importlib.import_module("airflow.providers.fab.auth_manager.models")
        file = Path(airflow_db, "dags", f"{dag_id}.py")
        body = textwrap.indent(textwrap.dedent(tasks), "    ")
        file.write_text(_HEADER.format(pictures=pictures, dag_id=dag_id) + body)
        try:
            return Run(runpy.run_path(str(file))["dag"].test(**kwargs))
        finally:
            file.unlink()

    return run
