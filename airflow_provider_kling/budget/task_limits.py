"""What an operator's ``max_cost`` and ``budget`` mean for a submission: the figures, and who shares them."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.budget.kling_budget import KlingBudget, checked_cost, exceeds_max_cost
from airflow_provider_kling.payloads import get_payload_class
from airflow_provider_kling.payloads.templates import is_template, renders_to_nothing
from airflow_provider_kling.segmind.errors import SegmindInputError
from airflow_provider_kling.segmind.money import over
from airflow_provider_kling.segmind.sanitize import one_line

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import DAG

    from airflow_provider_kling.budget.guard import BudgetGuard
    from airflow_provider_kling.payloads.estimate import Estimate
    from airflow_provider_kling.payloads.request import Request

#: The parameters on which an estimate depends.
_PRICED_BY = ("duration", "multi_prompt")


def check_limits(max_cost: Any, budget: Any, *, model: Any, payload: Any) -> None:
    """
    Refuse, while the DAG file is parsed, a job that is known to cost too much.

    :param payload: the payload as a dict or a template.
    :raises SegmindInputError: a limit is not valid, or the payload's price exceeds it.
    """
    if budget is not None and not isinstance(budget, KlingBudget):
        raise SegmindInputError(f"budget: {budget!r} is not a KlingBudget; use KlingBudget(max_cost_per_dag_run=5).")
    if max_cost is None or is_template(max_cost):
        return
    limit = checked_cost("max_cost", max_cost)
    payload_class = None if is_template(model) else get_payload_class(model)
    known = isinstance(payload, Mapping) and not any(is_template(payload.get(name)) for name in _PRICED_BY)
    if payload_class is None or not known:
        return
    estimate = payload_class(**payload).estimate()
    high = _high(model, estimate, budget)
    if high is not None and over(high, limit):
        raise exceeds_max_cost(model, str(estimate), high, limit)


def guard_for(
    batch: str,
    request: Request,
    *,
    max_cost: Any,
    budget: KlingBudget | None,
    blind: bool = False,
    is_limited: bool = False,
) -> tuple[float | None, BudgetGuard | None]:
    """
    Return what a job costs at most, and the guard that limits it; None without a limit.

    :param batch: see :func:`airflow_provider_kling.xcoms.batch_name`.
    :param blind: whether the cost of earlier iterations of the task's loop is unknown.
    :param is_limited: whether the author has given a ``max_cost``, whatever it has rendered to.
    :raises SegmindInputError: ``max_cost`` has rendered to something that is not a price.
    """
    from airflow_provider_kling.budget.guard import BudgetGuard

    estimate = request.payload.estimate() if request.payload else None
    high, price = _high(request.model, estimate, budget), str(estimate or "")
    if is_limited and renders_to_nothing(max_cost):
        raise SegmindInputError(
            f"max_cost: it has rendered to {max_cost!r}, which is no limit. Nothing was sent. Give it a default, as in "
            "{{ dag_run.conf.get('limit', 2) }}, or leave max_cost out."
        )
    ceiling = None if renders_to_nothing(max_cost) else checked_cost("max_cost", max_cost)
    if ceiling is None and budget is None:
        return high, None
    unknown = list(request.payload.model_extra or ()) if request.payload else []
    if unknown and request.model not in (budget.prices if budget else {}):
        # An unknown parameter may ask for nine pictures.
        high, price = None, f"unknown with parameters that its class does not know ({one_line(', '.join(unknown))})"
    return high, BudgetGuard(
        model=request.model,
        high=high,
        price=price,
        max_cost=ceiling,
        limit=budget.max_cost_per_dag_run if budget else None,
        prices=budget.prices if budget else {},
        batch=batch,
        blind=blind,
        chance=random.random,
    )


def refusing_guard(model: str, error: SegmindInputError) -> BudgetGuard:
    """Return the guard for an invalid limit: an earlier attempt's job is adopted, and nothing new is submitted."""
    from airflow_provider_kling.budget.guard import BudgetGuard

    return BudgetGuard(model=model, high=None, chance=random.random, refusal=error)


def budgets(dag: DAG) -> list[KlingBudget]:
    """Return the budgets of a DAG's tasks, the lowest first."""
    found = []
    for task in dag.task_dict.values():
        budget = getattr(task, "budget", None) or getattr(task, "partial_kwargs", {}).get("budget")
        if isinstance(budget, KlingBudget):
            found.append(budget)
    return sorted(found, key=lambda budget: budget.max_cost_per_dag_run or math.inf)


def _high(model: str, estimate: Estimate | None, budget: KlingBudget | None) -> float | None:
    """Return what a job costs at most: the user's price, else the published one; None if it is unknown."""
    published = estimate.high if estimate else None
    return published if budget is None else budget.prices.get(model, published)
