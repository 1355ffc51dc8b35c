"""What only some Airflow versions can do, and what stands in for it elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from airflow import __version__ as airflow_version

if TYPE_CHECKING:
    from datetime import datetime

    from airflow.providers.common.compat.sdk import Context


_VERSION = tuple(int(part) for part in airflow_version.split(".")[:2])
#: Whether a task can start and end in the triggerer, with its templates rendered and its XComs kept.
RUNS_IN_TRIGGERER = _VERSION >= (3, 3)


class TaskStateStore(Protocol):
    """What Airflow 3.3 offers as ``context["task_state_store"]``: JSON values that outlive an attempt."""

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value, or the default where there is none."""

    def set(self, key: str, value: Any) -> None:
        """Store the value."""

    def delete(self, key: str) -> None:
        """Forget the value."""


def task_state_store(context: Context) -> TaskStateStore | None:
    """Return the task's durable state, or None below Airflow 3.3, where nothing outlives an attempt."""
    store: TaskStateStore | None = context.get("task_state_store")
    return store


def earlier_attempts_began(context: Context) -> datetime | None:
    """
    Return when the first of the attempts before this one began; None where this is the first.

    Clearing a task begins anew. Airflow 3.0 to 3.2 tells a task nothing of its earlier attempts: there it
    is when the DAG run began, which is never too late.
    """
    ti = context["ti"]
    # A clear sets max_tries to the tries used so far plus the task's retries.
    first_try = ti.max_tries - (context["task"].retries or 0) + 1
    if ti.try_number in {1, first_try}:
        return None
    began = None if _VERSION >= (3, 0) else _first_start(ti, first_try)
    return began or context["dag_run"].start_date


def _first_start(ti: Any, first_try: int) -> datetime | None:
    """Ask Airflow 2's database, which a task may read there, for the start of a try."""
    from airflow.models.taskinstancehistory import TaskInstanceHistory as Try
    from airflow.utils.session import create_session
    from sqlalchemy import select

    same_task = [getattr(Try, name) == getattr(ti, name) for name in ("dag_id", "task_id", "run_id", "map_index")]
    began = select(Try.start_date).where(*same_task, Try.try_number >= first_try).order_by(Try.try_number).limit(1)
    with create_session() as session:
        start: datetime | None = session.scalar(began)
    return start
