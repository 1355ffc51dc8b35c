"""Whether what a task wants is made already, or is being made."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, or_, select

from airflow_provider_kling.ledger.generations import ACCEPTED, COMPLETED, SENDING, UNCLEAR
from airflow_provider_kling.ledger.tables import generations
from airflow_provider_kling.submission.policy import ORPHAN_GRACE
from airflow_provider_kling.submission.steps import Reusable

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from sqlalchemy.engine import Connection

    from airflow_provider_kling.ledger.owner import Owner, Wanted

#: How old a job may be that is not known to be over: Segmind keeps a file no longer than that.
STILL_RUNS = timedelta(days=7)
#: How many of the latest results are looked at: each whose file is gone takes some seconds.
MOST_RESULTS = 3

_t = generations.c
#: What is taken first: a result, then a job, then what is about to be sent.
_ORDER = (COMPLETED, ACCEPTED, SENDING, UNCLEAR)


def reusable(
    connection: Connection, owner: Owner, wanted: Wanted, now: datetime, besides: Collection[str] = ()
) -> Reusable | None:
    """
    Return the job that makes or made what is wanted; the latest result, or else the earliest job.

    An intent without a job is another task's: it may become a job until its grace is over. One that runs is only taken
    if it is this key's.

    :param besides: jobs that cannot be used.
    """
    made = [_t.state == COMPLETED, _t.output.is_not(None)]
    if wanted.max_age is not None:
        made.append(_t.ended_at >= now - wanted.max_age)
    runs = and_(_t.state == ACCEPTED, _t.account == wanted.account, _t.accepted_at >= now - STILL_RUNS)
    asked = and_(
        _t.state.in_((SENDING, UNCLEAR)),
        _t.task_key != owner.key,
        _t.account == wanted.account,
        _t.intended_at >= now - ORPHAN_GRACE,
    )
    same = (_t.content == wanted.content, _t.variant == wanted.variant, _t.host == wanted.host)
    columns = (_t.request_id, _t.task_key, _t.state, _t.intended_at, _t.accepted_at, _t.ended_at)
    found = select(*columns).where(*same, or_(and_(*made), runs, asked)).order_by(_t.intended_at)
    rows = sorted(connection.execute(found), key=_rank)
    results = [row for row in rows if row.state == COMPLETED][:MOST_RESULTS]
    rows = [row for row in rows if row.request_id not in besides and (row.state != COMPLETED or row in results)]
    if not rows:
        return None
    row = rows[0]
    return Reusable(
        request_id=row.request_id,
        intended_at=row.intended_at,
        accepted_at=row.accepted_at,
        is_done=row.state == COMPLETED,
        own=row.task_key == owner.key,
    )


def _rank(row: Any) -> tuple[int, float]:
    return _ORDER.index(row.state), -row.ended_at.timestamp() if row.state == COMPLETED else 0.0
