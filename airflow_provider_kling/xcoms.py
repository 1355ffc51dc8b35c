"""
The XComs by which tasks share what they know: their keys, their form, and which tasks are read.

Public, for the author of a DAG: a submit's return value, ``model`` and ``submitted_at``; a wait's return value,
``url``, ``urls``, ``cost`` and ``metrics``. All others are this package's own, and begin with ``kling_``.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.segmind.sanitize import one_line
from airflow_provider_kling.versions import MOST_INSTANCES, other_runs, xcoms_of_run

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow.providers.common.compat.sdk import DAG, Context

    from airflow_provider_kling.segmind.errors import KlingGenerationFailedError
    from airflow_provider_kling.segmind.schemas import Result

log = logging.getLogger(__name__)

#: Those of a result.
RESULT_KEYS = ("return_value", "url", "urls", "cost", "metrics")
#: The key of a submission's record in the task's state, and of its XCom for sibling tasks.
RECORD_KEY = "kling_submission"
#: The XCom that shows which file is behind a link: ``{link: {"path", "sidecar", "sha256"}}``; ``dead`` is true where
#: the link was, so that the file was copied from where it was saved before.
FILES_KEY = "kling_files"
#: The XCom that shows the tasks of a run what a job cost.
BILL_KEY = "kling_bill"
#: The XCom with the claims and the bills of all loop iterations before the task's own.
EARLIER_KEY = "kling_earlier_iterations"
#: Names that only this provider or Airflow may set, and that are removed from an answer: the saved files of a result,
#: and keys that tasks or Airflow read, in case an author has each key of a result pushed.
_OURS = re.compile(r"files|reused_from|return_value|submitted_at|kling_.*|_link_.*|skipmixin_key", re.DOTALL)
#: Which names of an answer are passed on, and how many at most: where an author has each key of a result pushed, a name
#: becomes part of a path of Airflow's own API, which interprets ``..`` and ``%2f``.
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,99}")
MOST_NAMES = 64


class Traceable:
    """Marks an operator with a result or a ``FILES_KEY`` that shows later tasks what is behind a link."""


class Uploader(Traceable):
    """Marks an operator that uploads files."""


class Submitter(Uploader):
    """Marks an operator that submits, and uploads the files of its payload."""


class TellsCost:
    """Marks an operator that publishes what a job cost, for submitting tasks and for the run's total."""


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
    """Return the tasks of a DAG with operators of a kind, mapped ones included."""
    return [
        task_id
        for task_id, task in dag.task_dict.items()
        if issubclass(getattr(task, "operator_class", type(task)), kind)
    ]


class OtherRuns:
    """
    What tasks have published in the DAG's other runs, in those that may overlap this one in time.

    The list of these runs is read once: for it, Airflow 3 reads the states of everything the DAG has ever run.

    :param task_ids: the tasks to read.
    """

    def __init__(self, context: Context, task_ids: Sequence[str]) -> None:
        self._context = context
        self._task_ids = task_ids
        self._runs: list[str] | None = None

    def claims(self, *, leave_out: bool) -> list[Any]:
        """
        Return what the tasks have published.

        :param leave_out: whether what cannot be read is left out, with a warning.
        :raises Exception: it cannot be read; an XCom backend may raise anything, also for an old run.
        """
        try:
            if self._runs is None:
                self._runs = self._asked()
        except Exception as exc:
            if not leave_out:
                raise
            log.warning("What other runs have submitted cannot be read (%s), so they are left out.", one_line(exc))
            return []
        found: list[Any] = []
        for run_id in self._runs:
            try:
                found += xcoms_of_run(self._context, run_id, self._task_ids, RECORD_KEY)
            except Exception as exc:
                if not leave_out:
                    raise
                log.warning("What run %s has submitted cannot be read (%s), so it is left out.", run_id, one_line(exc))
        return [claim for claim in found if claim]

    def _asked(self) -> list[str]:
        runs = other_runs(self._context, self._task_ids)
        if runs is None:
            log.warning(
                "Other runs are not searched for submissions: Airflow would have to read the states of more than %d "
                "task instances. `airflow db clean` removes old ones.",
                MOST_INSTANCES,
            )
        return runs or []


def published(ti: Any, task_ids: Sequence[str], key: str) -> list[Any]:
    """Return what tasks of the run have published under a key, one value for each mapped instance."""
    return [value for value in ti.xcom_pull(task_ids=task_ids, key=key) if value] if task_ids else []


def of_result(request_id: str, model: str | None, result: Result, *, reused: bool = False) -> dict[str, Any]:
    """
    Return the XComs of a COMPLETED job by their keys.

    ``return_value`` holds the whole result; ``url`` is left out if no file is recognised. ``kling_bill`` is for tasks
    that count what the run costs.

    :param reused: whether the job was sent for the same before: it costs nothing now.
    """
    from airflow_provider_kling.budget.costs import Bill

    answer = result.model_dump(mode="json", exclude_none=True)
    plain = [name for name in answer if _PLAIN.fullmatch(name) and not _OURS.fullmatch(name)]
    answer = {name: answer[name] for name in plain[:MOST_NAMES]}
    facts = {
        "url": result.url,
        "urls": list(result.urls),
        "cost": 0.0 if reused else result.metrics.cost,
        "metrics": answer.get("metrics", {}),
    }
    asked = {"request_id": request_id, **({"model": model} if model else {})}  # whatever the answer says of that
    whole = {**asked, **answer, **asked, **facts, **({"reused_from": request_id} if reused else {})}
    if result.url is None:
        del facts["url"]
    bill = Bill(request_id=request_id, model=model, cost=facts["cost"])
    return {"return_value": whole, **facts, BILL_KEY: bill.model_dump(mode="json")}


def bill_of_failure(error: KlingGenerationFailedError, model: str | None) -> dict[str, Any]:
    """Return the bill of a FAILED job, which Segmind does not charge unless it says so."""
    from airflow_provider_kling.budget.costs import Bill

    cost = (error.metrics or {}).get("cost") or 0.0
    return Bill(request_id=error.request_id or "", model=model, cost=cost, failed=True).model_dump(mode="json")


@dataclass(frozen=True, slots=True)
class Earlier:
    """
    What tasks of earlier iterations have published, as JSON.

    :param claims: what they have submitted.
    :param bills: what it cost.
    :param known: False if the previous iteration did not submit, so that those before it are unknown.
    """

    claims: list[Any] = field(default_factory=list)
    bills: list[Any] = field(default_factory=list)
    known: bool = True

    def show(self, context: Context) -> None:
        """Publish it for the next iteration, where there may be one."""
        if context.get("loop") is not None and self.known:
            context["ti"].xcom_push(key=EARLIER_KEY, value={"claims": self.claims, "bills": self.bills})


def earlier_iterations(context: Context, submitters: Sequence[str], cost_tellers: Sequence[str]) -> Earlier:
    """Return what the iterations before this one have done; nothing if the task is not in a loop."""
    loop: Any = context.get("loop")
    if loop is None or loop.index == 0:
        return Earlier()
    inside = _in_loop_of(context, submitters)
    shown = _published_before(context, inside, EARLIER_KEY)
    if not shown:
        return Earlier(known=False)
    before = shown[0]  # all tasks of an iteration show the same: what came before it
    return Earlier(
        [*before["claims"], *_published_before(context, inside, RECORD_KEY)],
        [*before["bills"], *_published_before(context, _in_loop_of(context, cost_tellers), BILL_KEY)],
    )


def _in_loop_of(context: Context, task_ids: Iterable[str]) -> list[str]:
    """Return those of the tasks that are in the same Task Loop (Airflow 3.4) as the running one."""
    dag = context["dag"]
    loop = _enclosing_loop(context["task"])
    return [] if loop is None else [name for name in task_ids if _enclosing_loop(dag.get_task(name)) == loop]


def _published_before(context: Context, task_ids: Iterable[str], key: str) -> list[Any]:
    """
    Return what tasks of the running task's loop published in the iteration before this one.

    Airflow shows no other iteration. ``loop.previous`` reads the return value of the loop's last task in the same way.
    """
    from airflow.sdk.definitions.xcom_arg import PlainXComArg
    from airflow.sdk.execution_time.lazy_sequence import LazyXComSequence

    sequence: Any = LazyXComSequence  # its argument previous_iteration is new in 3.4
    found: list[Any] = []
    for task_id in task_ids:
        xcom = PlainXComArg(context["dag"].get_task(task_id), key)
        found += sequence(xcom_arg=xcom, ti=context["ti"], previous_iteration=True)[:]
    return [value for value in found if value]


def _enclosing_loop(task: Any) -> str | None:
    """Return the id of the loop that a task is in."""
    group = task.task_group
    while group is not None and not hasattr(group, "max_iterations"):
        group = group.parent_group
    return None if group is None else str(group.group_id)
