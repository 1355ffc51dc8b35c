"""
Where the record of a submission is saved if there is a ledger: in the ledger, and in Airflow as without one.

The ledger outlives everything, so it has the intent first: if it is away then, nothing is sent. Airflow has the request
id first: a job that is paid is not lost to a database that has just gone away. The ledger gets it later.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_kling.ledger.configured import deployment, ledger_conn_id
from airflow_provider_kling.segmind.errors import KlingLedgerError, KlingLedgerSettingsError, SegmindInputError
from airflow_provider_kling.segmind.money import dollars
from airflow_provider_kling.segmind.sanitize import one_line
from airflow_provider_kling.submission.record import read_record
from airflow_provider_kling.submission.record_store import airflow_store
from airflow_provider_kling.xcoms import instance_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_kling.budget import KlingBudget
    from airflow_provider_kling.budget.kling_budget import Period
    from airflow_provider_kling.ledger.owner import Wanted
    from airflow_provider_kling.ledger.period_budget import Crossed
    from airflow_provider_kling.ledger.task_ledger import TaskLedger
    from airflow_provider_kling.submission.record import Record
    from airflow_provider_kling.submission.record_store import RecordStore


class KeepsRecord(Protocol):
    """The ledger, as a submission uses it."""

    def load(self) -> Any:
        """Return the record as JSON; None if there is none."""

    def save(
        self, record: Record, periods: Sequence[Period] = (), unusable: frozenset[str] | None = None
    ) -> Sequence[Crossed]:
        """Store the record, if it fits the limits and is still needed; return the limits of which to warn."""

    def delete(self) -> None:
        """Delete the record: nothing was accepted."""


@dataclass(frozen=True, slots=True)
class RecordAndLedger:
    """
    The record of one task instance's submission, in both places.

    :param airflow: see :class:`~airflow_provider_kling.submission.record_store.RecordStore`.
    :param ledger: the same in the ledger.
    :param log: the task's logger.
    :param periods: the limits of a day and a month.
    :param warn: is called with those of which the author wants to know.
    """

    airflow: RecordStore
    ledger: KeepsRecord
    log: Any = None
    periods: Sequence[Period] = ()
    warn: Callable[[Crossed], None] | None = None

    def load(self) -> Any:
        """
        Return the record that earlier attempts have left, as JSON; None if there is none.

        If the ledger is away, what Airflow has is enough: it is never older, but for an intent that was not sent.

        :raises KlingLedgerError: the ledger is away, and Airflow has nothing.
        """
        here = self.airflow.load()
        try:
            there = self.ledger.load()
        except (KlingLedgerError, KlingLedgerSettingsError):
            if here is None:
                raise
            return here
        return newer(here, there)

    def save(self, record: Record, *, before_post: bool = False, unusable: frozenset[str] | None = None) -> None:
        """
        Store the record.

        :param unusable: see :class:`~airflow_provider_kling.submission.steps.SaveRecord`.
        :raises KlingBudgetExceededError: before a POST that could exceed a limit of a day or a month.
        :raises MadeElsewhereError: before a POST that is no longer needed.
        """
        if record.request_id is None or record.found:
            try:
                crossed = self.ledger.save(record, self.periods if before_post else (), unusable)
            except (KlingLedgerError, KlingLedgerSettingsError) as error:
                raise error.followed_by("Nothing was sent.") if before_post else error from None
            self.airflow.save(record)
            if self.warn is not None:
                for limit in crossed:
                    self.warn(limit)
            return
        self.airflow.save(record)
        try:
            self.ledger.save(record)
        except (KlingLedgerError, KlingLedgerSettingsError) as error:
            if self.log is not None:
                self.log.warning("%s Request %s is recorded in Airflow; the ledger follows.", error, record.request_id)

    def delete(self) -> None:
        """Delete the record: nothing was accepted."""
        self.airflow.delete()
        self.ledger.delete()

    def conclude(self, cost: float | None, *, succeeded: bool) -> None:
        """Record that the task is done with the job; see :meth:`RecordStore.conclude`."""
        record = read_record(self.load())
        if record is not None and record.request_id is not None:
            concluded = record.concluded(cost)
            self.airflow.conclude(cost, succeeded=succeeded)
            self.ledger.save(concluded)


def newer(here: Any, there: Any) -> Any:
    """
    Return the newer of the records that Airflow and the ledger hold, as JSON.

    Of one job Airflow's is: it is always written first. One that cannot be read is returned, to be refused.
    """
    if here is None or there is None:
        return there if here is None else here
    try:
        return max((here, there), key=_progress)
    except SegmindInputError:
        return here


def _progress(stored: Any) -> tuple[Any, ...]:
    record = read_record(stored)
    return () if record is None else (record.intended_at, record.request_id is not None)


def record_store(context: Context, wanted: Wanted | None = None, log: Any = None) -> RecordStore | RecordAndLedger:
    """
    Return the store of the running task instance.

    :param wanted: what it wants, if it may submit.
    :raises KlingLedgerSettingsError: the ledger's connection cannot work.
    """
    stored = airflow_store(context)
    ledger = task_ledger(context, wanted)
    if ledger is None:
        return stored
    budget: KlingBudget | None = getattr(context["task"], "budget", None)
    if budget is None:
        return RecordAndLedger(stored, ledger, log)
    return RecordAndLedger(
        stored, ledger, log, budget.periods(datetime.now(tz=UTC)), partial(_warn, context, log, budget)
    )


def _warn(context: Context, log: Any, budget: KlingBudget, crossed: Crossed) -> None:
    """Call the author's notifier; what fails there costs no submit."""
    period = crossed.period
    facts = {
        "what": period.name,
        "project": budget.project or context["ti"].dag_id,
        "limit": period.limit,
        "spent": round(crossed.spent, 6),
    }
    told = (
        f"{dollars(crossed.spent)} of {dollars(period.limit)} ({period.argument}, {period.name}) are spent or in flight"
    )
    log.warning("%s.", told)
    try:
        if budget.notifier is not None:
            budget.notifier({**context, "kling_budget": facts})
    except Exception as exc:  # noqa: BLE001 because it is the author's code
        log.warning("The budget's notifier failed (%s).", one_line(exc))


def task_ledger(context: Context, wanted: Wanted | None = None) -> TaskLedger | None:
    """Return the ledger, as the running task instance uses it; None without a ledger."""
    task: Any = context["task"]
    named = getattr(task, "ledger_conn_id", None)
    if ledger_conn_id(named) is None:
        return None
    from airflow_provider_kling.ledger.configured import ledger_database
    from airflow_provider_kling.ledger.owner import Owner
    from airflow_provider_kling.ledger.task_ledger import TaskLedger

    database = ledger_database(named)
    ti = context["ti"]
    owner = Owner(
        deployment=deployment(),
        dag_id=str(ti.dag_id),
        run_id=str(ti.run_id),
        task=instance_name(context),
        project=str(getattr(getattr(task, "budget", None), "project", None) or ti.dag_id),
    )
    return None if database is None else TaskLedger(database, owner, wanted)
