"""What a DAG run writes into Airflow's database while it goes on.

Read with SQL from the file itself: asking Airflow's command line costs seconds for each question, and
the tables look alike in Airflow 2.11 and 3.3.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class XCom:
    """A value that a task pushed, and when."""

    value: Any
    stored_at: datetime


class RunRecord:
    """The only run of a DAG in a database of its own. Answers nothing where nothing has happened yet."""

    def __init__(self, database: Path) -> None:
        self._database = database

    def states(self) -> dict[str, str | None]:
        """Give the state of each task, by its id."""
        return dict(self._rows("SELECT task_id, state FROM task_instance"))

    def run_state(self) -> str | None:
        """Give the state of the run."""
        return next((state for (state,) in self._rows("SELECT state FROM dag_run")), None)

    def xcoms(self, task_id: str) -> dict[str, XCom]:
        """Give what a task has pushed so far, by key."""
        # CAST: Airflow 3 stores JSON, whose bare numbers SQLite keeps as numbers; Airflow 2 stores bytes.
        rows = self._rows("SELECT key, CAST(value AS TEXT), timestamp FROM xcom WHERE task_id = ?", task_id)
        return {key: XCom(json.loads(value), datetime.fromisoformat(stored)) for key, value, stored in rows}

    def _rows(self, query: str, *parameters: str) -> list[tuple[Any, ...]]:
        try:
            with closing(sqlite3.connect(f"{self._database.as_uri()}?mode=ro", uri=True)) as connection:
                return connection.execute(query, parameters).fetchall()
        except sqlite3.OperationalError:  # not there yet, or being written: the next look will see it
            return []
