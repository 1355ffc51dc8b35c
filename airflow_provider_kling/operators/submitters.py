"""The tasks of a DAG that submit, and where each of them tells the others what it did."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import DAG

#: Where the record of a submission stands in the task's state, and as an XCom for sibling tasks.
RECORD_KEY = "kling_submission"


class Submitter:
    """Marks an operator that submits, so that its siblings and sensors find it."""


def submitters(dag: DAG) -> list[str]:
    """Return the tasks of a DAG that submit, mapped ones included."""
    return [
        task_id
        for task_id, task in dag.task_dict.items()
        if issubclass(getattr(task, "operator_class", type(task)), Submitter)
    ]
