"""
Where the record of a submission is saved, so that later attempts find it.

Airflow's task state (3.3 and later) outlives a retry. From 3.4 on clearing a task discards it, and below 3.3 there is
none. In both cases an Airflow Variable holds the record too, from the intent until the job is delivered, that is, until
Airflow has marked its task as success. The Variable outlives retries and clears; if there is none, no earlier attempt
has left a job behind. On Airflow 2, which may retry a task after its success, the audit log holds what was delivered.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_kling.submission.airflow_variable import AirflowVariable
from airflow_provider_kling.submission.audit_log import AuditLog
from airflow_provider_kling.submission.record import read_record
from airflow_provider_kling.versions import RETRIES_WHAT_SUCCEEDED, STATE_OUTLIVES_A_CLEAR, task_state_store
from airflow_provider_kling.xcoms import RECORD_KEY, instance_name

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_kling.submission.audit_log import Conclusion
    from airflow_provider_kling.submission.record import Record
    from airflow_provider_kling.versions import TaskStateStore


class Variable(Protocol):
    """A text that outlives the task instance."""

    def get(self) -> str | None:
        """Return the text; None where there is none."""

    def set(self, value: str) -> None:
        """Store the text."""

    def delete(self) -> None:
        """Delete the text, if there is one."""


class Conclusions(Protocol):
    """The jobs that a task instance was done with."""

    def add(self, text: str, *, succeeded: bool) -> None:
        """Add the record of one, as JSON, and whether Airflow has marked its task as success."""

    def last(self) -> Conclusion | None:
        """Return the one of the last attempt before this one that had any; None if none had."""


@dataclass(frozen=True, slots=True)
class RecordStore:
    """
    The record of one task instance's submission.

    The state is written before the variable: if the process dies in between, a retry reads the newer one, and after a
    clear the older one leads to a search in the request history, never to another submit.

    :param state: the task's state, where Airflow has it.
    :param variable: holds the record while the job is undelivered; None if the state outlives a clear.
    :param conclusions: what a Variable no longer holds, if Airflow may retry a task after its success.
    """

    state: TaskStateStore | None
    variable: Variable | None
    conclusions: Conclusions | None = None

    def load(self) -> Any:
        """Return the record that earlier attempts have left, as JSON; None if there is none."""
        stored = None if self.state is None else self.state.get(RECORD_KEY)
        if stored is not None or self.variable is None:
            return stored
        text = self.variable.get()
        if text is not None:
            return _from_json(text)
        last = None if self.conclusions is None else self.conclusions.last()
        if last is None:
            return None
        record = _from_json(last.record)
        return record | {"closed": last.stands} if isinstance(record, dict) else record

    def save(self, record: Record, *, before_post: bool = False, unusable: object = None) -> None:  # noqa: ARG002 it knows neither limits nor other jobs
        """Store the record."""
        value = record.model_dump(mode="json")
        if self.state is not None:
            self.state.set(RECORD_KEY, value)
        if self.variable is None:
            return
        if record.closed:
            self.variable.delete()
        else:
            self.variable.set(json.dumps(value))

    def delete(self) -> None:
        """Delete the record: nothing was accepted."""
        if self.state is not None:
            self.state.delete(RECORD_KEY)
        if self.variable is not None:
            self.variable.delete()

    def conclude(self, cost: float | None, *, succeeded: bool) -> None:
        """
        Record that the task is done with the job: a task that is cleared after this submits a new one.

        :param cost: what it was billed in US dollars, which Airflow's clear deletes everywhere else; None where it is
            not known.
        :param succeeded: whether Airflow has marked the task as success; else its job has FAILED for good.
        """
        if (record := read_record(self.load())) is not None and record.request_id is not None:
            concluded = record.concluded(cost)
            if self.conclusions is not None:
                self.conclusions.add(concluded.model_dump_json(), succeeded=succeeded)
            self.save(concluded)


def _from_json(text: str) -> Any:
    """Return a record that was saved as JSON; any other text is returned as it is, to be refused later."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return text if found is None else found


def airflow_store(context: Context) -> RecordStore:
    """Return the store of the running task instance in Airflow."""
    ti = context["ti"]
    variable = None
    if not STATE_OUTLIVES_A_CLEAR:
        task = instance_name(context)
        digest = hashlib.sha256(json.dumps([ti.dag_id, ti.run_id, task]).encode()).hexdigest()
        variable = AirflowVariable(
            f"{RECORD_KEY}_{digest[:32]}",
            f"The Kling job of task {task} in run {ti.run_id} of DAG {ti.dag_id}, until it is delivered: kept so that "
            "clearing the task does not pay for it again.",
        )
    return RecordStore(task_state_store(context), variable, AuditLog(ti) if RETRIES_WHAT_SUCCEEDED else None)
