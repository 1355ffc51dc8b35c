"""
Where the record of a submission is saved if there is a ledger: in the ledger, and in Airflow as without one.

The ledger outlives everything, so it has the intent first: if it is away then, nothing is sent. Airflow has the request
id first: a job that is paid is not lost to a database that has just gone away. The ledger gets it later.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_kling.segmind.errors import KlingLedgerError, SegmindInputError
from airflow_provider_kling.submission.record import read_record

if TYPE_CHECKING:
    from airflow_provider_kling.submission.record import Record
    from airflow_provider_kling.submission.record_store import RecordStore


class KeepsRecord(Protocol):
    """The ledger, as a submission uses it."""

    def load(self) -> Any:
        """Return the record as JSON; None if there is none."""

    def save(self, record: Record) -> None:
        """Store the record."""

    def delete(self) -> None:
        """Delete the record: nothing was accepted."""


@dataclass(frozen=True, slots=True)
class RecordAndLedger:
    """
    The record of one task instance's submission, in both places.

    :param airflow: see :class:`~airflow_provider_kling.submission.record_store.RecordStore`.
    :param ledger: the same in the ledger.
    :param log: the task's logger.
    """

    airflow: RecordStore
    ledger: KeepsRecord
    log: Any = None

    def load(self) -> Any:
        """Return the record that earlier attempts have left, as JSON; None if there is none."""
        return newer(self.airflow.load(), self.ledger.load())

    def save(self, record: Record) -> None:
        """Store the record."""
        if record.request_id is None or record.found:
            self.ledger.save(record)
            self.airflow.save(record)
            return
        self.airflow.save(record)
        try:
            self.ledger.save(record)
        except KlingLedgerError as error:
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
            concluded = record.model_copy(update={"closed": True, "cost": cost})
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
