"""
Where the record of a submission is kept, so that the attempts that follow find it.

Airflow's task state (3.3 and later) outlives a retry. From 3.4 on clearing a task discards it, and below 3.3 there is
none. There an Airflow Variable holds the record too, from the intent until the job is delivered, which it is when
Airflow has counted its task as successful. It outlives retries and clears, and where there is none, no earlier attempt
has left a job behind.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_kling.submission.airflow_variable import AirflowVariable
from airflow_provider_kling.submission.record import read_record
from airflow_provider_kling.versions import STATE_OUTLIVES_A_CLEAR, task_state_store
from airflow_provider_kling.xcoms import RECORD_KEY, instance_name

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

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


@dataclass(frozen=True, slots=True)
class RecordStore:
    """
    The record of one task instance's submission.

    The state is written before the variable: whatever dies in between, a retry reads the newer one, and after a
    clear the older one leads to a search in the request history, never to another submit.

    :param state: the task's state, where Airflow has it.
    :param variable: holds the record while the job is undelivered; None where the state outlives a clear.
    """

    state: TaskStateStore | None
    variable: Variable | None

    def load(self) -> Any:
        """Return the record that earlier attempts have left, as JSON; None where there is none."""
        stored = None if self.state is None else self.state.get(RECORD_KEY)
        if stored is not None or self.variable is None:
            return stored
        text = self.variable.get()
        try:
            found = None if text is None else json.loads(text)
        except (ValueError, RecursionError):
            return text  # which is no record, and is told to be none
        return text if found is None else found

    def save(self, record: Record) -> None:
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

    def conclude(self, cost: float | None) -> None:
        """
        Record that nothing more is wanted of the job: a task that is cleared after this begins anew.

        :param cost: what it was billed in US dollars, which Airflow's clear deletes everywhere else; None where it is
            not known.
        """
        if (record := read_record(self.load())) is not None and record.request_id is not None:
            self.save(record.model_copy(update={"closed": True, "cost": cost}))


def record_store(context: Context) -> RecordStore:
    """Return the store of the running task instance."""
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
    return RecordStore(task_state_store(context), variable)
