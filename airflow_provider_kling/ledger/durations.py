"""How long jobs took, as all tasks that share the ledger have seen it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from airflow_provider_kling.ledger.schema import check
from airflow_provider_kling.ledger.tables import generations

if TYPE_CHECKING:
    from airflow_provider_kling.ledger.database import Database

_t = generations.c


def latest_durations(database: Database, host: str, model: str, count: int) -> list[float]:
    """
    Return how many seconds the last jobs of a model took, oldest first.

    :param host: of the API: a simulator's jobs say nothing about Segmind's.
    :param count: how many at most.
    :raises SegmindError: the ledger cannot be read.
    """
    check(database)
    of_model = (_t.host == host, _t.model == model, _t.ended_at.is_not(None), _t.seconds.is_not(None))
    with database.reading() as connection:
        rows = connection.execute(select(_t.seconds).where(*of_model).order_by(_t.ended_at.desc()).limit(count)).all()
    return [row.seconds for row in reversed(rows)]
