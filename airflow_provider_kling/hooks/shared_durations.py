"""How long jobs of each model take: what this event loop has seen, and with a ledger what all processes have seen."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from airflow_provider_kling.polling.schedule import MEMORY, Durations
from airflow_provider_kling.segmind.errors import SegmindError

if TYPE_CHECKING:
    from airflow_provider_kling.ledger.database import Database
    from airflow_provider_kling.polling.schedule import Expectation

#: Seconds for which what was read of a model is not read again.
READ_EVERY = 600.0
#: How many of the jobs that were learned from are remembered.
MOST_OBSERVED = 10_000
#: Seconds that a wait waits for the ledger's answer.
LONGEST_READ = 2.0


class SharedDurations:
    """The durations of one event loop."""

    def __init__(self) -> None:
        self._known = Durations()
        self._database: Database | None = None
        self._host = ""
        self._fresh_until: dict[str, float] = {}
        self._reading: dict[str, asyncio.Task[None]] = {}
        self._observed: dict[str, None] = {}

    def use(self, database: Database | None, host: str) -> None:
        """Learn from the ledger's jobs of a host."""
        self._database, self._host = database, host

    def expect(self, model: str | None, usual: float | None) -> Expectation:
        """Return what to expect of a model; see :meth:`~airflow_provider_kling.polling.schedule.Durations.expect`."""
        return self._known.expect(model, usual)

    async def learn(self, model: str | None, usual: float | None) -> None:
        """Ask the ledger about a model, now and then; a wait does not wait long for its answer."""
        now = time.monotonic()
        if model is None or self._database is None or now < self._fresh_until.get(model, now):
            return
        if model not in self._reading:
            self._reading[model] = asyncio.create_task(self._read(self._database, model, usual))
        await asyncio.wait([self._reading[model]], timeout=LONGEST_READ)

    def observe(self, request_id: str, model: str | None, usual: float | None, seconds: float) -> None:
        """Learn from a job of this event loop, once: anybody may name a job and a model, as often as they like."""
        if request_id in self._observed:
            return
        self._observed[request_id] = None
        if len(self._observed) > MOST_OBSERVED:
            del self._observed[next(iter(self._observed))]
        self._known.observe(model, usual, seconds)

    async def _read(self, database: Database, model: str, usual: float | None) -> None:
        try:
            self._known.learn(model, usual, await asyncio.to_thread(_latest, database, self._host, model))
        except SegmindError:  # what waits without the ledger's knowledge waits well
            pass
        finally:
            now = time.monotonic()
            self._fresh_until = {known: until for known, until in self._fresh_until.items() if until > now}
            self._fresh_until[model] = now + READ_EVERY
            del self._reading[model]


def learned(ledger_conn_id: str | None, host: str, model: str | None, usual: float | None) -> Expectation:
    """
    Return what a worker may expect of a model, of which it has seen nothing itself.

    :param ledger_conn_id: that the task names; None leaves it to Airflow's config.
    """
    from airflow_provider_kling.ledger.configured import ledger_database

    durations = Durations()
    with suppress(SegmindError):
        database = ledger_database(ledger_conn_id)
        if database is not None and model is not None:
            durations.learn(model, usual, _latest(database, host, model))
    return durations.expect(model, usual)


def _latest(database: Database, host: str, model: str) -> list[float]:
    from airflow_provider_kling.ledger.durations import latest_durations

    return latest_durations(database, host, model, MEMORY)
