"""What jobs cost, added up: by DAG, by model, by project, by day."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, case, func, select

from airflow_provider_kling.ledger.generations import COMPLETED, FAILED, REFUSED, REUSED
from airflow_provider_kling.ledger.schema import check
from airflow_provider_kling.ledger.tables import generations

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from airflow_provider_kling.ledger.database import Database

_t = generations.c


def _count(value: Any) -> int:
    return int(value or 0)


def _money(value: Any) -> float:
    return round(float(value or 0), 6)


#: What costs may be added up by.
GROUPS = {
    "dag": _t.dag_id,
    "model": _t.model,
    "project": _t.project,
    "deployment": _t.deployment,
    "task": _t.task,
    "run": _t.run_id,
}
_FIGURES: tuple[Callable[[Any], Any], ...]  # databases give decimals, or None of no rows
_FIGURES = (_count, _money, _count, _money, _count, _count, _count, _count, _money, _money, _money, _money)
#: The share by which a model's bills may differ from its published price unremarked.
DRIFT = 0.1


@dataclass(frozen=True, slots=True)
class Total:
    """
    What some jobs cost, in US dollars.

    :param group: what they have in common.
    :param jobs: how many were accepted, or may have been.
    :param cost: what is billed.
    :param open_jobs: how many have no bill yet, and :param open_cost: what these cost at most, but for those of
        :param unpriced: how many of them have no published price.
    :param failed: how many FAILED.
    :param reused: how often a result was used again, which costs nothing.
    :param unused: how many are paid, and no task has handed their results on; :param unused_cost: what they cost.
    :param priced: what the jobs with a published price cost; :param least: by these prices, and :param most: at most.
    """

    group: tuple[str, ...]
    jobs: int
    cost: float
    open_jobs: int
    open_cost: float
    unpriced: int
    failed: int
    reused: int
    unused: int
    unused_cost: float
    priced: float
    least: float
    most: float

    @property
    def has_drifted(self) -> bool:
        """Whether the bills differ from the published prices by more than a tenth."""
        return bool(self.most) and not self.least * (1 - DRIFT) <= self.priced <= self.most * (1 + DRIFT)

    def to_dict(self, by: Sequence[str]) -> dict[str, Any]:
        """Return it as plain JSON, the group by its names."""
        figures = {name: value for name, value in asdict(self).items() if name != "group"}
        return {**dict(zip(by, self.group, strict=True)), **figures, "has_drifted": self.has_drifted}


def totals(database: Database, since: datetime, until: datetime, by: Sequence[str]) -> list[Total]:
    """
    Return what the jobs of a time cost, the most expensive group first.

    A job belongs to the moment at which it was to be sent, and to the DAG that sent it, whatever is cleared later.

    :param since: the first moment.
    :param until: the first moment after it.
    :param by: names of ``GROUPS``.
    """
    check(database)
    is_job = _t.state.not_in((REFUSED, REUSED))
    is_open = and_(is_job, _t.cost.is_(None), _t.state != FAILED)
    is_unused = and_(_t.state == COMPLETED, _t.used.is_(False), _t.cost > 0)
    is_priced = and_(_t.state == COMPLETED, _t.cost.is_not(None), _t.low.is_not(None), _t.high.is_not(None))

    def count(condition: Any) -> Any:
        return func.sum(case((condition, 1), else_=0))

    def add(column: Any, condition: Any) -> Any:
        return func.coalesce(func.sum(case((condition, column), else_=0.0)), 0.0)

    columns = [GROUPS[name] for name in by]
    figures = (
        count(is_job),
        add(_t.cost, _t.cost.is_not(None)),
        count(is_open),
        add(_t.high, and_(is_open, _t.high.is_not(None))),
        count(and_(is_open, _t.high.is_(None))),
        count(_t.state == FAILED),
        count(_t.state == REUSED),
        count(is_unused),
        add(_t.cost, is_unused),
        add(_t.cost, is_priced),
        add(_t.low, is_priced),
        add(_t.high, is_priced),
    )
    query = select(*columns, *figures).where(_t.intended_at >= since, _t.intended_at < until)
    with database.reading() as connection:
        rows = connection.execute(query.group_by(*columns) if columns else query).all()
    found = [
        Total(
            tuple(map(str, row[: len(columns)])),
            *(figure(value) for figure, value in zip(_FIGURES, row[len(columns) :], strict=True)),
        )
        for row in rows
    ]
    return sorted(
        (total for total in found if total.jobs or total.reused), key=lambda total: (-total.cost, total.group)
    )
