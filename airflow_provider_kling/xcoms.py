"""
What tasks tell each other by XComs: under which keys, in what form, and who is asked.

Public, for the author of a DAG: of a submit its return value, ``model`` and ``submitted_at``; of a wait its return
value, ``url``, ``urls``, ``cost`` and ``metrics``. All others are this package's own, and begin with ``kling_``.
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

#: Where the record of a submission stands in the task's state, and as an XCom for sibling tasks.
RECORD_KEY = "kling_submission"
#: The XCom by which a task tells which file is behind a link: ``{link: {"path", "sidecar", "sha256"}}``.
FILES_KEY = "kling_files"
#: The XCom by which the tasks of a run know what a job cost.
BILL_KEY = "kling_bill"
#: The XCom by which a task shows the claims and the bills of all iterations of a loop before its own.
EARLIER_KEY = "kling_earlier_iterations"
#: What only this provider tells, so that an answer is not believed: the saved files of a result, and, where an author
#: has each key of a result pushed, what tasks tell each other, or Airflow.
_OURS = re.compile(r"files|return_value|submitted_at|kling_.*|_link_.*|skipmixin_key", re.DOTALL)
#: Of an answer's names those that are handed on, and how many: where an author has each key of a result pushed, a name
#: becomes a part of a path of Airflow's own API, which takes ``..`` and ``%2f`` for what they are.
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,99}")
MOST_NAMES = 64


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
                self._runs = self._asked()
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

    def _asked(self) -> list[str]:
        runs = other_runs(self._context, self._task_ids)
        if runs is None:
            log.warning(
                "Other runs are not asked what they have submitted: Airflow would read the states of more than %d task "
                "instances for it. `airflow db clean` removes old ones.",
                MOST_INSTANCES,
            )
        return runs or []


def published(ti: Any, task_ids: Sequence[str], key: str) -> list[Any]:
    """Return what tasks of the run show their siblings under a key, each mapped instance for itself."""
    return [value for value in ti.xcom_pull(task_ids=task_ids, key=key) if value] if task_ids else []


def of_result(request_id: str, model: str | None, result: Result) -> dict[str, Any]:
    """
    Return the XComs of a COMPLETED job by their keys.

    ``return_value`` holds the whole result; ``url`` is left out where no file is recognised. ``kling_bill``
    is for tasks that count what the run costs.
    """
    from airflow_provider_kling.budget.costs import Bill

    answer = result.model_dump(mode="json", exclude_none=True)
    plain = [name for name in answer if _PLAIN.fullmatch(name) and not _OURS.fullmatch(name)]
    answer = {name: answer[name] for name in plain[:MOST_NAMES]}
    facts = {
        "url": result.url,
        "urls": list(result.urls),
        "cost": result.metrics.cost,
        "metrics": answer.get("metrics", {}),
    }
    asked = {"request_id": request_id, **({"model": model} if model else {})}  # whatever the answer says of that
    whole = {**asked, **answer, **asked, **facts}
    if result.url is None:
        del facts["url"]
    bill = Bill(request_id=request_id, model=model, cost=result.metrics.cost)
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
    :param known: False where the iteration just before did not submit, so that nothing tells of those before it.
    """

    claims: list[Any] = field(default_factory=list)
    bills: list[Any] = field(default_factory=list)
    known: bool = True

    def show(self, context: Context) -> None:
        """Hand it on to the next iteration, where there may be one."""
        if context.get("loop") is not None and self.known:
            context["ti"].xcom_push(key=EARLIER_KEY, value={"claims": self.claims, "bills": self.bills})


def earlier_iterations(context: Context, submitters: Sequence[str], cost_tellers: Sequence[str]) -> Earlier:
    """Return what the iterations before this one have done; nothing, where the task is in no loop."""
    loop: Any = context.get("loop")
    if loop is None or loop.index == 0:
        return Earlier()
    inside = _in_loop_of(context, submitters)
    shown = _published_before(context, inside, EARLIER_KEY)
    if not shown:
        return Earlier(known=False)
    before = shown[0]  # the tasks of an iteration all saw the same, which was over
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

    Airflow shows no other. ``loop.previous`` reads the return value of the loop's last task in the same way.
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
