"""
Turns of an account's requests per minute that the ledger gives out, as a process uses them.

Without a ledger, and while it does not answer, a process keeps to its own count.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import deque
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.polling.rate_limit import EARLIEST_USE, LATEST_USE, shared_spacing
from airflow_provider_kling.segmind.errors import SegmindError, SegmindRateLimitError

if TYPE_CHECKING:
    from airflow_provider_kling.ledger.database import Database
    from airflow_provider_kling.ledger.shared_rate import SharedRate
    from airflow_provider_kling.segmind.settings import Settings

#: Seconds for which a triggerer takes turns at a time: as long, at most, are those of one that dies lost.
LEASED = 5.0
#: Seconds that a worker waits for its turn; if it would be later, the task waits in the triggerer.
LONGEST_WAIT = 5.0
#: Seconds for which the ledger is left alone after it did not answer.
FALLBACK = 30.0


#: This process among those that poll.
_PROCESS = uuid.uuid4().hex


class LeasedTurns:
    """
    The turns of one event loop.

    It is used as :class:`~airflow_provider_kling.polling.rate_limit.RateLimiter` is, and has to be filled before.
    """

    def __init__(self, rate: SharedRate, log: Any) -> None:
        self._rate = rate
        self._log = log
        self._name = _PROCESS
        self._turns: deque[float] = deque()
        self._away_until = 0.0
        #: How many processes poll, as far as is known.
        self.holders = 1

    @property
    def works(self) -> bool:
        """Whether the ledger has answered."""
        return time.time() >= self._away_until

    @property
    def spacing(self) -> float:
        """Seconds from one request to the next when all are used."""
        return shared_spacing(self._rate.requests_per_minute)

    def next_slot(self, now: float) -> float:
        """Return when the next request may be sent, as far as turns were taken."""
        while self._turns and self._turns[0] < now - LATEST_USE:
            self._turns.popleft()
        return self._turns[0] if self._turns else now + LATEST_USE

    def grants(self, now: float, within: float) -> int:
        """Return how many requests may be sent together, of those whose turns come in so many seconds."""
        return sum(turn <= now + min(within, EARLIEST_USE) for turn in self._turns)

    def take(self, now: float) -> None:  # noqa: ARG002 as RateLimiter's
        """Use up a turn."""
        if self._turns:
            self._turns.popleft()

    def pause(self, until: float) -> None:  # noqa: ARG002 what is paused is in the ledger
        """Use none of the turns that were taken."""
        self._turns.clear()

    async def fill(self, wanted: int) -> None:
        """Take turns for so many requests, if none is left."""
        now = time.time()
        self.next_slot(now)
        if self._turns or now < self._away_until:
            return
        try:
            lease = await asyncio.to_thread(self._rate.lease, wanted, within=LEASED, holder=self._name)
        except SegmindError as error:
            self._away_until = now + FALLBACK
            await asyncio.to_thread(
                self._log.warning,
                "Requests per minute are not shared for now; this process takes 1/%d of them: %s",
                self.holders,
                error,
            )
            return
        now, self.holders = time.time(), lease.holders
        self._turns.extend(now + delay for delay in lease.delays)

    async def pause_all(self, seconds: float) -> None:
        """Let no process of the account send anything for so long."""
        try:
            await asyncio.to_thread(self._rate.pause, seconds)
        except SegmindError as error:
            await asyncio.to_thread(self._log.warning, "Other processes are not paused: %s", error)


def shared_rate(database: Database, settings: Settings) -> SharedRate:
    """Return the account's rate limit in a ledger."""
    from airflow_provider_kling.ledger.shared_rate import SharedRate
    from airflow_provider_kling.submission.submission import account

    return SharedRate(database, account(settings.host, settings.api_key), settings.requests_per_minute)


async def triggerers_ledger(log: Any) -> Database | None:
    """Return the ledger that Airflow's config names; None without one, or if its connection cannot be read now."""
    from airflow_provider_kling.ledger.configured import ledger_conn_id

    named = ledger_conn_id()
    if named is None:
        return None
    from airflow.providers.common.compat.connection import get_async_connection

    try:
        # The import takes longer than the event loop may be blocked.
        return await asyncio.to_thread(_database, await get_async_connection(named))
    except Exception as exc:  # noqa: BLE001 because a secrets backend may raise anything; waits go on without
        await asyncio.to_thread(log.warning, "Nothing is shared with other processes: %s", type(exc).__name__)
        return None


def _database(connection: Any) -> Database:
    from airflow_provider_kling.ledger.database import database_of

    return database_of(connection)


class WorkerTurns:
    """The turns of one worker's hook."""

    def __init__(self, settings: Settings, log: Any) -> None:
        self._settings = settings
        self._log = log

    @cached_property
    def _rate(self) -> SharedRate | None:
        from airflow_provider_kling.ledger.configured import ledger_database

        database = ledger_database()
        return None if database is None else shared_rate(database, self._settings)

    def wait(self) -> None:
        """
        Wait until the account may send one more request.

        :raises SegmindRateLimitError: it may not within :data:`LONGEST_WAIT` seconds; nothing was sent.
        """
        try:
            if self._rate is None:
                return
            lease = self._rate.lease(1, within=LONGEST_WAIT)
        except SegmindError as error:  # the answer 429 is still there
            self._log.warning("Requests per minute are not shared for now: %s", error)
            return
        if not lease.delays:
            reset = datetime.now(tz=UTC) + timedelta(seconds=lease.next_in)
            raise SegmindRateLimitError(
                f"All {self._rate.requests_per_minute:g} requests per minute are taken by other tasks until "
                f"{reset:%H:%M:%S} UTC. Nothing was sent.",
                reset_at=reset.isoformat(),
            )
        time.sleep(max(lease.delays[0], 0.0))
