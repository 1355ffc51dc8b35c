"""The rows of the generations: what a submission's record says of them, and what others may read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, delete, insert, not_, select, update

from airflow_provider_kling.ledger.schema import check
from airflow_provider_kling.ledger.tables import NAME, SHORT, generations
from airflow_provider_kling.segmind.identifiers import canonical_id
from airflow_provider_kling.submission.steps import TakenError

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.engine import Connection

    from airflow_provider_kling.ledger.database import Database
    from airflow_provider_kling.ledger.owner import Owner, Wanted
    from airflow_provider_kling.submission.record import Claim, Record

#: The states of a row: sent or about to be; refused, and no job came of it; accepted; over.
SENDING, UNCLEAR, REFUSED, ACCEPTED, COMPLETED, FAILED, REUSED = STATES = (
    "sending",
    "unclear",
    "refused",
    "accepted",
    "completed",
    "failed",
    "reused",
)
#: Those with a job that is over.
OVER = (COMPLETED, FAILED)

_t = generations.c


@dataclass(frozen=True, slots=True)
class TaskLedger:
    """
    The ledger, as one task instance uses it: the record of its submission, and what others show.

    :param database: where the ledger is.
    :param owner: the task instance.
    :param wanted: what it wants; None where it only looks at what it has.
    """

    database: Database
    owner: Owner
    wanted: Wanted | None = None

    def load(self) -> Any:
        """
        Return the record of the task's last submission, as JSON; None if there is none.

        :raises KlingLedgerError: the database does not answer.
        """
        check(self.database)
        with self.database.reading() as connection:
            row = _last(connection, self.owner)
        return None if row is None or row.record is None else json.loads(row.record)

    def save(self, record: Record) -> None:
        """
        Store the record of the task's submission.

        :raises TakenError: another task has its job.
        :raises KlingLedgerError: the database does not answer.
        """
        check(self.database)
        with self.database.in_turn() as connection:
            store(connection, self.owner, self.wanted, record)

    def delete(self) -> None:
        """Delete the record of a submission of which no job came."""
        check(self.database)
        with self.database.in_turn() as connection:
            connection.execute(delete(generations).where(_is_open(self.owner)))

    def show(self, claim: Claim | None) -> None:
        """Show others something else than the record: a claim, or with None nothing."""
        with self.database.in_turn() as connection:
            row = _last(connection, self.owner)
            if row is None:  # nothing was saved, so that there is nothing to be claimed yet
                return
            shown = "null" if claim is None else claim.record.model_dump_json()
            connection.execute(update(generations).where(_t.id == row.id).values(shown=shown))

    def claims_of_run(self) -> list[dict[str, Any]]:
        """Return what the other tasks of the run hold or may hold."""
        return self._claims(*self._in_run())

    def claims_elsewhere(self, since: datetime) -> list[dict[str, Any]]:
        """
        Return what tasks of other runs and DAGs hold or may hold of the same model.

        :param since: the earliest intent.
        """
        wanted = self.wanted
        if wanted is None:
            return []
        return self._claims(
            not_(and_(*self._in_run())), _t.host == wanted.host, _t.model == wanted.model, _t.intended_at >= since
        )

    def bills_of_run(self) -> list[dict[str, Any]]:
        """Return what the jobs of the run were billed, the task's own included, where that is known."""
        known = select(_t.request_id, _t.model, _t.cost, _t.state).where(
            *self._in_run(), _t.request_id.is_not(None), _t.cost.is_not(None)
        )
        with self.database.reading() as connection:
            rows = connection.execute(known).all()
        return [
            {"request_id": row.request_id, "model": row.model, "cost": row.cost, "failed": row.state == FAILED}
            for row in rows
        ]

    def _in_run(self) -> tuple[Any, ...]:
        owner = self.owner
        return _t.deployment == owner.deployment[:SHORT], _t.dag_id == owner.dag_id, _t.run_id == owner.run_id

    def _claims(self, *which: Any) -> list[dict[str, Any]]:
        columns = (_t.task_key, _t.deployment, _t.dag_id, _t.run_id, _t.task, _t.record, _t.shown, _t.revision)
        found = select(*columns).where(_t.task_key != self.owner.key, *which).order_by(_t.revision)
        with self.database.reading() as connection:
            rows = connection.execute(found).all()
        return [
            {"task": row.task, "run": self._run_of(row), "record": json.loads(row.shown or row.record or "null")}
            for row in {row.task_key: row for row in rows}.values()
        ]

    def _run_of(self, row: Any) -> str:
        """Return a run's name: one of another DAG may have the same."""
        own = (row.deployment, row.dag_id) == (self.owner.deployment[:SHORT], self.owner.dag_id)
        return str(row.run_id) if own else f"{row.deployment}/{row.dag_id}/{row.run_id}"


def store(connection: Connection, owner: Owner, wanted: Wanted | None, record: Record) -> None:
    """
    Store a record within a transaction.

    :raises TakenError: another task has its job.
    """
    rows = connection.execute(select(generations).where(_t.task_key == owner.key).order_by(_t.number)).all()
    jobs = {row.request_id or row.reused_from: row for row in rows if row.request_id or row.reused_from}
    intent = next((row for row in rows if row.request_id is None and row.reused_from is None), None)
    for job in record.former:  # the ledger was away when that one was accepted
        if intent is not None and job not in jobs:
            connection.execute(update(generations).where(_t.id == intent.id).values(request_id=job, state=ACCEPTED))
            intent = None
    wished = None if record.request_id is None else canonical_id(record.request_id)
    target = jobs.get(wished) or intent
    if intent is not None and target is not intent:  # it is given up
        connection.execute(delete(generations).where(_t.id == intent.id))
    values = _values(record, target) | {"revision": 1 + max((row.revision for row in rows), default=0), "shown": None}
    if wished is not None and _is_of_another(connection, owner, wished):
        if wished not in record.ordered:
            raise TakenError(
                f"Request {wished} is another task's job, as the ledger shows; it was not taken again.",
                request_id=wished,
            )
        # Its own row has what it cost.
        values |= {"request_id": None, "reused_from": wished, "state": REUSED, "cost": 0.0}
    if target is not None:
        connection.execute(update(generations).where(_t.id == target.id).values(**values))
        return
    if wanted is None:  # the ledger was not there when it was submitted
        return
    number = 1 + max((row.number for row in rows), default=-1)
    connection.execute(insert(generations).values(**_identity(owner, wanted), number=number, **values))


def _is_of_another(connection: Connection, owner: Owner, job: str) -> bool:
    found = select(_t.id).where(_t.request_id == job, _t.task_key != owner.key)
    return connection.execute(found).first() is not None


def _values(record: Record, target: Any) -> dict[str, Any]:
    values = {
        "model": record.model[:NAME],
        "account": record.account,
        "state": _state(record, target),
        "request_id": None if record.request_id is None else canonical_id(record.request_id),
        "intended_at": record.intended_at,
        "accepted_at": record.accepted_at,
        "high": record.high,
        "used": record.closed,
        "record": record.model_dump_json(),
    }
    return values if record.cost is None else values | {"cost": record.cost}


def _identity(owner: Owner, wanted: Wanted) -> dict[str, Any]:
    return {
        "task_key": owner.key,
        "deployment": owner.deployment[:SHORT],
        "dag_id": owner.dag_id[:NAME],
        "run_id": owner.run_id[:NAME],
        "task": owner.task[:NAME],
        "project": owner.project[:NAME],
        "host": wanted.host[:NAME],
        "content": wanted.content,
        "variant": wanted.variant,
        "payload": wanted.payload,
    }


def _state(record: Record, target: Any) -> str:
    """Return the state that a record tells; the end of a job is told by whoever waits for it."""
    if record.request_id is None:
        return REFUSED if record.has_no_job else UNCLEAR if record.unclear else SENDING
    return str(target.state) if target is not None and target.state in OVER else ACCEPTED


def _last(connection: Connection, owner: Owner) -> Any:
    saved = select(generations).where(_t.task_key == owner.key).order_by(_t.revision.desc()).limit(1)
    return connection.execute(saved).first()


def _is_open(owner: Owner) -> Any:
    """Whether a row is the task's open intent."""
    return and_(_t.task_key == owner.key, _t.request_id.is_(None), _t.reused_from.is_(None))
