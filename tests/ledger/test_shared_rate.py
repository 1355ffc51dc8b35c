"""One rate limit for all processes of an account, in each database, and over real sockets."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from airflow_provider_kling.hooks.segmind import SegmindHook
from airflow_provider_kling.ledger.shared_rate import SharedRate
from airflow_provider_kling.polling.rate_limit import shared_spacing
from airflow_provider_kling.segmind.errors import SegmindRateLimitError
from airflow_provider_kling.simulator import Simulator
from airflow_provider_kling.triggers.kling import KlingTrigger
from tests.conftest import connection_json
from tests.polling.test_shared_turns import busiest


def test_of_many_that_ask_at_once_each_gets_turns_of_its_own(database):
    rate = SharedRate(database, "a", 600)
    begun = time.time()

    def ask(number):
        lease = rate.lease(3, within=5.0, holder=f"triggerer {number % 3}" if number % 2 else None)
        return [time.time() + delay for delay in lease.delays], lease.holders

    with ThreadPoolExecutor(13) as pool:
        leases = list(pool.map(ask, range(26)))
    turns = sorted(turn for times, _ in leases for turn in times)
    assert 50 <= len(turns) <= 78
    assert turns[-1] - begun <= 5 + 3
    assert leases[-1][1] >= 1
    assert SharedRate(database, "b", 600).lease(50, within=5.0).delays[0] == 0  # another account is another limit


def test_turns_of_several_leases_are_as_far_apart_as_those_of_one(database):
    rate = SharedRate(database, "a", 600)
    turns = []
    for _ in range(3):
        begun = time.time()
        turns += [begun + delay for delay in rate.lease(60, within=30.0).delays]
    after_the_burst = [turn for turn in turns if turn > turns[0] + 1]
    gaps = [later - earlier for earlier, later in pairwise(after_the_burst)]
    assert len(gaps) > 100
    assert sum(gaps) / len(gaps) == pytest.approx(shared_spacing(600), rel=0.05)
    assert max(gaps) < 3 * shared_spacing(600)


def test_a_pause_holds_for_all(database):
    rate = SharedRate(database, "a", 60)
    rate.pause(30)
    lease = SharedRate(database, "a", 60).lease(1, within=5.0)
    assert lease.delays == []
    assert lease.next_in == pytest.approx(30, abs=2)


@pytest.fixture
def limited(ledger, monkeypatch):
    """Yield a simulator that answers 429 above 120 requests in a minute."""
    with Simulator(time_scale=60, requests_per_minute=120, height=72) as simulator:
        monkeypatch.setenv(
            "AIRFLOW_CONN_SEGMIND_DEFAULT", connection_json(simulator, extra={"requests_per_minute": 120})
        )
        yield simulator


def wait_for_some(count):
    """Wait for jobs that do not exist for long: each poll is a request; on a loop of its own, as a triggerer."""
    deadline = (datetime.now(tz=UTC) + timedelta(seconds=8)).isoformat()

    async def one(number):
        trigger = KlingTrigger(f"00000000-0000-4000-8000-{number:012d}", deadline, "segmind_default", 0.05)
        async for _ in trigger.run():
            return

    async def all_of_them():
        await asyncio.gather(*(one(number) for number in range(count)))

    asyncio.run(all_of_them())


def test_three_triggerers_and_ten_workers_never_meet_the_limit(limited):
    errors = []

    def work():
        hook = SegmindHook()
        until = time.monotonic() + 8
        while time.monotonic() < until:
            try:
                hook.get_credits()
            except SegmindRateLimitError as error:
                errors.append(error)
                time.sleep(0.2)

    threads = [threading.Thread(target=wait_for_some, args=(20,)) for _ in range(3)]
    threads += [threading.Thread(target=work) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asked = limited.requests()
    assert [request for request in asked if request["status"] == 429] == []
    assert all("taken by other tasks" in str(error) for error in errors)
    assert len(asked) > 15
    assert busiest([request["time"] for request in asked]) <= 120


def test_without_an_answer_of_the_ledger_waits_go_on(limited, monkeypatch):
    import json

    away = {"conn_type": "postgres", "host": "127.0.0.1", "port": 9, "login": "x", "schema": "x"}
    monkeypatch.setenv("AIRFLOW_CONN_MY_LEDGER", json.dumps(away))
    assert SegmindHook().get_credits().total > 0
    wait_for_some(2)
    assert len(limited.requests()) > 3
