"""What the tests of transfers share: a host that the connection names, and DAGs in processes of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid
from typing import TYPE_CHECKING

import pytest

from tests.conftest import AIRFLOW_3
from tests.storage.conftest import FileHost, make_film, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ID = "2c7f59ea-13f1-402c-9353-915a2b5a2124"
SCRIPT = """
from datetime import UTC, datetime

from airflow.providers.common.compat.sdk import DAG
from airflow_provider_kling.transfers.segmind_to_object_storage import SegmindToObjectStorageOperator

with DAG({dag_id!r}, schedule=None) as dag:
    SegmindToObjectStorageOperator(task_id="keep", segmind_conn_id="segmind_other", {arguments})
if __name__ == "__main__":
    dag.test(**{run})
"""
#: The arguments of the same run each time, on this Airflow.
SAME_RUN = (
    "dict.fromkeys(('logical_date', 'run_after'), datetime(2026, 1, 1, tzinfo=UTC))"
    if AIRFLOW_3
    else "{'execution_date': datetime(2026, 1, 1, tzinfo=UTC)}"
)


@pytest.fixture(scope="session")
def film() -> bytes:
    """Return a real film of some megabytes."""
    return make_film()


@pytest.fixture
def host(film, set_connection) -> Iterator[FileHost]:
    """Serve a film from a host that the connection ``segmind_other`` names."""
    with serving(FileHost(film)) as host:
        set_connection(extra={"storage_host": host.url})
        yield host


def result_of(host: FileHost, request_id: str = ID, **facts) -> dict:
    """Return what a sensor would have returned for the host's film."""
    return {"request_id": request_id, "model": "kling-o3-text2video", "urls": [host.link], **facts}


@pytest.fixture
def start(empty_db: Path, tmp_path_factory) -> Iterator[Callable[..., subprocess.Popen]]:
    """
    Return a function that keeps a file in a process of its own, which can be killed; what it prints can be read.

    Each has a database of its own: SQLite lets one process write at a time. With an ``again`` it is the run of
    ``run_dag`` with the same.
    """
    started: list[subprocess.Popen] = []

    def run(*, again: str | None = None, **arguments) -> subprocess.Popen:
        listed = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
        home = tmp_path_factory.mktemp("home")
        shutil.copy(empty_db, home / "airflow.db")
        script = home / "dags" / f"test_{again or uuid.uuid4().hex[:8]}.py"
        script.parent.mkdir()
        script.write_text(SCRIPT.format(dag_id=script.stem, arguments=listed, run=SAME_RUN if again else "{}"))
        environment = {
            **os.environ,
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(script.parent),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        }
        process = subprocess.Popen(  # noqa: S603 own code
            [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()
