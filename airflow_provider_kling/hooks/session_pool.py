"""
What all waits of one connection share on one event loop: connections, settings, rate limit and observed durations.

What must not be relaxed:

* The session is opened at the first use and closed with the last user.
* The connection is resolved once, and again only after its key was refused.
* No request is sent without a turn from the rate limiter, and a 429 stops all requests until the limit is reset.
"""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakKeyDictionary

from airflow.providers.common.compat.sdk import AirflowNotFoundException

from airflow_provider_kling.hooks.connection import identity, missing, read_settings
from airflow_provider_kling.hooks.logs import hide_in_logs
from airflow_provider_kling.hooks.proxies import proxy_for
from airflow_provider_kling.hooks.response_body import Body, BodyError
from airflow_provider_kling.hooks.shared_durations import SharedDurations
from airflow_provider_kling.polling.job_wait import ResultAddress
from airflow_provider_kling.polling.rate_limit import RateLimiter, in_turn, longest_unpolled
from airflow_provider_kling.segmind.clock import LONGEST_RESET
from airflow_provider_kling.segmind.errors import (
    SegmindAuthenticationError,
    SegmindConnectionError,
    SegmindRateLimitError,
)
from airflow_provider_kling.segmind.settings import CONNECT_TIMEOUT

if TYPE_CHECKING:
    import aiohttp

    from airflow_provider_kling.hooks.shared_turns import LeasedTurns
    from airflow_provider_kling.polling.schedule import Job
    from airflow_provider_kling.segmind.call import Call
    from airflow_provider_kling.segmind.settings import Settings

T = TypeVar("T")

log = logging.getLogger(__name__)

#: Connections to Segmind that a process keeps open for one Airflow connection.
SIZE = 20
#: Seconds for which an idle one stays open.
KEEPALIVE = 75.0
#: Seconds without requests after a 429 that does not say when the limit is reset.
UNTOLD_RESET = 60.0
#: Bytes of an answer that are parsed on the event loop: a longer one would block it, and is parsed in a thread.
READ_AT_ONCE = 16 * 1024
#: How many seconds' worth of turns are granted together.
GRANT_EVERY = 0.5


class Pool:
    """
    The shared state of one Airflow connection on one event loop.

    :param conn_id: the Airflow connection.
    """

    def __init__(self, conn_id: str) -> None:
        self.conn_id = conn_id
        self.durations = SharedDurations()
        self.result_address = ResultAddress()
        self.users = 0
        self._settings: Settings | None = None
        self._resolving = asyncio.Lock()
        self._session: aiohttp.ClientSession | None = None
        self._proxies: dict[str, str | None] = {}
        self._free = asyncio.Semaphore(SIZE)
        self._limiter: RateLimiter | None = None
        self._leased: LeasedTurns | None = None
        self._was_resolved = False
        self._waiting: dict[asyncio.Future[None], Job | None] = {}
        self._granting: asyncio.Task[None] | None = None

    @classmethod
    def join(cls, conn_id: str) -> Pool:
        """Return the running loop's pool for a connection, and count one more user."""
        pools = _POOLS.setdefault(asyncio.get_running_loop(), {})
        if conn_id not in pools:
            pools[conn_id] = cls(conn_id)
        pools[conn_id].users += 1
        return pools[conn_id]

    @property
    def time_scale(self) -> float:
        """How many times as fast as Segmind the connection's simulator is; 1 until the connection is known."""
        return self._settings.time_scale if self._settings else 1.0

    async def leave(self) -> None:
        """Count one user less; the last one closes the session. Learned durations and used requests stay counted."""
        self.users -= 1
        if self.users == 0:
            session, self._session, self._settings = self._session, None, None
            self._proxies.clear()
            if not self._was_resolved:  # no connection has this name, which a run may have chosen
                _POOLS[asyncio.get_running_loop()].pop(self.conn_id, None)
            if session is not None:
                await session.close()

    async def send(self, call: Call[T], job: Job | None = None) -> T:
        """
        Send a call in its turn, and read the answer.

        :param job: the job that it is about, for its priority among the waiting requests; None goes first.
        :raises SegmindError: as :meth:`Call.read` says.
        """
        settings = self._settings or await self._resolve(None)
        await self._turn(job)
        try:
            return await self._send_once(call, settings)
        except SegmindAuthenticationError:
            renewed = await self._resolve(settings)
            if renewed == settings:
                raise
            await self._turn(job)
            return await self._send_once(call, renewed)

    async def _send_once(self, call: Call[T], settings: Settings) -> T:
        import aiohttp
        from yarl import URL

        url = URL(settings.base_url(call.host) + call.path, encoded=True)
        if call.query:
            url = url.with_query(call.query)
        try:
            # Waiting for a free connection does not count against the request's timeout.
            async with (
                self._free,
                self._open(settings).request(
                    call.method,
                    url,
                    headers={"x-api-key": settings.api_key},
                    allow_redirects=False,
                    proxy=self._proxy(settings.base_url(call.host)),
                ) as response,
            ):
                status_code, headers = response.status, response.headers
                came = Body(headers, call.largest_answer)
                async for chunk in response.content.iter_any():
                    came.add(chunk)
        except aiohttp.ClientConnectorError as exc:
            raise call.never_sent(exc) from None
        except BodyError as exc:
            raise call.no_answer(f"the answer is not read: {exc}") from None
        except aiohttp.ClientResponseError as exc:  # it quotes a line's begin, which may end within the key
            raise call.no_answer(f"its head cannot be read, {type(exc).__name__}") from None
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as exc:  # the last from a bad address or header
            raise call.no_answer(str(exc) or type(exc).__name__) from None
        body = came.whole()
        try:
            if len(body) > READ_AT_ONCE:
                return await asyncio.to_thread(call.read, status_code, headers, body)
            return call.read(status_code, headers, body)
        except SegmindRateLimitError as error:
            await self._pause(error)
            raise

    def _open(self, settings: Settings) -> aiohttp.ClientSession:
        import aiohttp

        from airflow_provider_kling.hooks.response_limits import bounded

        if self._session is None:
            hide_in_logs("aiohttp.client", "aiohttp.internal")
            self._session = aiohttp.ClientSession(
                connector=bounded(aiohttp.TCPConnector(limit=SIZE, keepalive_timeout=KEEPALIVE)),
                headers=identity(),
                timeout=aiohttp.ClientTimeout(
                    total=CONNECT_TIMEOUT + settings.timeout, sock_connect=CONNECT_TIMEOUT, sock_read=settings.timeout
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            )
        return self._session

    def _proxy(self, base_url: str) -> str | None:
        """Return the proxy for a host; aiohttp's own lookup takes a thread for each request."""
        if base_url not in self._proxies:
            self._proxies[base_url] = proxy_for(base_url)
        return self._proxies[base_url]

    async def _resolve(self, refused: Settings | None) -> Settings:
        """Return the settings; ask Airflow if there are none, or if these were refused."""
        async with self._resolving:
            if self._settings is None or self._settings is refused:
                from airflow.providers.common.compat.connection import get_async_connection
                from asgiref.sync import sync_to_async

                # The import takes longer than the event loop may be blocked.
                await asyncio.to_thread(import_module, "aiohttp")
                try:
                    connection = await get_async_connection(self.conn_id)
                except AirflowNotFoundException:
                    raise missing(self.conn_id) from None
                except Exception as exc:  # noqa: BLE001 because a secrets backend may raise anything
                    # It says nothing about the job. Its text is left out, because it may quote the connection.
                    raise SegmindConnectionError(
                        f"Connection {self.conn_id!r} cannot be read now ({type(exc).__name__}).", sent=False
                    ) from None
                # In a thread that knows this loop: Airflow's masker uses it to ask the triggerer's supervisor.
                settings = await sync_to_async(read_settings)(connection)
                await self._share(settings)
                self._settings, self._was_resolved = settings, True
            return self._settings

    async def _share(self, settings: Settings) -> None:
        """Share the rate limit and observed durations with other processes, if there is a ledger."""
        from airflow_provider_kling.hooks.shared_turns import LeasedTurns, shared_rate, triggerers_ledger

        database = await triggerers_ledger(log)
        self.durations.use(database, settings.host)
        self._leased = None
        if database is not None:
            self._leased = LeasedTurns(await asyncio.to_thread(shared_rate, database, settings), log)

    def _limiter_now(self) -> RateLimiter | LeasedTurns:
        if self._settings is None:
            raise AssertionError("a turn is asked for after the settings were read")
        leased = self._leased
        if leased is not None and leased.works:
            return leased
        allowed = self._settings.requests_per_minute / (1 if leased is None else leased.holders)
        if self._limiter is None or self._limiter.requests_per_minute != allowed:
            self._limiter = RateLimiter(allowed)
        return self._limiter

    async def _pause(self, error: SegmindRateLimitError) -> None:
        now = time.time()
        reset = datetime.fromisoformat(error.reset_at).timestamp() if error.reset_at else now + UNTOLD_RESET
        reset, limiter = min(reset, now + LONGEST_RESET), self._limiter_now()
        if reset > limiter.next_slot(now):
            limiter.pause(reset)
            if self._leased is not None:
                await self._leased.pause_all(reset - now)
            # In a thread: logs go through a pipe to another process, which may be busy.
            await asyncio.to_thread(
                log.warning,
                "%s Polling through connection %r is paused until %s UTC.",
                error,
                self.conn_id,
                f"{datetime.fromtimestamp(reset, UTC):%H:%M:%S}",
            )

    async def _turn(self, job: Job | None) -> None:
        """Wait until the rate limit allows one more request and no other waiting request goes first."""
        limiter, now = self._limiter_now(), time.time()
        if not self._waiting and limiter.next_slot(now) <= now:
            limiter.take(now)
            return
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[granted] = job
        if self._granting is None or self._granting.done():
            self._granting = asyncio.create_task(self._grant())
        try:
            await granted
        finally:
            self._waiting.pop(granted, None)

    async def _grant(self) -> None:
        """Grant turns until no request waits."""
        while self._waiting:
            if self._leased is not None:
                await self._leased.fill(len(self._waiting))
            limiter, now = self._limiter_now(), time.time()
            slot = limiter.next_slot(now)
            if slot > now:
                await asyncio.sleep(slot - now)
                continue
            # Several turns are granted together: ranking ten thousand jobs for each would block the loop.
            count = limiter.grants(now, GRANT_EVERY)
            bound = longest_unpolled(len(self._waiting), limiter.spacing)
            waiting = list(self._waiting)
            for number in in_turn(self._waiting.values(), now, bound=bound, count=count):
                granted = waiting[number]
                limiter.take(now)
                if not granted.done():
                    granted.set_result(None)
                self._waiting.pop(granted, None)
            await asyncio.sleep(0)


_POOLS: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Pool]] = WeakKeyDictionary()
