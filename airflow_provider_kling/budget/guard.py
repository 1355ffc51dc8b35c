"""
Whether a submission may be paid: the one decision behind ``max_cost`` and a run's budget.

There is no lock between tasks. Each shows its intent to its siblings before it reads theirs, so of two
that ask at once at least one sees the other. What must not be relaxed:

* A job counts at its estimate's high figure until its bill is known.
* A task proceeds only when everything it sees, its own job included, fits the limit. A task that does not fit after
  those that asked before it withdraws its intent, so that the first ones fit.
* A job without a known price never counts as free.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow_provider_kling.budget.costs import Spent, is_asking, tally
from airflow_provider_kling.budget.kling_budget import exceeds_max_cost
from airflow_provider_kling.segmind.errors import (
    KlingBudgetExceededError,
    SegmindInputError,
    SegmindInsufficientCreditsError,
)
from airflow_provider_kling.segmind.money import dollars, over

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from airflow_provider_kling.budget.costs import Bill
    from airflow_provider_kling.submission.record import Claim, Record

#: How long an attempt waits for siblings that have not sent yet: longer than a POST waits for its answer.
PATIENCE = timedelta(seconds=90)
#: Seconds until it reads their claims again, roughly; each pause is longer than the one before.
FIRST_PAUSE = 0.4
LONGEST_PAUSE = 5.0


@dataclass(frozen=True, slots=True)
class Pay:
    """The job may be submitted."""


@dataclass(frozen=True, slots=True)
class CheckBalance:
    """
    The job may be submitted if the balance covers the task's instances that are still to be started.

    :param started: how many instances already have a job.
    :param left: what the run's limit leaves for the others.
    """

    started: int
    left: float


@dataclass(frozen=True, slots=True)
class BatchBalance:
    """The account's balance in US dollars, and how many instances the task is mapped to."""

    balance: float
    batch_size: int = 1


@dataclass(frozen=True, slots=True)
class Hold:
    """The job fits after those that asked before it: leave the intent published and read the claims again."""


@dataclass(frozen=True, slots=True)
class GiveWay:
    """The job does not fit after those that asked before it: withdraw the intent, and publish it again once it fits."""


Verdict = Pay | CheckBalance | Hold | GiveWay


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetGuard:
    """
    What one submission may cost, and which jobs share its limit.

    :param model: the model's slug.
    :param high: US dollars that the job costs at most; None if no price is known.
    :param price: the same, as messages show it.
    :param max_cost: what the job may cost.
    :param limit: what all jobs of the run may cost.
    :param prices: what a job costs at most, by slug, where the user has given it.
    :param batch: the task; its mapped instances are started together.
    :param blind: whether it is unknown what the run has spent in earlier iterations of the task's loop.
    :param chance: returns a random number from 0 to 1, so that siblings do not ask at the same moments.
    :param refusal: the error of a limit that is not valid; nothing is submitted.
    """

    model: str
    high: float | None
    chance: Callable[[], float]
    price: str = ""
    max_cost: float | None = None
    limit: float | None = None
    prices: Mapping[str, float] = field(default_factory=dict)
    batch: str = ""
    blind: bool = False
    refusal: SegmindInputError | None = None

    def refuse_alone(self) -> None:
        """
        Refuse a job that may not be paid, whatever the siblings do.

        :raises KlingBudgetExceededError: the price exceeds ``max_cost``, or it or the run's cost is unknown.
        """
        if self.refusal is not None:
            raise self.refusal
        if self.blind and self.limit is not None:
            raise KlingBudgetExceededError(
                f"The budget of this DAG run is {dollars(self.limit)}, but the cost of this loop's earlier "
                "iterations is unknown: no Kling task submitted in the previous one, and Airflow shows no other. "
                "Nothing was sent. Submit in every iteration, or leave the budget out and set max_cost.",
                limit=self.limit,
                estimate=self.high,
            )
        if self.high is None:
            raise KlingBudgetExceededError(
                f"The cost of {self.model} is {self.price or 'unknown'}, so {self._what()} cannot be enforced. Nothing "
                f"was sent. Give the price in budget=KlingBudget(prices={{{self.model!r}: …}}), or leave "
                f"{self._what()} out.",
                limit=self.max_cost if self.max_cost is not None else self.limit,
            )
        if self.max_cost is not None and over(self.high, self.max_cost):
            raise exceeds_max_cost(self.model, self.price, self.high, self.max_cost)

    def judge(
        self, me: Claim, siblings: Sequence[Claim], bills: Mapping[str, Bill], *, patient: bool = True
    ) -> Verdict:
        """
        Return what an attempt that has published its intent does next.

        :param me: the intent as published.
        :param patient: whether there is time to wait for siblings.
        :raises KlingBudgetExceededError: the job could exceed the limit.
        """
        own = self.high or 0.0
        asking = [claim for claim in siblings if is_asking(claim.record)]
        settled = tally((claim for claim in siblings if not is_asking(claim.record)), bills, self.prices)
        everyone = tally(siblings, bills, self.prices)
        former = me.record.former_cost
        if self.limit is not None:
            if everyone.unpriced:
                raise self._unpriced(everyone.unpriced)
            if over(settled.total + former + own, self.limit):
                raise self._broken(settled, me.record)
            before = tally((claim for claim in asking if _order(claim) < _order(me)), bills, self.prices)
            wait = over(everyone.total + former + own, self.limit)
            if wait and not patient:
                raise self._broken(everyone, me.record)
            if wait:
                return GiveWay() if over(settled.total + before.total + former + own, self.limit) else Hold()
        if me.record.funded:
            return Pay()
        mates = [claim for claim in siblings if claim.task.split("[")[0] == self.batch]
        if any(claim.record.funded for claim in mates):
            return Pay()
        if patient and any(_order(claim) < _order(me) for claim in mates if is_asking(claim.record)):
            return Hold()  # the first one asks for the balance, for all of them
        started = sum(claim.record.request_id is not None for claim in mates)
        return CheckBalance(started, math.inf if self.limit is None else self.limit - settled.total - former)

    def refuse_for_balance(self, check: CheckBalance, funds: BatchBalance) -> None:
        """
        Refuse to start a batch that the balance does not cover, as far as the limit allows the batch.

        :raises SegmindInsufficientCreditsError: naming the balance and the need.
        """
        to_come = max(1, funds.batch_size - check.started)
        needed = min((self.high or 0.0) * to_come, check.left)
        if not over(needed, funds.balance):
            return
        one = f"this job ({self.model})"
        what = one if to_come == 1 else f"the {to_come} jobs of {self.batch!r} ({self.model})"
        raise SegmindInsufficientCreditsError(
            f"The balance is {dollars(funds.balance)}, and {what} may need {dollars(needed)}. Nothing was sent. "
            "Top up at Segmind; KlingCreditsSensor waits for that.",
            balance=funds.balance,
            needed=round(needed, 6),
        )

    def pause(self, looks: int) -> float:
        """Return how many seconds to wait after reading the siblings' claims so many times."""
        return min(FIRST_PAUSE * 1.5**looks, LONGEST_PAUSE) * (0.5 + self.chance())

    def _what(self) -> str:
        return "the budget of the run" if self.max_cost is None else "max_cost"

    def _broken(self, spent: Spent, me: Record) -> KlingBudgetExceededError:
        limit, own = self.limit or 0.0, self.high or 0.0
        billed, jobs = spent.billed + me.former_cost, spent.billed_jobs + len(me.former)
        told = Spent(billed, jobs, spent.in_flight, spent.in_flight_jobs)
        return KlingBudgetExceededError(
            f"The budget of this DAG run is {dollars(limit)}: {told}, and this job ({self.model}) may cost up to "
            f"{dollars(own)}, which is {dollars(told.total + own - limit)} too much. Nothing was sent. Raise "
            "max_cost_per_dag_run, or submit fewer jobs in one run.",
            limit=limit,
            billed=round(told.billed, 6),
            in_flight=round(told.in_flight, 6),
            in_flight_jobs=told.in_flight_jobs,
            estimate=own,
        )

    def _unpriced(self, unpriced: Sequence[Claim]) -> KlingBudgetExceededError:
        shown = ", ".join(f"{claim.task} ({claim.record.model})" for claim in unpriced[:5])
        names = sorted({claim.record.model for claim in unpriced})
        more = f" and {len(unpriced) - 5} more" if len(unpriced) > 5 else ""  # noqa: PLR2004 as many as were shown
        return KlingBudgetExceededError(
            f"The cost of other jobs of this run is unknown: {shown}{more}; so its budget of "
            f"{dollars(self.limit or 0.0)} cannot be enforced. Nothing was sent. Give their prices in "
            f"KlingBudget(prices={{{', '.join(f'{name!r}: …' for name in names)}}}).",
            limit=self.limit,
            estimate=self.high,
        )


def _order(claim: Claim) -> tuple[Any, str]:
    """Return the order in which tasks asked."""
    return claim.record.intended_at, claim.task
