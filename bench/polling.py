"""What a poll costs: the CPU of a thousand waits in one event loop, against a bare loop over one pooled session."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import psutil
import requests
from rich.table import Table

from airflow_provider_kling.hooks.pool import SIZE
from airflow_provider_kling.triggers.kling import KlingTrigger
from bench.pacing import row
from bench.tls_server import certificate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from rich.console import Console

WAITS = 1000
#: Seconds of one measurement, and how often each is taken, in turns.
SECONDS, ROUNDS = 6.0, 3
#: Waits that are in the loop to measure what they weigh, and for how many seconds.
CROWD, CROWD_SECONDS = 10_000, 25.0
#: Seconds until all waits are under way.
WARM_UP = 3.0
#: Seconds between two polls of one wait: the loop is busy all the time.
INTERVAL = 0.1
CONN_ID = "segmind_bench"


def run(console: Console) -> None:
    """Print the measurements."""
    console.print(f"{WAITS} waits over TLS, {ROUNDS} rounds of {SECONDS:g} s for each side …")
    with _server() as (url, trusted):
        extra = {"requests_per_minute": 1e9}
        connection = {"conn_type": "segmind", "host": url, "password": "SG_bench", "extra": extra}
        # A process of its own: aiohttp reads the certificates that it trusts when it is imported.
        done = subprocess.run(
            [sys.executable, "-m", "bench.polling", url],
            env={
                **os.environ,
                "SSL_CERT_FILE": str(trusted),
                f"AIRFLOW_CONN_{CONN_ID.upper()}": json.dumps(connection),
            },
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    told = json.loads(done.stdout.splitlines()[-1])
    ratio = told["ours"] / told["bare"]
    table = Table(title="Polling", title_justify="left")
    for heading in ("measure", "must be", "measured", ""):
        table.add_column(heading)
    what = f"client CPU for each poll, {WAITS} triggers in one loop, against a bare pooled aiohttp loop"
    micro = f"{ratio:.2f} x ({told['ours'] * 1e6:.0f} against {told['bare'] * 1e6:.0f} us)"
    row(table, what, "<= 1.5 x", micro, ratio <= 1.5)
    row(table, f"TLS handshakes of {WAITS} waits", f"<= {SIZE}", str(told["handshakes"]), told["handshakes"] <= SIZE)
    row(
        table,
        f"longest block of the loop, {CROWD} triggers by their schedule",
        "<= 0.1 s",
        f"{told['block']:.3f} s",
        told["block"] <= 0.1,
    )
    row(table, "memory of each of them", "<= 15 KB", f"{told['memory'] / 1024:.1f} KB", told["memory"] <= 15 * 1024)
    console.print(table)


def measure(url: str) -> dict[str, float]:
    """Return the seconds of CPU for each poll of both sides, taken in turns, and the handshakes of ours."""
    crowd = asyncio.run(_crowd())  # first, before anything has left free memory behind
    bare, ours, handshakes = [], [], 0
    for _ in range(ROUNDS):
        bare.append(_measure(url, lambda: _bare_loop(url))[0])
        cost, opened = _measure(url, _triggers)
        ours.append(cost)
        handshakes = max(handshakes, opened)
    return {"bare": min(bare), "ours": min(ours), "handshakes": handshakes, **crowd}


async def _crowd() -> dict[str, float]:
    """Return the longest block of the loop in seconds, and the memory of each wait in bytes."""
    deadline = (datetime.now(tz=UTC) + timedelta(hours=1)).isoformat()
    lags = [0.0]

    async def watch() -> None:
        while True:
            slept = time.perf_counter()
            await asyncio.sleep(0.01)
            lags.append(time.perf_counter() - slept - 0.01)

    async def one(number: int) -> None:
        trigger = KlingTrigger(f"c{number}", deadline, CONN_ID, model="kling-o1", usual_latency=197.0)
        async for _ in trigger.run():
            return

    gc.collect()
    memory = psutil.Process().memory_info().rss
    watching = asyncio.create_task(watch())
    waits = []
    for number in range(CROWD):
        waits.append(asyncio.create_task(one(number)))
        if number % 50 == 0:  # as a triggerer does, which starts them one by one
            await asyncio.sleep(0)
    await asyncio.sleep(CROWD_SECONDS)
    watching.cancel()
    gc.collect()
    memory = psutil.Process().memory_info().rss - memory
    for wait in [watching, *waits]:
        wait.cancel()
    await asyncio.gather(watching, *waits, return_exceptions=True)
    return {"block": max(lags), "memory": memory / CROWD}


def _measure(url: str, poll: Callable[[], Awaitable[None]]) -> tuple[float, int]:
    """Return the seconds of CPU for each poll, and the connections that were opened."""
    gc.collect()
    first = _counts(url)["connections"]
    used, polls = asyncio.run(_for_a_while(url, poll))
    asking = 3  # the connections of _counts itself
    return used / polls, _counts(url)["connections"] - first - asking


def _counts(url: str) -> dict[str, int]:
    answer = requests.get(f"{url}/counts", timeout=10, verify=os.environ["SSL_CERT_FILE"])
    counted: dict[str, int] = answer.json()
    return counted


async def _for_a_while(url: str, poll: Callable[[], Awaitable[None]]) -> tuple[float, int]:
    """Poll for a while; return the CPU used and the polls sent once all are under way."""

    async def waits() -> None:
        await poll()

    task = asyncio.create_task(waits())
    await asyncio.sleep(WARM_UP)
    before, begun = await asyncio.to_thread(_counts, url), time.process_time()
    await asyncio.sleep(SECONDS)
    used, after = time.process_time() - begun, await asyncio.to_thread(_counts, url)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return used, after["polls"] - before["polls"]


async def _bare_loop(url: str) -> None:
    """Poll as a programmer does who knows aiohttp and needs nothing else."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=SIZE)) as session:

        async def one(number: int) -> None:
            while True:
                async with session.get(f"{url}/v2/requests/r{number}/status") as response:
                    if (await response.json())["status"] == "COMPLETED":
                        return
                await asyncio.sleep(INTERVAL)

        await asyncio.gather(*(one(number) for number in range(WAITS)))


async def _triggers() -> None:
    """Wait with the provider's own triggers."""
    deadline = (datetime.now(tz=UTC) + timedelta(hours=1)).isoformat()

    async def one(number: int) -> None:
        async for _ in KlingTrigger(f"r{number}", deadline, CONN_ID, INTERVAL).run():
            return

    await asyncio.gather(*(one(number) for number in range(WAITS)))


@contextmanager
def _server() -> Iterator[tuple[str, Path]]:
    with tempfile.TemporaryDirectory() as folder:
        file = certificate(Path(folder))
        command = [sys.executable, "-m", "bench.tls_server", folder]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            if process.stdout is None or process.stdin is None:
                raise RuntimeError("the server has no pipes")
            yield f"https://127.0.0.1:{int(process.stdout.readline())}", file
            process.stdin.close()
            process.wait(10)


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1])))
