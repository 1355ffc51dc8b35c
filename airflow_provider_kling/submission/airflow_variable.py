"""An Airflow Variable as a place for a record: it outlives the task instance, its retries and its clears."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from airflow_provider_kling.versions import AIRFLOW_3


@dataclass(frozen=True, slots=True)
class AirflowVariable:
    """
    One of Airflow's Variables, read and written without secrets backends and caches.

    Airflow's own interface for tasks reads an error as "there is none", and hides the error of a write.
    """

    key: str
    description: str

    def get(self) -> str | None:
        """Return its value; None where there is none."""
        if not AIRFLOW_3:
            return self._in_database("get")
        from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
        from airflow.sdk.execution_time.comms import GetVariable

        try:
            value: str | None = _ask_supervisor(GetVariable(key=self.key)).value
        except AirflowRuntimeError as error:
            if error.error.error is not ErrorType.VARIABLE_NOT_FOUND:
                raise
            return None
        return value

    def set(self, value: str) -> None:
        """Store its value."""
        if not AIRFLOW_3:
            self._in_database("set", value)
            return
        from airflow.sdk.execution_time.comms import PutVariable

        _ask_supervisor(PutVariable(key=self.key, value=value, description=self.description))

    def delete(self) -> None:
        """Delete it, if there is one."""
        if not AIRFLOW_3:
            self._in_database("delete")
            return
        from airflow.sdk.execution_time.comms import DeleteVariable

        _ask_supervisor(DeleteVariable(key=self.key))

    def _in_database(self, action: Literal["get", "set", "delete"], value: str = "") -> str | None:
        """Do it in Airflow 2's database, which a task may use there."""
        from airflow.models.variable import Variable
        from airflow.utils.session import create_session
        from sqlalchemy import select

        with create_session() as session:
            match action:
                case "get":
                    found = session.scalar(select(Variable).where(Variable.key == self.key))
                    return None if found is None else str(found.val)
                case "set":
                    Variable.set(self.key, value, description=self.description, session=session)
                case "delete":
                    Variable.delete(self.key, session=session)
        return None


def _ask_supervisor(message: Any) -> Any:
    """Send a request of Airflow 3's to its API server, through the task's supervisor."""
    from airflow.sdk.exceptions import AirflowRuntimeError
    from airflow.sdk.execution_time.comms import ErrorResponse
    from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

    answer = SUPERVISOR_COMMS.send(message)
    if isinstance(answer, ErrorResponse):
        raise AirflowRuntimeError(answer)
    return answer
