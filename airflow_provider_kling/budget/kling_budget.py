"""Limits on what jobs cost: those of one DAG run, and with a ledger those of a day or a month."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.segmind.errors import KlingBudgetExceededError, SegmindInputError
from airflow_provider_kling.segmind.money import dollars

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: Characters of a project's name.
LONGEST_PROJECT = 250


@dataclass(frozen=True, slots=True)
class KlingBudget:
    """
    What Kling jobs may cost; share it as ``budget=``, or in the DAG's ``default_args``.

    Before it submits, a task adds up what was billed, what the jobs in flight may cost at most, and its own job; if the
    sum exceeds a limit, it fails and sends nothing. A job counts at its estimate's high figure until a sensor reports
    its bill; a FAILED job costs nothing.

    :param max_cost_per_dag_run: US dollars for all jobs of one DAG run.
    :param max_cost_per_day: US dollars for the jobs of the project from one midnight to the next, in UTC. Needs the
        ledger.
    :param max_cost_per_month: the same for a calendar month. Needs the ledger.
    :param project: whose money it is: the DAGs with the same project share its limits of a day and a month. By default
        each DAG is a project of its own.
    :param warn_at: the share of a day's or a month's limit from which on ``notifier`` is called, once in that time.
    :param notifier: is called with the task's context, in which ``kling_budget`` has ``limit``, ``spent`` and ``what``;
        any of Airflow's notifiers, or a function.
    :param prices: US dollars that one job costs at most, by the model's slug: for models without a published price, or
        in place of a published one.
    :raises SegmindInputError: a figure is not above 0.
    """

    max_cost_per_dag_run: float | None = None
    prices: Mapping[str, float] = field(default_factory=dict)
    _: KW_ONLY
    max_cost_per_day: float | None = None
    max_cost_per_month: float | None = None
    project: str | None = None
    warn_at: float | None = None
    notifier: Callable[[Any], Any] | None = None

    def __post_init__(self) -> None:
        limits = ("max_cost_per_dag_run", "max_cost_per_day", "max_cost_per_month")
        given = [name for name in limits if getattr(self, name) is not None]
        if not given:
            raise SegmindInputError(f"KlingBudget: give at least one of {', '.join(limits)}.")
        for name in given:
            checked_cost(name, getattr(self, name))
        if self.warn_at is not None and not (self.needs_ledger and 0 < self.warn_at <= 1 and self.notifier):
            raise SegmindInputError(
                f"warn_at: {self.warn_at!r} is a share above 0 and up to 1 of max_cost_per_day or max_cost_per_month, "
                "with a notifier to call."
            )
        if self.notifier is not None and self.warn_at is None:
            raise SegmindInputError("notifier: it is called at warn_at, a share such as 0.8, which is missing.")
        if self.project is not None and not (
            isinstance(self.project, str) and 0 < len(self.project) <= LONGEST_PROJECT
        ):
            raise SegmindInputError(f"project: {self.project!r} is no name of up to {LONGEST_PROJECT} characters.")
        for slug, price in self.prices.items():
            checked_cost(f"prices[{slug!r}]", price)

    @property
    def needs_ledger(self) -> bool:
        """Whether it has limits that outlive a run."""
        return self.max_cost_per_day is not None or self.max_cost_per_month is not None

    def periods(self, now: datetime) -> list[Period]:
        """
        Return its limits, as the ledger checks them.

        :param now: with its time zone.
        """
        day = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        month = day.replace(day=1)
        found = [
            ("max_cost_per_dag_run", "this DAG run", self.max_cost_per_dag_run, None),
            ("max_cost_per_day", f"{day:%d %B %Y}", self.max_cost_per_day, day),
            ("max_cost_per_month", f"{month:%B %Y}", self.max_cost_per_month, month),
        ]
        return [
            Period(argument, name, amount, since, self.warn_at * amount if self.warn_at and since else None)
            for argument, name, amount, since in found
            if amount is not None
        ]


@dataclass(frozen=True, slots=True)
class Period:
    """
    A limit of a run, a day or a month, in US dollars.

    :param argument: of :class:`KlingBudget`.
    :param name: of the run or the time.
    :param since: the time's first moment; None for the run.
    :param warn_from: what is spent when the author is warned.
    """

    argument: str
    name: str
    limit: float
    since: datetime | None
    warn_from: float | None = None

    def of(self, project: str) -> str:
        """Return whose limit it is, in words."""
        return self.name if self.since is None else f"{project!r} for {self.name} (UTC)"

    def exceeded(
        self, project: str, model: str, own: float, billed: float, in_flight: float
    ) -> KlingBudgetExceededError:
        """Return the error for a job that does not fit."""
        much = billed + in_flight + own - self.limit
        return KlingBudgetExceededError(
            f"The budget of {self.of(project)} is {dollars(self.limit)}: {dollars(billed)} is billed, "
            f"up to {dollars(in_flight)} is in flight, and this job ({model}) may cost up to {dollars(own)}, which is "
            f"{dollars(much)} too much. Nothing was sent. Raise {self.argument}, or clear this task once it is over.",
            limit=self.limit,
            billed=round(billed, 6),
            in_flight=round(in_flight, 6),
            estimate=own,
        )


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
