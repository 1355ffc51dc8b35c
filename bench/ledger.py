"""What a ledger costs: the transactions of a submit on PostgreSQL, and a month's costs on SQLite."""

from __future__ import annotations

import tempfile
import time
import uuid
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import Connection
from sqlalchemy import text

from airflow_provider_kling.budget import KlingBudget
from airflow_provider_kling.ledger.cost_totals import totals
from airflow_provider_kling.ledger.database import database_of
from airflow_provider_kling.ledger.migration import migrate
from airflow_provider_kling.ledger.owner import Owner, Wanted
from airflow_provider_kling.ledger.results import JobLedger
from airflow_provider_kling.ledger.tables import generations
from airflow_provider_kling.ledger.task_ledger import TaskLedger
from airflow_provider_kling.segmind.schemas import Result
from airflow_provider_kling.submission.record import Record
from bench.report import verdict, verdicts
from tests.e2e.postgres import postgres

if TYPE_CHECKING:
    from rich.console import Console

    from airflow_provider_kling.ledger.database import Database

SUBMITS = 300
#: Jobs of the project that the month has already: three hundred a day.
JOBS_OF_MONTH = 9_000
ROWS = 100_000
HOST = "https://api.segmind.com"
PROJECT = "bench"


def run(console: Console) -> None:
    """Print the two measurements."""
    table = verdicts("Ledger")
    with postgres() as address:
        host, port = address.partition("/")[0].split(":")
        database = database_of(
            Connection(
                conn_id="ledger", conn_type="postgres", host=host, port=int(port), login="airflow", schema="airflow"
            )
        )
        migrate(database)
        now = datetime.now(tz=UTC)
        fill(database, JOBS_OF_MONTH, now, project=PROJECT, intended_at=now)
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE kling_generation"))  # as the server does by itself
        seconds = submits(database)
        database.engine.dispose()
    verdict(
        table,
        f"all transactions of a submit on PostgreSQL, with reuse and a limit of a month of {JOBS_OF_MONTH:,} jobs",
        "<= 10 ms",
        f"{seconds * 1000:.1f} ms",
        seconds <= 0.01,
    )
    with tempfile.TemporaryDirectory() as folder:
        database = database_of(Connection(conn_id="ledger", conn_type="sqlite", host=f"{folder}/ledger.db"))
        migrate(database)
        seconds = month(database)
        database.engine.dispose()
    verdict(
        table,
        f"costs of a month by DAG, model and project over {ROWS:,} rows on SQLite",
        "<= 1 s",
        f"{seconds:.2f} s",
        seconds <= 1,
    )
    console.print(table)


def submits(database: Database) -> float:
    """Return the median of the seconds that a submit spends in the ledger: load, look, intent, id, end."""
    periods = KlingBudget(max_cost_per_month=1e6, project=PROJECT).periods(datetime.now(tz=UTC))
    done = Result.model_validate({"status": "COMPLETED", "metrics": {"cost": 0.035}, "output": "https://x/y.png"})
    took = []
    for number in range(SUBMITS):
        wanted = Wanted(host=HOST, model="kling-o1", content=f"submit {number}", account="a", payload="{}")
        owner = Owner(deployment="", dag_id="bench", run_id="run", task=f"submit[{number}]", project=PROJECT)
        ledger, job = TaskLedger(database, owner, wanted), str(uuid.uuid4())
        intent = Record(fingerprint="f", account="a", model="kling-o1", intended_at=datetime.now(tz=UTC), high=0.035)
        accepted = intent.model_copy(update={"request_id": job, "accepted_at": intent.intended_at})
        begun = time.perf_counter()
        ledger.load()
        ledger.reusable()
        ledger.save(intent, periods, frozenset())
        ledger.save(accepted)
        JobLedger(database, HOST, job, None).completed(done)
        ledger.save(accepted.concluded(0.035))
        took.append(time.perf_counter() - begun)
    return median(took)


def month(database: Database) -> float:
    """Return the seconds to add up a month; the fastest of three."""
    now = datetime.now(tz=UTC)
    fill(database, ROWS, now)
    took = []
    for _ in range(3):
        begun = time.perf_counter()
        totals(database, now - timedelta(days=30), now + timedelta(days=1), ["dag", "model", "project"])
        took.append(time.perf_counter() - begun)
    return min(took)


def fill(database: Database, count: int, now: datetime, **same: object) -> None:
    """Make rows of jobs that are over."""
    record = Record(fingerprint="f", model="kling-o1", intended_at=now).model_dump_json()
    with database.changing() as connection:
        for first in range(0, count, 3000):
            numbers = range(first, min(first + 3000, count))
            connection.execute(generations.insert(), [_row(number, now, record) | same for number in numbers])


def _row(number: int, now: datetime, record: str) -> dict[str, object]:
    return {
        "deployment": "",
        "dag_id": f"dag_{number % 20}",
        "run_id": f"run_{number // 100}",
        "task": f"submit[{number % 100}]",
        "project": f"project {number % 5}",
        "task_key": f"{number:064d}",
        "number": 0,
        "revision": 1,
        "host": HOST,
        "account": "a",
        "model": f"kling-{number % 7}",
        "content": f"{number:064d}",
        "variant": "",
        "state": "completed",
        "request_id": str(uuid.UUID(int=number)),
        "intended_at": now - timedelta(seconds=number % 2_000_000),
        "low": 0.03,
        "high": 0.04,
        "cost": 0.035,
        "used": True,
        "payload": '{"prompt": "%s"}' % ("a fox in the snow " * 40),
        "output": '{"status": "COMPLETED", "urls": ["https://images.segmind.com/x.png"]}' + " " * 1000,
        "record": record,
    }
