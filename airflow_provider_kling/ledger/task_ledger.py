"""The ledger, as one task uses it: its own record, and what others hold."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, delete, not_, select, update

from airflow_provider_kling.ledger import period_budget
from airflow_provider_kling.ledger.generations import FAILED, in_run, is_open, last, own_intent, rows_of, store
from airflow_provider_kling.ledger.reusable import reusable
from airflow_provider_kling.ledger.schema import check
from airflow_provider_kling.ledger.tables import SHORT, generations
from airflow_provider_kling.submission.steps import MadeElsewhereError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlalchemy.engine import Connection

    from airflow_provider_kling.budget.kling_budget import Period
    from airflow_provider_kling.ledger.database import Database
    from airflow_provider_kling.ledger.owner import Owner, Wanted
    from airflow_provider_kling.ledger.period_budget import Crossed
    from airflow_provider_kling.submission.record import Claim, Record
    from airflow_provider_kling.submission.steps import Reusable

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
            row = last(connection, self.owner)
        return None if row is None or row.record is None else json.loads(row.record)

    def save(
        self, record: Record, periods: Sequence[Period] = (), unusable: frozenset[str] | None = None
    ) -> list[Crossed]:
        """
        Store the record of the task's submission.

        :param periods: the limits that an intent has to fit.
        :param unusable: see :class:`~airflow_provider_kling.submission.steps.SaveRecord`.
        :return: those of which to warn.
        :raises TakenError: another task has its job.
        :raises MadeElsewhereError: there is a job for the same.
        :raises KlingBudgetExceededError: it is an intent that could exceed a limit.
        :raises KlingLedgerError: the database does not answer.
        """
        check(self.database)
        with self.database.in_turn() as connection:
            if unusable is not None and self._reusable(connection, unusable) is not None:
                raise MadeElsewhereError("Another task has just sent the same.")
            rows = rows_of(connection, self.owner)
            if periods:  # what it gives up counts against the limits
                own_intent(connection, record, rows)
            crossed = period_budget.check(connection, self.owner, record, periods)
            store(connection, self.owner, self.wanted, record, rows)
        return crossed

    def reusable(self, besides: Collection[str] = ()) -> Reusable | None:
        """
        Return the job that makes, or made, what the task wants; None if there is none besides these.

        :raises KlingLedgerError: the database does not answer.
        """
        check(self.database)
        with self.database.reading() as connection:
            return self._reusable(connection, besides)

    def _reusable(self, connection: Connection, besides: Collection[str]) -> Reusable | None:
        wanted = self.wanted
        return None if wanted is None else reusable(connection, self.owner, wanted, datetime.now(tz=UTC), besides)

    def delete(self) -> None:
        """Delete the record of a submission of which no job came."""
        check(self.database)
        with self.database.in_turn() as connection:
            connection.execute(delete(generations).where(is_open(self.owner)))

    def show(self, claim: Claim | None) -> None:
        """Show others something else than the record: a claim, or with None nothing."""
        with self.database.in_turn() as connection:
            row = last(connection, self.owner)
            if row is None:  # nothing was saved, so that there is nothing to be claimed yet
                return
            shown = "null" if claim is None else claim.record.model_dump_json()
            connection.execute(update(generations).where(_t.id == row.id).values(shown=shown))

    def claims_of_run(self) -> list[dict[str, Any]]:
        """Return what the other tasks of the run hold or may hold."""
        return self._claims(*in_run(self.owner))

    def claims_elsewhere(self, since: datetime) -> list[dict[str, Any]]:
        """
        Return what tasks of other runs and DAGs hold or may hold of the same model.

        :param since: the earliest intent.
        """
        wanted = self.wanted
        if wanted is None:
            return []
        return self._claims(
            not_(and_(*in_run(self.owner))), _t.host == wanted.host, _t.model == wanted.model, _t.intended_at >= since
        )

    def bills_of_run(self) -> list[dict[str, Any]]:
        """Return what the jobs of the run were billed, the task's own included, where that is known."""
        known = select(_t.request_id, _t.model, _t.cost, _t.state).where(
            *in_run(self.owner), _t.request_id.is_not(None), _t.cost.is_not(None)
        )
        with self.database.reading() as connection:
            rows = connection.execute(known).all()
        return [
            {"request_id": row.request_id, "model": row.model, "cost": row.cost, "failed": row.state == FAILED}
            for row in rows
        ]

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
