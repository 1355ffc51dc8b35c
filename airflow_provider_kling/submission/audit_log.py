"""
The last job that a task was done with, as recorded in Airflow 2's audit log.

Airflow 2 may fail or retry a task that has succeeded: it handles the report of a killed attempt when it next reads the
DAG file, whatever the task's state is by then (seen on 2.11.2). Such a task has to take its job again; a task that a
user has cleared after its success has to submit another one. The history of its attempts shows which case it is.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NamedTuple

#: The name of the log's entries, one for each job.
EVENT = "kling_concluded"


class Conclusion(NamedTuple):
    """
    A job that its task was done with.

    :param record: as JSON.
    :param stands: whether that is still so; it is not if Airflow retries a success that no user has cleared.
    """

    record: str
    stands: bool


@dataclass(frozen=True, slots=True)
class AuditLog:
    """
    The entries of one task instance.

    :param ti: Airflow 2's running task instance.
    """

    ti: Any

    def add(self, text: str, *, succeeded: bool) -> None:
        """Write an entry with the record of a job, as JSON, and whether Airflow has marked its task as success."""
        from airflow.models.log import Log
        from airflow.utils.session import create_session

        with create_session() as session:
            extra = json.dumps({"dag_run": self._dag_run(session), "succeeded": succeeded, "record": text})
            session.add(Log(event=EVENT, task_instance=self.ti.key, extra=extra))

    def last(self) -> Conclusion | None:
        """Return the newest entry of earlier attempts; None where there is none."""
        from airflow.models.log import Log
        from airflow.models.taskinstancehistory import TaskInstanceHistory
        from airflow.utils.session import create_session
        from airflow.utils.state import TaskInstanceState
        from sqlalchemy import select

        def same(model: Any) -> tuple[Any, ...]:
            ti = self.ti
            own = {"dag_id": ti.dag_id, "run_id": ti.run_id, "task_id": ti.task_id, "map_index": ti.map_index}
            return tuple(getattr(model, name) == value for name, value in own.items())

        with create_session() as session:
            newest = session.execute(
                select(Log.extra, Log.try_number)
                .where(*same(Log), Log.event == EVENT, Log.try_number < self.ti.try_number)
                .order_by(Log.id.desc())
                .limit(1)
            ).first()
            if newest is None:
                return None
            entry = json.loads(newest.extra)
            if entry["dag_run"] != self._dag_run(session):  # a run of the same name, deleted since
                return None
            cleared_success = session.scalar(
                select(TaskInstanceHistory.try_number)
                .where(
                    *same(TaskInstanceHistory),
                    TaskInstanceHistory.try_number >= newest.try_number,
                    TaskInstanceHistory.state == TaskInstanceState.SUCCESS,
                )
                .limit(1)
            )
        return Conclusion(entry["record"], stands=cleared_success is not None or not entry["succeeded"])

    def _dag_run(self, session: Any) -> int:
        """Return the run's number, which differs from that of another run of the same name."""
        from airflow.models.dagrun import DagRun
        from sqlalchemy import select

        found: int = session.scalar(
            select(DagRun.id).where(DagRun.dag_id == self.ti.dag_id, DagRun.run_id == self.ti.run_id)
        )
        return found
