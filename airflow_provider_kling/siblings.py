"""How the tasks of a run find each other: by what their operators do, and by where each tells what it did."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.segmind.refusals import one_line
from airflow_provider_kling.versions import other_runs, xcoms_of_run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.providers.common.compat.sdk import DAG, Context

log = logging.getLogger(__name__)

#: Where the record of a submission stands in the task's state, and as an XCom for sibling tasks.
RECORD_KEY = "kling_submission"
#: The XCom by which a task tells which file is behind a link: ``{link: {"path", "sidecar", "sha256"}}``.
FILES_KEY = "kling_files"


class Traceable:
    """Marks an operator whose result, or whose ``FILES_KEY``, tells later tasks what is behind a link."""


class Uploader(Traceable):
    """Marks an operator that uploads files."""


class Submitter(Uploader):
    """Marks an operator that submits, and uploads the files of its payload."""


class TellsCost:
    """Marks an operator that tells what a job cost, so that submitting tasks and the run's sum find it."""


def batch_name(context: Context) -> str:
    """Return the name of the task instances that are started together, such as ``submit`` or ``submit (loop 2)``."""
    loop: Any = context.get("loop")  # from Airflow 3.4 on
    task_id = str(context["ti"].task_id)
    return task_id if loop is None else f"{task_id} (loop {loop.index})"


def instance_name(context: Context) -> str:
    """Return the task instance's name within its run, such as ``submit``, ``submit[3]`` or ``submit (loop 2)[3]``."""
    map_index = context["ti"].map_index
    return batch_name(context) + ("" if map_index in {None, -1} else f"[{map_index}]")


def siblings(dag: DAG, kind: type) -> list[str]:
    """Return the tasks of a DAG whose operators are of a kind, mapped ones included."""
    return [
        task_id
        for task_id, task in dag.task_dict.items()
        if issubclass(getattr(task, "operator_class", type(task)), kind)
    ]


class OtherRuns:
    """
    What tasks show in the DAG's other runs, in those that may still be of the same time.

    Which runs these are is asked once: Airflow 3 reads the states of all that the DAG has ever run for it.

    :param task_ids: the tasks that are asked about.
    """

    def __init__(self, context: Context, task_ids: Sequence[str]) -> None:
        self._context = context
        self._task_ids = task_ids
        self._runs: list[str] | None = None

    def claims(self, *, leave_out: bool) -> list[Any]:
        """
        Return what they show.

        :param leave_out: whether what cannot be read is left out, with a warning.
        :raises Exception: it cannot be read; an XCom backend may raise anything, for a run long gone too.
        """
        try:
            if self._runs is None:
                self._runs = other_runs(self._context, self._task_ids)
        except Exception as exc:
            if not leave_out:
                raise
            log.warning("What other runs have submitted cannot be asked (%s), so they are left out.", one_line(exc))
            return []
        found: list[Any] = []
        for run_id in self._runs:
            try:
                found += xcoms_of_run(self._context, run_id, self._task_ids, RECORD_KEY)
            except Exception as exc:
                if not leave_out:
                    raise
                log.warning("What the run %s has submitted is unread (%s), so it is left out.", run_id, one_line(exc))
        return [claim for claim in found if claim]


def published(ti: Any, task_ids: Sequence[str], key: str) -> list[Any]:
    """Return what tasks of the run show their siblings under a key, each mapped instance for itself."""
    return [value for value in ti.xcom_pull(task_ids=task_ids, key=key) if value] if task_ids else []
