"""
A proxy in front of Airflow's API servers, one address for all of them.

It can hold one request, so that its sender dies meanwhile.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import web

from tests.conftest import AIRFLOW_3_2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: What a load balancer may send to another server although the first one may have had it.
_REPEATABLE = {"GET", "HEAD"}
#: What ends a held request. Below 3.2 a refused XCom ends the whole LocalExecutor, which cannot pickle the error.
_NOT_AGAIN = 410 if AIRFLOW_3_2 else 201
_HOP_BY_HOP = {"connection", "content-length", "transfer-encoding", "host", "content-encoding"}


@dataclass
class Hold:
    """An order to hold the next request that matches; it is never forwarded."""

    method: str
    path: str
    holds: Callable[[Any], bool]
    reached: threading.Event = field(default_factory=threading.Event)
    let_go: threading.Event = field(default_factory=threading.Event)

    def covers(self, method: str, path: str, body: bytes) -> bool:
        """Whether this is the request; its body is JSON or empty."""
        if method != self.method or not re.search(self.path, path):
            return False
        try:
            return self.holds(json.loads(body) if body else None)
        except (ValueError, TypeError, KeyError, AttributeError):
            return False


class Proxy:
    """
    Forwards everything to the API servers in turn, save what is held.

    :param targets: their addresses; one that does not answer is passed over, as a load balancer does.
    """

    def __init__(self, *targets: str) -> None:
        self.targets = list(targets)
        self.url = ""
        self._turn = itertools.count()
        self._holds: list[Hold] = []
        #: The task instances that a worker has begun to run, one for each time.
        self.worker_starts: list[str] = []
        self._lock = threading.Lock()

    def hold(self, method: str, path: str, holds: Callable[[Any], bool]) -> Hold:
        """Hold the next request that matches."""
        hold = Hold(method, path, holds)
        with self._lock:
            self._holds.append(hold)
        return hold

    @contextmanager
    def serving(self, port: int) -> Iterator[Proxy]:
        """Serve in a thread of its own."""
        started, loop = threading.Event(), asyncio.new_event_loop()
        stop = asyncio.Event()

        async def serve() -> None:
            app = web.Application(client_max_size=2**28)
            app.router.add_route("*", "/{anything:.*}", self._handle)
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", port).start()
            self._session = aiohttp.ClientSession(auto_decompress=False, connector=aiohttp.TCPConnector(limit=0))
            self.url = f"http://127.0.0.1:{port}"
            started.set()
            await stop.wait()
            await self._session.close()
            await runner.cleanup()

        thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
        thread.start()
        started.wait()
        try:
            yield self
        finally:
            for hold in self._holds:
                hold.let_go.set()
            loop.call_soon_threadsafe(stop.set)
            thread.join(20)

    def _taken(self, method: str, path: str, body: bytes) -> Hold | None:
        with self._lock:
            for hold in self._holds:
                if not hold.reached.is_set() and hold.covers(method, path, body):
                    hold.reached.set()
                    return hold
        return None

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if begun := re.search("/task-instances/([^/]+)/run$", request.path):
            self.worker_starts.append(begun[1])
        if held := self._taken(request.method, request.path, body):
            await asyncio.to_thread(held.let_go.wait, 120)
            # Airflow's client sends again after a 5xx or a reset; after this it does not.
            return web.json_response({"detail": "the worker that sent this is gone"}, status=_NOT_AGAIN)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP}
        problem = "no server"
        for _ in self.targets:
            target = self.targets[next(self._turn) % len(self.targets)]
            try:
                return await self._forwarded(target, request, headers, body)
            except aiohttp.ClientConnectorError as error:
                problem = str(error)
            except aiohttp.ClientError as error:
                problem = str(error)
                if request.method not in _REPEATABLE:
                    break
        return web.Response(status=502, text=problem)

    async def _forwarded(
        self, target: str, request: web.Request, headers: dict[str, str], body: bytes
    ) -> web.StreamResponse:
        async with self._session.request(
            request.method,
            target + str(request.rel_url),
            data=body,
            headers=headers,
            skip_auto_headers=["Content-Type"],  # Airflow 3.0's workers send none, and its server refuses another
            allow_redirects=False,
        ) as answer:
            told = {
                name: value
                for name, value in answer.headers.items()
                if name.lower() not in _HOP_BY_HOP - {"content-encoding"}
            }
            return web.Response(status=answer.status, body=await answer.read(), headers=told)
