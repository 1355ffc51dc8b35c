"""The rows of the generations: what a submission's record says of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, delete, insert, select, update

from airflow_provider_kling.ledger.tables import NAME, SHORT, generations
from airflow_provider_kling.segmind.identifiers import canonical_id
from airflow_provider_kling.submission.steps import TakenError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy.engine import Connection

    from airflow_provider_kling.ledger.owner import Owner, Wanted
    from airflow_provider_kling.submission.record import Record

#: The states of a row: sent or about to be; refused, and no job came of it; accepted; over; used again; unclear, and
#: something else is wanted by now; accepted, and Segmind does not know it.
SENDING, UNCLEAR, REFUSED, ACCEPTED, COMPLETED, FAILED, REUSED, ABANDONED, LOST = STATES = (
    "sending",
    "unclear",
    "refused",
    "accepted",
    "completed",
    "failed",
    "reused",
    "abandoned",
    "lost",
)
#: Those of a job that is not waited for any more.
OVER = (COMPLETED, FAILED, LOST)
#: The content of a job that a user has handed over: it is not known what it makes.
ADOPTED = "adopted"

_t = generations.c


def store(connection: Connection, owner: Owner, wanted: Wanted | None, record: Record, rows: Sequence[Any]) -> None:
    """
    Store a record within a transaction.

    :param rows: the task's, as they were when it began.
    :raises TakenError: another task has its job.
    """
    jobs = {row.request_id or row.reused_from: row for row in rows if row.request_id or row.reused_from}
    intent = own_intent(connection, record, rows)
    for job in record.former:  # the ledger was away when that one was accepted
        if intent is not None and job not in jobs and not _is_of_another(connection, owner, job):
            # It is not known what it makes.
            became = {"request_id": job, "state": ACCEPTED, "content": ADOPTED}
            connection.execute(update(generations).where(_t.id == intent.id).values(**became))
            intent = None
    wished = None if record.request_id is None else canonical_id(record.request_id)
    target = jobs.get(wished) or intent
    if intent is not None and target is not intent:  # it is given up
        connection.execute(delete(generations).where(_t.id == intent.id))
    values = _values(record, target) | {"revision": 1 + max((row.revision for row in rows), default=0), "shown": None}
    if wished is not None and wished in record.ordered and not record.reused:
        values["content"] = ADOPTED
    if wished is not None and _is_of_another(connection, owner, wished):
        if wished not in record.ordered:
            raise TakenError(
                f"Request {wished} is another task's job, as the ledger shows; it was not taken again.",
                request_id=wished,
            )
        # Its own row has what it cost.
        values |= {"request_id": None, "reused_from": wished, "state": REUSED, "cost": 0.0}
    if target is not None:
        if target is jobs.get(wished):  # a job belongs to the time at which it was sent
            values = {name: value for name, value in values.items() if name not in {"intended_at", "accepted_at"}}
        connection.execute(update(generations).where(_t.id == target.id).values(**values))
        return
    if wanted is None:  # the ledger was not there when it was submitted
        return
    number = 1 + max((row.number for row in rows), default=-1)
    connection.execute(insert(generations).values(**{"used": False} | _identity(owner, wanted) | values, number=number))


def rows_of(connection: Connection, owner: Owner) -> Sequence[Any]:
    """Return the rows of a task, in the order of its jobs."""
    return connection.execute(select(generations).where(_t.task_key == owner.key).order_by(_t.number)).all()


def own_intent(connection: Connection, record: Record, rows: Iterable[Any]) -> Any:
    """
    Return the row of the intent that a record is about; None if there is none yet.

    An intent in whose place something else is wanted by now is given up, but counts, as a job may have come of it. To
    ask again changes nothing more.

    :param rows: the task's, as they were when the transaction began.
    """
    rows = [row for row in rows if row.request_id is None and row.reused_from is None]
    current = next((row for row in rows if row.state != ABANDONED), None)
    # One that was given up is only its own record's: a new submit of the same has a row of its own, so that both count.
    given_up = next((row for row in rows if row.state == ABANDONED and row.intended_at == record.intended_at), None)
    if current is None or _fingerprint(current) == record.fingerprint:
        return current or given_up
    if record.intended_at < current.intended_at or current.state == REFUSED:  # nothing came of the later one
        connection.execute(delete(generations).where(_t.id == current.id))
    else:
        connection.execute(update(generations).where(_t.id == current.id).values(state=ABANDONED))
    return given_up


def _fingerprint(row: Any) -> Any:
    return json.loads(row.record or "{}").get("fingerprint")


def _is_of_another(connection: Connection, owner: Owner, job: str) -> bool:
    found = select(_t.id).where(_t.request_id == job, _t.task_key != owner.key)
    return connection.execute(found).first() is not None


def _values(record: Record, target: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "model": record.model[:NAME],
        "account": record.account,
        "state": _state(record, target),
        "request_id": None if record.request_id is None else canonical_id(record.request_id),
        "intended_at": record.intended_at,
        "accepted_at": record.accepted_at,
        "high": record.high,
        "record": record.model_dump_json(),
    }
    if record.cost is not None:
        values["cost"] = record.cost
        if record.closed:  # its task has waited for its end; of any other that is noted by whoever does
            values["used"] = True
    return values


def _identity(owner: Owner, wanted: Wanted) -> dict[str, Any]:
    return {
        "task_key": owner.key,
        "deployment": owner.deployment[:SHORT],
        "dag_id": owner.dag_id[:NAME],
        "run_id": owner.run_id[:NAME],
        "task": owner.task[: NAME + 50],
        "project": owner.project[:NAME],
        "host": wanted.host[:NAME],
        "content": wanted.content,
        "variant": wanted.variant,
        "low": wanted.low,
        "payload": wanted.payload,
    }


def _state(record: Record, target: Any) -> str:
    """Return the state that a record tells; the end of a job is told by whoever waits for it."""
    if record.request_id is None:
        return REFUSED if record.has_no_job else UNCLEAR if record.unclear else SENDING
    return str(target.state) if target is not None and target.state in OVER else ACCEPTED


def last(connection: Connection, owner: Owner) -> Any:
    """Return the row of the task that was saved last; None if it has none."""
    saved = select(generations).where(_t.task_key == owner.key).order_by(_t.revision.desc()).limit(1)
    return connection.execute(saved).first()


def is_open(owner: Owner) -> Any:
    """Whether a row is the task's open intent."""
    return and_(_t.task_key == owner.key, _t.request_id.is_(None), _t.reused_from.is_(None), _t.state != ABANDONED)


def in_run(owner: Owner) -> tuple[Any, ...]:
    """Return the conditions for the rows of a task's run."""
    return _t.deployment == owner.deployment[:SHORT], _t.dag_id == owner.dag_id, _t.run_id == owner.run_id
