"""What a task's earlier jobs have cost, when it wants another one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_kling.budget.costs import cost_of, former_cost, read_bills
from airflow_provider_kling.segmind.errors import SegmindError
from airflow_provider_kling.submission.steps import AskBills, AskCost, Log, Step

if TYPE_CHECKING:
    from collections.abc import Generator

    from airflow_provider_kling.submission.record import Record
    from airflow_provider_kling.submission.submission import Submission


def paid_before(
    submission: Submission, previous: Record | None, *, gone: bool
) -> Generator[Step, Any, tuple[Record | None, float]]:
    """
    Return the record with what its job cost, if known, and what all former jobs cost or may cost.

    :param gone: whether the previous record's intent is known to have led to no job.
    """
    if previous is None or previous.request_id is None or gone:
        return previous, former_cost(previous, {}, gone=gone)
    bills = read_bills((yield AskBills()))
    known = cost_of(previous, bills)
    # A clear deletes the bills. Where they count, and the task did not see the end of its job itself, ask Segmind.
    if known is None and submission.guard is not None and submission.guard.limit is not None:
        try:
            known = yield AskCost(previous.request_id)
        except SegmindError as error:
            yield Log("warning", f"What request {previous.request_id} cost cannot be read: {error}")
    if known is not None:
        previous = previous.model_copy(update={"cost": known})
    return previous, former_cost(previous, bills, gone=gone)
