"""The requests per minute of one account, shared by all processes that use it."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select, text, update

from airflow_provider_kling.ledger.schema import check
from airflow_provider_kling.ledger.tables import rate_limits
from airflow_provider_kling.polling.rate_limit import SharedTurns
from airflow_provider_kling.segmind.errors import KlingLedgerError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from airflow_provider_kling.ledger.database import Database

#: Seconds after which a process that does not ask any more is gone.
GONE_AFTER = 120.0
#: The ledger's times are whole numbers: not every database keeps so many digits of a float.
MICRO = 1_000_000
#: Each database's clock: the processes' own may differ.
_CLOCKS = {"postgresql": "SELECT extract(epoch FROM clock_timestamp())", "mysql": "SELECT unix_timestamp(sysdate(6))"}

_r = rate_limits.c


@dataclass(frozen=True, slots=True)
class Lease:
    """
    Turns that a process may use.

    :param delays: seconds from now to each of them.
    :param next_in: seconds from now to the next one that could be had.
    :param holders: how many processes poll.
    """

    delays: list[float]
    next_in: float
    holders: int


@dataclass(frozen=True, slots=True)
class SharedRate:
    """
    The turns of one account.

    :param account: see :func:`airflow_provider_kling.submission.submission.account`.
    :param requests_per_minute: what the plan allows.
    """

    database: Database
    account: str
    requests_per_minute: float

    def lease(self, count: int, *, within: float, holder: str | None = None) -> Lease:
        """
        Take turns; those that are not used in time are lost.

        :param count: how many at most.
        :param within: seconds from now in which they have to be.
        :param holder: the process, if they are for polls.
        :raises KlingLedgerError: the database does not answer.
        """
        check(self.database)
        self._make_row()
        with self.database.changing() as connection:
            row = connection.execute(select(rate_limits).where(_r.account == self.account).with_for_update()).one()
            now = _now(connection)
            times = (row.free_at, row.polls_free_at, row.others_free_at, row.paused_until)
            holders = {name: at for name, at in _read(row.holders).items() if now - at < GONE_AFTER}
            turns, following, left = SharedTurns(*(at / MICRO for at in times)).give(
                now,
                requests_per_minute=self.requests_per_minute,
                polls=holder is not None,
                count=count,
                within=within,
                polled=bool(holders),
            )
            if holder is not None:
                holders[holder] = now
            self._store(
                connection,
                free_at=round(left.free_at * MICRO),
                polls_free_at=round(left.polls_free_at * MICRO),
                others_free_at=round(left.others_free_at * MICRO),
                holders=json.dumps(holders),
            )
        return Lease([turn - now for turn in turns], following - now, max(len(holders), 1))

    def pause(self, seconds: float) -> None:
        """Send nothing for so long: the account's requests are used up."""
        self._make_row()
        with self.database.changing() as connection:
            row = connection.execute(select(rate_limits).where(_r.account == self.account).with_for_update()).one()
            self._store(connection, paused_until=max(row.paused_until, round((_now(connection) + seconds) * MICRO)))

    def _make_row(self) -> None:
        with self.database.reading() as connection:
            if connection.execute(select(_r.account).where(_r.account == self.account)).first() is not None:
                return
        # Another process may be faster.
        with suppress(KlingLedgerError), self.database.changing() as connection:
            nothing: dict[str, Any] = {"free_at": 0, "polls_free_at": 0, "paused_until": 0, "holders": "{}"}
            connection.execute(insert(rate_limits).values(account=self.account, **nothing))

    def _store(self, connection: Connection, **values: Any) -> None:
        connection.execute(update(rate_limits).where(_r.account == self.account).values(**values))


def _now(connection: Connection) -> float:
    asked = _CLOCKS.get(connection.engine.dialect.name)
    return time.time() if asked is None else float(connection.execute(text(asked)).scalar_one())


def _read(holders: str) -> dict[str, float]:
    found = json.loads(holders)
    return found if isinstance(found, dict) else {}
