"""Start and stop a simulator: `serve` in the event loop at hand, `Simulator` in a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import tempfile
import threading
from contextlib import asynccontextmanager
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from aiohttp import web

from airflow_provider_kling.simulator import account, admin, api, public_files
from airflow_provider_kling.simulator.faults import Order
from airflow_provider_kling.simulator.history_habits import Habits
from airflow_provider_kling.simulator.ledger import ledger
from airflow_provider_kling.simulator.middleware import gate
from airflow_provider_kling.simulator.service import SERVICE, Service
from airflow_provider_kling.simulator.settings import DEFAULT_API_KEY, Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

LARGEST_BODY = 512 * 1024**2

T = TypeVar("T")
log = logging.getLogger(__name__)


@asynccontextmanager
async def serve(settings: Settings, port: int) -> AsyncIterator[tuple[str, Service]]:
    """Serve until the block ends, and give the base URL. Files made meanwhile are deleted at the end."""
    with tempfile.TemporaryDirectory(prefix="segmind-simulator-") as folder:
        service = Service(settings, Path(folder))
        app = web.Application(middlewares=[gate], client_max_size=LARGEST_BODY)
        app[SERVICE] = service
        app.on_response_prepare.append(_tell_the_time)
        # Account routes first: `/v1/get-user-credits` is not a model, and `/v2/requests/...` no slug.
        for routes in (account.ROUTES, admin.ROUTES, public_files.ROUTES, api.ROUTES):
            app.add_routes(routes)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        try:
            site = web.TCPSite(runner, settings.host, port)
            await site.start()
            name = f"[{settings.host}]" if ":" in settings.host else settings.host
            yield f"http://{name}:{runner.addresses[0][1]}", service
        finally:
            service.closing.set()
            # Before the server: a job fetches its inputs from it, and asyncio never answers a connection that is
            # accepted while a server closes.
            await service.studio.close()
            await runner.cleanup()


async def _tell_the_time(request: web.Request, response: web.StreamResponse) -> None:
    """Head each answer with the time that this service takes it to be."""
    response.headers["Date"] = formatdate(request.app[SERVICE].clock.now(), usegmt=True)


class Simulator:
    """A Segmind on a free loopback port, in a thread of its own, for as long as the `with` block lasts.

    `time_scale` shortens the wait for a job; expiry is not shortened, `advance` moves the clock for that.
    `history` says in what the request history behaves otherwise than usual: see `habits.Habits`.
    """

    def __init__(
        self,
        *,
        time_scale: float = 20.0,
        requests_per_minute: int = 60,
        credits: float = 100.0,  # noqa: A002  Segmind's own word
        height: int = 720,
        api_key: str = DEFAULT_API_KEY,
        upload_key: str = "file_urls",
        retired: Sequence[str] = (),
        history: Mapping[str, Any] | None = None,
    ) -> None:
        self.api_key = api_key
        self.url = ""
        self._settings = Settings(
            api_key=api_key,
            time_scale=time_scale,
            requests_per_minute=requests_per_minute,
            credits=credits,
            height=height,
            upload_key=upload_key,
            retired=tuple(retired),
            history=Habits.read(dict(history or {})),
        )
        self._started = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._service: Service | None = None
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, name="segmind-simulator", daemon=True)
        self._thread.start()
        self._started.wait()
        if self._error is not None:
            raise self._error
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        if self._thread is not None:
            self._thread.join()

    def ledger(self) -> dict[str, Any]:
        """List the accepted jobs with their cost, and the totals."""
        return self._inside(lambda service: ledger(service.books, self.url))

    def uploads(self) -> list[dict[str, Any]]:
        """List the files that were uploaded, oldest first, one entry for each time."""
        return self._inside(lambda service: service.uploads(self.url))

    def requests(self) -> list[dict[str, Any]]:
        """List the API requests received, oldest first. The key is in none of them."""
        return self._inside(lambda service: service.journal.calls())

    def downloads(self) -> list[dict[str, Any]]:
        """List the requests for public files, the simulator's own for its inputs among them."""
        return self._inside(lambda service: service.journal.downloads())

    def order_fault(
        self,
        kind: str,
        *,
        method: str | None = None,
        path: str = "/v[12]/*",
        model: str | None = None,
        times: int = 1,
        **details: Any,
    ) -> None:
        """Let the next `times` matching requests go wrong; `details` are the fault's own fields."""
        order = Order.read(
            {
                "match": {"method": method, "path": path, "model": model},
                "times": times,
                "fault": {"kind": kind, **details},
            }
        )
        self._inside(lambda service: service.faults.order(order))

    def clear_faults(self) -> None:
        """Withdraw every fault that has not struck yet."""
        self._inside(lambda service: service.faults.clear())

    def change_history(self, **habits: Any) -> None:
        """Let the history behave otherwise from now on, in what is named; the rest is as usual."""
        changed = Habits.read(habits)

        def change(service: Service) -> None:
            service.habits = changed

        self._inside(change)

    def rotate_key(self, api_key: str) -> None:
        """Give the account another key; the old one is refused from now on."""

        def rotate(service: Service) -> None:
            service.api_key = api_key

        self._inside(rotate)
        self.api_key = api_key

    def advance(self, seconds: float) -> None:
        """Move the simulator's clock on."""
        self._inside(lambda service: service.clock.advance(seconds))

    def top_up(self, credits: float) -> None:  # noqa: A002  Segmind's own word
        """Add credits to the balance."""

        def add(service: Service) -> None:
            service.books.credits += credits

        self._inside(add)

    def _inside(self, act: Callable[[Service], T]) -> T:
        """Act in the simulator's own thread, which alone may touch its state, or here once it has stopped."""
        if self._service is None or self._loop is None:
            raise RuntimeError("the simulator has not been started: use it as `with Simulator() as simulator:`")
        service = self._service
        if self._loop.is_closed():
            return act(service)

        async def acting() -> T:
            return act(service)

        return asyncio.run_coroutine_threadsafe(acting(), self._loop).result()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._error = error
            if self._started.is_set():
                log.exception("the simulator stopped")
        finally:
            self._started.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        async with serve(self._settings, 0) as (self.url, self._service):
            self._started.set()
            await self._stop.wait()
