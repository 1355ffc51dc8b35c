"""A limit on what the jobs of one DAG run cost."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_provider_kling.segmind.errors import KlingBudgetExceededError, SegmindInputError
from airflow_provider_kling.segmind.money import dollars

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class KlingBudget:
    """
    What all Kling jobs of one DAG run may cost; share it as ``budget=``, or in the DAG's ``default_args``.

    Before it submits, a task adds up what the run was billed, what its jobs in flight may cost at most, and its own
    job; if the sum exceeds the limit, it fails and sends nothing. A job counts at its estimate's high figure until a
    sensor reports its bill; a FAILED job costs nothing.

    :param max_cost_per_dag_run: US dollars.
    :param prices: US dollars that one job costs at most, by the model's slug: for models without a published price, or
        in place of a published one.
    :raises SegmindInputError: a figure is not above 0.
    """

    max_cost_per_dag_run: float
    prices: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        checked_cost("max_cost_per_dag_run", self.max_cost_per_dag_run)
        for slug, price in self.prices.items():
            checked_cost(f"prices[{slug!r}]", price)


def checked_cost(name: str, value: object) -> float:
    """
    Return a figure in US dollars.

    :raises SegmindInputError: it is not a number above 0.
    """
    try:
        amount = float(value)  # type: ignore[arg-type]  # what float() does not take is refused below
    except (TypeError, ValueError, OverflowError):
        amount = math.nan
    if isinstance(value, bool) or not 0 < amount < math.inf:
        raise SegmindInputError(f"{name}: {value!r} is not a number of US dollars above 0.")
    return amount


def exceeds_max_cost(model: str, price: str, high: float, max_cost: float) -> KlingBudgetExceededError:
    """Return the error for a job that may cost more than its task allows."""
    return KlingBudgetExceededError(
        f"max_cost is {dollars(max_cost)}, and {model} may cost up to {dollars(high)} (price: "
        f"{price or dollars(high)}). Nothing was sent. Raise max_cost, or choose a shorter video or a cheaper model.",
        limit=max_cost,
        estimate=high,
    )
