"""The operator that adds up what a run cost."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_kling.get_provider_info import DEFAULT_CONN_ID
from airflow_provider_kling.operators.rendering import RendersAuthorsTemplates
from airflow_provider_kling.segmind.errors import SegmindError, SegmindRequestNotFoundError
from airflow_provider_kling.segmind.sanitize import one_paragraph
from airflow_provider_kling.xcoms import BILL_KEY, RECORD_KEY, Submitter, TellsCost, published, siblings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_kling.budget.costs import Bill
    from airflow_provider_kling.hooks.segmind import SegmindHook

__all__ = ["KlingRunCostOperator"]


class KlingRunCostOperator(RendersAuthorsTemplates, BaseOperator):
    """
    Log what the Kling jobs of the run cost, and return the numbers; put it after the last tasks.

    It runs whether they failed or not, as a teardown, which does not affect the state of the run. Jobs that no sensor
    saw end are searched for in Segmind's request history; that costs nothing.

    The return value has ``total`` (US dollars), ``jobs``, ``failed``, ``by_model`` (``jobs`` and ``cost`` of
    each), ``by_request`` (the cost of each job) and ``unknown`` (the jobs whose cost is not known yet, such as
    those that still run); where a task has a :class:`KlingBudget`, also ``limit`` and ``left``.

    :param segmind_conn_id: the connection that submitted. (templated)
    :param trigger_rule: another rule makes it a task like any other; with ``all_done`` and nothing after it, a run with
        failed tasks ends as a success.
    """

    template_fields: Sequence[str] = ("segmind_conn_id",)
    ui_color = "#fdeec4"

    def __init__(
        self, *, segmind_conn_id: str = DEFAULT_CONN_ID, trigger_rule: str | None = None, **kwargs: Any
    ) -> None:
        if trigger_rule is not None:
            kwargs["trigger_rule"] = trigger_rule
        super().__init__(**kwargs)
        self.segmind_conn_id = segmind_conn_id
        if trigger_rule is None:
            self.as_teardown()

    @cached_property
    def hook(self) -> SegmindHook:
        """The hook that reads the request history."""
        from airflow_provider_kling.hooks.segmind import SegmindHook

        return SegmindHook(self.segmind_conn_id)

    def execute(self, context: Context) -> dict[str, Any]:
        """Add up the costs, log them and return them."""
        from airflow_provider_kling.budget.cost_report import jobs_of, run_cost
        from airflow_provider_kling.budget.costs import Bill, read_bills
        from airflow_provider_kling.budget.task_limits import budgets
        from airflow_provider_kling.submission.record import read_claims

        ti = context["ti"]
        claims = read_claims(published(ti, siblings(self.dag, Submitter), RECORD_KEY))
        bills = read_bills(published(ti, siblings(self.dag, TellsCost), BILL_KEY))
        silent = False
        for request_id, model in jobs_of(claims).items():
            if request_id not in bills or bills[request_id].cost is None:
                bill = None if silent else self._look_up(request_id, model)
                silent = silent or bill is None
                bills[request_id] = bill or Bill(request_id=request_id, model=model)
        limits = [budget.max_cost_per_dag_run for budget in budgets(self.dag) if budget.max_cost_per_dag_run]
        reckoning = run_cost(claims, bills, limit=limits[0] if limits else None)
        for line in reckoning.lines():
            self.log.info("%s", one_paragraph(line))
        return reckoning.to_dict()

    def _look_up(self, request_id: str, model: str) -> Bill | None:
        """Return the bill of a job that no task has reported, if Segmind knows it; None if it does not answer."""
        from airflow_provider_kling.budget.costs import Bill, bill_of

        try:
            return bill_of(request_id, model, self.hook.find_request(request_id))
        except SegmindRequestNotFoundError as error:
            self.log.warning("The cost of request %s could not be read: %s", request_id, error)
            return Bill(request_id=request_id, model=model)
        except SegmindError as error:
            self.log.warning("The cost of requests that no task has reported could not be read: %s", error)
            return None
