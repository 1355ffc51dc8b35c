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

from airflow_provider_kling.hooks.segmind_async import SegmindAsyncHook
from airflow_provider_kling.hooks.session_pool import SIZE
from airflow_provider_kling.triggers.kling import KlingTrigger
from bench import peers
from bench.report import verdict, verdicts
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
CONN_ID, DBT_CONN_ID = "segmind_bench", "dbt_bench"
#: Seconds that a job takes, and for which jobs are followed to count connections.
LATENCY, WAIT_SECONDS = 197.0, 300.0


@contextmanager
def waiting() -> Iterator[subprocess.Popen[str]]:
    """Begin the measurement that takes minutes and next to no CPU; :func:`run` takes its outcome."""
    with _server() as (url, trusted), _process("waits", url, trusted) as process:
        yield process


def run(console: Console, waits: subprocess.Popen[str]) -> None:
    """Print the measurements."""
    console.print(f"{WAITS} waits over TLS, {ROUNDS} rounds of {SECONDS:g} s for each side …")
    with _server() as (url, trusted):
        told = {
            **_outcome(waits),
            **_outcome(_process("crowd", url, trusted)),
            **_outcome(_process("polls", url, trusted)),
        }
    table = verdicts("Polling")
    what = f"client CPU for each poll, {WAITS} triggers in one loop, against"
    for name, side, limit in (
        ("a bare pooled aiohttp loop", "bare", 1.5),
        ("DbtCloudRunJobTrigger 4.11.1", "dbt", 0.2),
    ):
        ratio = told["ours"] / told[side]
        micro = f"{ratio:.2f} x ({told['ours'] * 1e6:.0f} against {told[side] * 1e6:.0f} us)"
        verdict(table, f"{what} {name}", f"<= {limit:g} x", micro, ratio <= limit)
    verdict(
        table,
        f"TLS handshakes for {WAITS} jobs waiting {WAIT_SECONDS / 60:g} minutes",
        f"<= {SIZE}",
        f"{told['handshakes']} ({told['polls']} polls)",
        told["handshakes"] <= SIZE,
    )
    what = f"longest block of the loop, {CROWD} triggers by their schedule"
    verdict(table, what, "<= 0.1 s", f"{told['block']:.3f} s", told["block"] <= 0.1)
    collected = (
        f"{told['block_collected']:.3f} s ({told['idle_collected']:.3f} s with {CROWD} bare tasks that sleep, "
        f"{told['nothing_collected']:.3f} s with none)"
    )
    what = "the same, with the runs of Python's garbage collector"
    verdict(table, what, "<= 0.1 s", collected, told["block_collected"] <= 0.1)
    verdict(table, "memory of each of them", "<= 15 KB", f"{told['memory'] / 1024:.1f} KB", told["memory"] <= 15 * 1024)
    console.print(table)


def _process(what: str, url: str, trusted: Path) -> subprocess.Popen[str]:
    """Start a measurement in a process of its own: aiohttp reads what it trusts when it is imported."""
    segmind = {"conn_type": "segmind", "host": url, "password": "SG_bench", "extra": {"requests_per_minute": 1e9}}
    dbt = {"conn_type": "dbt_cloud", "host": url.removeprefix("https://"), "login": "1", "password": "bench"}
    return subprocess.Popen(
        [sys.executable, "-m", "bench.polling", what, url],
        env={
            **os.environ,
            "PYTHONPATH": peers.path(),
            "SSL_CERT_FILE": str(trusted),
            "NO_PROXY": "127.0.0.1",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
            f"AIRFLOW_CONN_{CONN_ID.upper()}": json.dumps(segmind),
            f"AIRFLOW_CONN_{DBT_CONN_ID.upper()}": json.dumps(dbt),
        },
        stdout=subprocess.PIPE,
        text=True,
    )


def _outcome(process: subprocess.Popen[str]) -> dict[str, float]:
    printed, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"a measurement ended with {process.returncode}")
    told: dict[str, float] = json.loads(printed.splitlines()[-1])
    return told


def polls(url: str) -> dict[str, float]:
    """Return the seconds of CPU for each poll of each side, taken in turns."""
    asyncio.run(_understood())
    sides = {"bare": lambda: _bare_loop(url), "ours": _triggers, "dbt": _dbt_triggers}
    costs: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(ROUNDS):
        for side, poll in sides.items():
            costs[side].append(_measure(url, poll))
    return {side: min(measured) for side, measured in costs.items()}


def waits(url: str) -> dict[str, float]:
    """Return the connections that were opened for jobs that are followed by their schedule."""

    async def follow() -> None:
        now = datetime.now(tz=UTC)
        tasks = []
        for number in range(WAITS):
            # As on a busy day: submitted one after the other, over the time that a job takes.
            submitted = now - timedelta(seconds=LATENCY * number / WAITS)
            tasks.append(asyncio.create_task(_wait(f"w{number}", submitted)))
        await asyncio.sleep(WAIT_SECONDS)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    first = _counts(url)
    asyncio.run(follow())
    last = _counts(url)
    return {
        "handshakes": last["connections"] - first["connections"] - 1,  # of _counts itself
        "polls": last["polls"] - first["polls"],
    }


def crowd(_: str) -> dict[str, float]:
    """Return what ten thousand waits do to the loop, and weigh."""
    nothing = _collection()
    told = asyncio.run(_crowd())  # before anything has left free memory behind
    return {**told, "idle_collected": asyncio.run(_idle()), "nothing_collected": nothing}


async def _wait(request_id: str, submitted: datetime) -> None:
    deadline = (datetime.now(tz=UTC) + timedelta(hours=1)).isoformat()
    trigger = KlingTrigger(
        request_id,
        deadline,
        CONN_ID,
        model="kling-o1",
        submitted_at=submitted.isoformat(),
        usual_latency=LATENCY,
    )
    async for _ in trigger.run():
        return


async def _crowd() -> dict[str, float]:
    """Return the longest block of the loop in seconds, and the memory of each wait in bytes."""
    blocks, blocks_collected = [0.0], [0.0]
    begun = collected = 0.0

    def collecting(phase: str, _: dict[str, int]) -> None:
        nonlocal begun, collected
        if phase == "start":
            begun = time.perf_counter()
        else:
            collected += time.perf_counter() - begun

    async def watch() -> None:
        nonlocal collected
        while True:
            slept, collected = time.perf_counter(), 0.0
            await asyncio.sleep(0.01)
            block = time.perf_counter() - slept - 0.01
            blocks_collected.append(block)
            blocks.append(block - collected)

    gc.collect()
    memory = psutil.Process().memory_info().rss
    gc.callbacks.append(collecting)
    watching = asyncio.create_task(watch())
    tasks = []
    for number in range(CROWD):
        tasks.append(asyncio.create_task(_wait(f"c{number}", datetime.now(tz=UTC))))
        if number % 50 == 0:  # as a triggerer does, which starts them one by one
            await asyncio.sleep(0)
    await asyncio.sleep(CROWD_SECONDS)
    watching.cancel()
    gc.callbacks.remove(collecting)
    gc.collect()
    memory = psutil.Process().memory_info().rss - memory
    for task in [watching, *tasks]:
        task.cancel()
    await asyncio.gather(watching, *tasks, return_exceptions=True)
    return {"block": max(blocks), "block_collected": max(blocks_collected), "memory": memory / CROWD}


async def _idle() -> float:
    """Return the seconds of one run of the garbage collector beside as many tasks that only sleep."""
    tasks = [asyncio.create_task(asyncio.sleep(3600)) for _ in range(CROWD)]
    await asyncio.sleep(1)
    taken = _collection()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return taken


def _collection() -> float:
    gc.collect()
    begun = time.perf_counter()
    gc.collect()
    return time.perf_counter() - begun


def _measure(url: str, poll: Callable[[], Awaitable[None]]) -> float:
    """Return the seconds of CPU for each poll."""
    gc.collect()
    used, polled = asyncio.run(_for_a_while(url, poll))
    return used / polled


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


async def _understood() -> None:
    """Fail if the provider refuses the answers of the bench's server: errors would be measured in place of polls."""
    async with SegmindAsyncHook(CONN_ID) as hook:
        await hook.get_status("r1")


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


async def _dbt_triggers() -> None:
    """Wait with the dbt Cloud provider's triggers."""
    from airflow.providers.dbt.cloud.triggers.dbt import (  # type: ignore[import-not-found]  # the bench brings it
        DbtCloudRunJobTrigger,
    )

    async def one(number: int) -> None:
        async for _ in DbtCloudRunJobTrigger(DBT_CONN_ID, number, time.time() + 3600, INTERVAL, 1).run():
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
    print(json.dumps({"polls": polls, "waits": waits, "crowd": crowd}[sys.argv[1]](sys.argv[2])))
