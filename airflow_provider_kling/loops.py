"""
What the iterations of a Task Loop (Airflow 3.4) know of each other.

An iteration sees the XComs of the one just before it, and of no other. So each task that submits shows what all
iterations before its own have done, and the next iteration adds what that one did.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.delivery import BILL_KEY
from airflow_provider_kling.versions import in_loop_of, xcoms_of_previous_iteration
from airflow_provider_kling.xcoms import RECORD_KEY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.providers.common.compat.sdk import Context

#: The XCom by which a task shows the claims and the bills of all iterations before its own.
EARLIER_KEY = "kling_earlier_iterations"


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
    inside = in_loop_of(context, submitters)
    shown = xcoms_of_previous_iteration(context, inside, EARLIER_KEY)
    if not shown:
        return Earlier(known=False)
    before = shown[0]  # the tasks of an iteration all saw the same, which was over
    return Earlier(
        [*before["claims"], *xcoms_of_previous_iteration(context, inside, RECORD_KEY)],
        [*before["bills"], *xcoms_of_previous_iteration(context, in_loop_of(context, cost_tellers), BILL_KEY)],
    )
