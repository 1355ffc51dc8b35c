"""The limits of a run, a day and a month, within the transaction that stores an intent: so they are exact."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, case, func, insert, not_, or_, select

from airflow_provider_kling.budget.costs import MOST_BELOW
from airflow_provider_kling.ledger.generations import FAILED, REFUSED, REUSED, in_run, is_open
from airflow_provider_kling.ledger.tables import NAME, generations, warnings
from airflow_provider_kling.segmind.errors import KlingBudgetExceededError
from airflow_provider_kling.segmind.money import dollars, over

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.engine import Connection

    from airflow_provider_kling.budget.kling_budget import Period
    from airflow_provider_kling.ledger.owner import Owner
    from airflow_provider_kling.submission.record import Record

_t = generations.c


@dataclass(frozen=True, slots=True)
class Crossed:
    """A limit of which the share that the author wants to know of is spent now, its own job included."""

    period: Period
    spent: float


def check(connection: Connection, owner: Owner, record: Record, periods: Sequence[Period]) -> list[Crossed]:
    """
    Check that an intent fits its project's limits; return those of which to warn, each of them once.

    :raises KlingBudgetExceededError: it could exceed one.
    """
    own = record.high or 0.0
    crossed = []
    for period in periods:
        billed, in_flight = _spent(connection, owner, period)
        if over(billed + in_flight + own, period.limit):
            raise period.exceeded(owner.project, record.model, own, billed, in_flight)
        spent = billed + in_flight + own
        if (
            period.warn_from is not None
            and not over(period.warn_from, spent)
            and _first(connection, owner, record, period)
        ):
            crossed.append(Crossed(period, spent))
    return crossed


def _spent(connection: Connection, owner: Owner, period: Period) -> tuple[float, float]:
    """Return what is billed and what may be, in US dollars; the task's own intent is not among it."""
    if period.since is None:
        counts = and_(*in_run(owner))
    else:
        counts = and_(_t.project == owner.project[:NAME], _t.intended_at >= period.since)
    # Its own are taken off: so the sum is of what the index of the project has, and reads no row.
    of_all, its_own = _sums(connection, counts), _sums(connection, counts, is_open(owner))
    billed, in_flight, unpriced = (whole - part for whole, part in zip(of_all, its_own, strict=True))
    if unpriced:
        raise KlingBudgetExceededError(
            f"The cost of {int(unpriced)} other job(s) is unknown, so the budget of {period.of(owner.project)}, "
            f"{dollars(period.limit)}, cannot be enforced. Nothing was sent. Give the prices of their models in "
            "KlingBudget(prices=…), and set it for every task that shares the limit.",
            limit=period.limit,
        )
    return billed, in_flight


def _sums(connection: Connection, *which: Any) -> tuple[float, float, float]:
    """Return what some jobs are billed, what the others may cost, and how many of these have no price."""
    is_job = _t.state.not_in((REFUSED, REUSED))
    # What Segmind reports is not proof: next to nothing for a job that is done would open the budget.
    is_billed = or_(_t.state == FAILED, and_(_t.cost.is_not(None), _t.cost >= func.coalesce(_t.high, 0.0) / MOST_BELOW))
    flies = and_(is_job, not_(is_billed))
    sums = connection.execute(
        select(
            func.sum(case((and_(is_job, is_billed), _t.cost), else_=0.0)),
            func.sum(case((flies, _t.high), else_=0.0)),
            func.sum(case((and_(flies, _t.high.is_(None)), 1), else_=0)),
        ).where(*which)
    ).one()
    billed, in_flight, unpriced = (float(value or 0) for value in sums)
    return billed, in_flight, unpriced


def _first(connection: Connection, owner: Owner, record: Record, period: Period) -> bool:
    """Whether nobody was warned of it yet; from now on somebody is."""
    told = json.dumps([owner.project, period.argument, str(period.since), period.limit, period.warn_from])
    name = hashlib.sha256(told.encode()).hexdigest()
    if connection.execute(select(warnings.c.name).where(warnings.c.name == name)).first() is not None:
        return False
    connection.execute(insert(warnings).values(name=name, warned_at=record.intended_at))
    return True
