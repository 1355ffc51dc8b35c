"""What only some Airflow versions can do, and what stands in for it elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


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
