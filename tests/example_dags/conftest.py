"""The examples as a user runs them: their own files in the DAG folder of a real Airflow."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import AIRFLOW_3, Run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EXAMPLES = Path(__file__).parents[2] / "example_dags"


def dag_bag(folder: Path) -> Any:
    """Return what Airflow reads from a file or a folder of DAGs."""
    if AIRFLOW_3:
        try:
            from airflow.dag_processing.dagbag import DagBag
        except ImportError:  # Airflow 3.0 and 3.1
            from airflow.models.dagbag import DagBag
    else:
        from airflow.models import DagBag
    return DagBag(str(folder))


@pytest.fixture
def run_example(airflow_db: str, conn_id: str) -> Callable[..., Run]:
    """Return a function that puts an example into the DAG folder and runs it to its end, triggers included."""

    def run(name: str, conf: dict[str, Any] | None = None, instead: dict[str, str] | None = None) -> Run:
        file = Path(airflow_db, "dags", f"{name}.py")
        shutil.copy(EXAMPLES / file.name, file)
        for words, others in (instead or {}).items():
            text = file.read_text()
            assert words in text
            file.write_text(text.replace(words, others))
        try:
            bag = dag_bag(file)
            assert bag.import_errors == {}
            return Run(bag.dags[name].test(run_conf=conf or {}))
        finally:
            file.unlink()
            # Else another text of the same length, written within the same second, counts as what was compiled of this.
            shutil.rmtree(file.parent / "__pycache__", ignore_errors=True)

    return run


@pytest.fixture
def api(airflow_db: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Yield a client of Airflow's own API, which is what its UI asks (Airflow 3)."""
    monkeypatch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS", "True")
    from airflow.api_fastapi.app import create_app
    from starlette.testclient import TestClient

    with TestClient(create_app(apps="core"), base_url="http://testserver/api/v2/") as client:
        token = client.get("http://testserver/auth/token").json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        yield client


def billed(sim: Any) -> list[dict[str, Any]]:
    """Return the jobs that cost something."""
    return [job for job in sim.ledger()["jobs"] if job["cost_billed"]]
