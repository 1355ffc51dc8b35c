"""Rows of the ledger as plain JSON, to be read elsewhere; and rows that are moved into a file for good."""

from __future__ import annotations

import json
import os
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, delete, or_, select

from airflow_provider_kling.ledger.generations import COMPLETED, FAILED, REFUSED, REUSED
from airflow_provider_kling.ledger.schema import check
from airflow_provider_kling.ledger.tables import generations
from airflow_provider_kling.segmind.errors import SegmindInputError
from airflow_provider_kling.segmind.sanitize import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airflow_provider_kling.ledger.database import Database

_t = generations.c
#: What is exported; ``dag_id`` and what follows it are Airflow's names, times are in UTC, money is US dollars.
COLUMNS = (
    "deployment",
    "dag_id",
    "run_id",
    "task",
    "project",
    "model",
    "variant",
    "state",
    "request_id",
    "reused_from",
    "intended_at",
    "accepted_at",
    "ended_at",
    "low",
    "high",
    "cost",
    "used",
    "payload",
    "output",
    "files",
)
#: Columns that hold JSON.
_JSON = {"payload", "output", "files"}
#: Rows read, or deleted, at once.
BATCH = 500


def exported(database: Database, since: datetime, until: datetime) -> Iterator[dict[str, Any]]:
    """
    Yield the rows whose jobs were to be sent in a time, the earliest first, as plain JSON.

    :param since: the first moment.
    :param until: the first moment after it.
    """
    check(database)
    yield from _rows(database, _t.intended_at >= since, _t.intended_at < until)


def archive(database: Database, before: datetime, file: Path) -> int:
    """
    Move rows into a new file, as lines of JSON, and return how many.

    What may still be needed stays: jobs that run, submits that are unclear, and results that no task has handed on.

    :param before: rows whose jobs were to be sent earlier are moved.
    :raises SegmindInputError: the file exists, or cannot be written; nothing was deleted.
    """
    check(database)
    over = or_(and_(_t.state == COMPLETED, _t.used.is_(True)), _t.state.in_((FAILED, REFUSED, REUSED)))
    moved: list[int] = []
    try:
        with file.open("x", encoding="utf-8") as target:
            for row in _rows(database, over, _t.intended_at < before, numbered=moved):
                target.write(json.dumps(row) + "\n")
            target.flush()
            os.fsync(target.fileno())
    except OSError as exc:
        raise SegmindInputError(f"{one_line(file)!r} cannot be written ({one_line(exc)}); nothing was moved.") from exc
    with database.in_turn() as connection:
        for first in range(0, len(moved), BATCH):
            connection.execute(delete(generations).where(_t.id.in_(moved[first : first + BATCH]), over))
    return len(moved)


def _rows(database: Database, *which: Any, numbered: list[int] | None = None) -> Iterator[dict[str, Any]]:
    """Yield rows batch by batch: a month may have more than fit into memory."""
    last = 0
    columns = [_t[name] for name in COLUMNS]
    while True:
        wanted = select(_t.id, *columns).where(_t.id > last, *which).order_by(_t.id).limit(BATCH)
        with database.reading() as connection:
            found = connection.execute(wanted).all()
        if not found:
            return
        last = found[-1].id
        if numbered is not None:
            numbered += [row.id for row in found]
        for row in found:
            yield {name: _plain(name, getattr(row, name)) for name in COLUMNS}


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if name in _JSON and isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value
