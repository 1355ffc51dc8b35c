"""What all waits of one connection share: counted on the simulator's side."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest

from airflow_provider_kling.hooks.response_limits import bounded
from airflow_provider_kling.hooks.segmind import SegmindAsyncHook, SegmindHook
from airflow_provider_kling.segmind import errors
from airflow_provider_kling.simulator import Simulator
from airflow_provider_kling.triggers.kling import KlingTrigger
from airflow_provider_kling.triggers.last_poll import within
from tests.conftest import connection_json


@pytest.fixture
async def request_id(conn_id, pictures):
    receipt = await asyncio.to_thread(
        SegmindHook(conn_id).submit, "kling-o1", {"prompt": "@Image1", "image_urls": pictures}
    )
    return receipt.request_id


def gets(sim):
    return [request for request in sim.requests() if request["method"] == "GET"]


def trigger_for(request_id, conn_id, **fields):
    deadline = datetime.now(tz=UTC) + timedelta(seconds=60)
    return KlingTrigger(request_id, deadline.isoformat(), conn_id, **{"poll_interval": 0.05, **fields})


def refuse_until(sim, after):
    """Answer one request with a 429 whose limit is reset after that time; return when."""
    reset = datetime.now(tz=UTC) + after
    headers = {"x-rate-limit-reset-at-utc": reset.isoformat()}
    sim.order_fault("respond", method="GET", status=429, headers=headers, body={"error": "rate_limit_exceeded"})
    return reset


async def only_event(trigger):
    (event,) = [event async for event in trigger.run()]
    return event.payload


async def test_all_hooks_of_a_loop_share_one_session_that_closes_with_the_last(conn_id, request_id):
    async with SegmindAsyncHook(conn_id) as one:
        async with SegmindAsyncHook(conn_id) as other:
            assert one.pool is other.pool
            await asyncio.gather(*(hook.get_status(request_id) for hook in (one, other) * 20))
            session = one.pool._session
            assert not session.closed
        assert not session.closed
    assert session.closed
    async with SegmindAsyncHook(conn_id) as again:
        assert (await again.get_status(request_id)).status


async def test_a_cancelled_wait_leaves_the_others_alone(sim, conn_id, request_id):
    sim.order_fault("delay", method="GET", seconds=0.3, times=3)
    cancelled = [asyncio.create_task(only_event(trigger_for(request_id, conn_id))) for _ in range(10)]
    kept = asyncio.create_task(only_event(trigger_for(request_id, conn_id)))
    await asyncio.sleep(0.1)
    for task in cancelled:
        task.cancel()
    assert "result" in await kept
    assert all(
        isinstance(end, asyncio.CancelledError) for end in await asyncio.gather(*cancelled, return_exceptions=True)
    )


async def test_a_connection_is_resolved_once_and_again_when_its_key_is_refused(sim, conn_id, request_id, monkeypatch):
    good = connection_json(sim)
    monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", connection_json(sim, password="SG_old"))
    async with SegmindAsyncHook(conn_id) as hook:
        with pytest.raises(errors.SegmindAuthenticationError):
            await hook.get_status(request_id)
        monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", good)
        assert (await hook.get_status(request_id)).status
        monkeypatch.delenv("AIRFLOW_CONN_SEGMIND_DEFAULT")
        assert (await hook.get_status(request_id)).status


async def test_the_requests_per_minute_are_never_exceeded_however_many_wait(monkeypatch, caplog):
    with Simulator(time_scale=400, requests_per_minute=120, height=72) as sim:
        monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", connection_json(sim, extra={"requests_per_minute": 120}))
        receipt = await asyncio.to_thread(SegmindHook().submit, "kling-3-text2image", {"prompt": "a fox"})
        waits = (only_event(trigger_for(receipt.request_id, "segmind_default")) for _ in range(20))
        assert all("result" in event for event in await asyncio.gather(*waits))
        assert {request["status"] for request in gets(sim)} == {200}


async def test_a_wait_that_begins_after_the_last_one_has_ended_finds_its_requests_used_up(
    sim, conn_id, request_id, set_connection
):
    other = set_connection(extra={"requests_per_minute": 60})
    for polls in (9, 1):  # nine go out at once after a quiet time
        async with SegmindAsyncHook(other) as hook:
            for _ in range(polls):
                await hook.get_status(request_id)
    times = [request["time"] for request in gets(sim)]
    assert times[8] - times[0] < 1 < times[9] - times[0]


async def test_a_429_stops_all_of_the_connection_until_the_limit_is_reset_and_fails_no_job(
    sim, conn_id, request_id, caplog, set_connection
):
    other = set_connection(extra={"requests_per_minute": 6000})
    reset = refuse_until(sim, timedelta(seconds=2))
    with caplog.at_level(logging.WARNING):
        events = await asyncio.gather(*(only_event(trigger_for(request_id, other)) for _ in range(20)))
    assert all("result" in event for event in events)
    polls = [request["time"] for request in gets(sim)]
    early = [at for at in polls if at < reset.timestamp() - 0.2]
    assert len(early) <= 20  # those that were on their way
    assert caplog.text.count("Polling through connection") == 1


async def test_a_reset_that_is_a_day_away_stops_the_connection_for_little_more_than_a_minute(
    sim, conn_id, request_id, caplog
):
    refuse_until(sim, timedelta(days=1))
    async with SegmindAsyncHook(conn_id) as hook:
        with caplog.at_level(logging.WARNING), pytest.raises(errors.SegmindRateLimitError):
            await hook.get_status(request_id)
    told = datetime.strptime(caplog.text.rpartition(" until ")[2].strip(), "%H:%M:%S UTC.").replace(tzinfo=UTC).time()
    until = datetime.combine(datetime.now(tz=UTC), told, UTC)
    if until < datetime.now(tz=UTC):
        until += timedelta(days=1)
    assert timedelta(seconds=50) < until - datetime.now(tz=UTC) < timedelta(seconds=71)


async def test_a_look_that_has_no_turn_ends_soon_after_its_waits_deadline_and_says_why(sim, conn_id, request_id):
    refuse_until(sim, timedelta(days=1))
    async with SegmindAsyncHook(conn_id) as hook:
        with pytest.raises(errors.SegmindRateLimitError):
            await hook.get_status(request_id)
        with pytest.raises(errors.SegmindConnectionError, match="requests per minute are used up"):
            await within(datetime.now(tz=UTC) + timedelta(seconds=0.5), hook.get_status(request_id), seconds=0.5)
    assert len(gets(sim)) == 1


async def test_one_request_tells_status_and_result_where_the_result_answers_for_a_running_job(sim, conn_id, request_id):
    assert "result" in await only_event(trigger_for(request_id, conn_id))
    assert not [request for request in gets(sim) if request["path"].endswith("/status")]


@pytest.mark.parametrize("status", [404, 400])
async def test_where_it_does_not_the_status_is_asked_for(sim, conn_id, request_id, status):
    sim.order_fault(
        "respond", method="GET", path=f"/v2/requests/{request_id}", status=status, body={"error": "not ready"}
    )
    sim.order_fault(
        "respond", method="GET", path="/v2/requests/*/status", status=200, times=3, body={"status": "PROCESSING"}
    )
    assert "result" in await only_event(trigger_for(request_id, conn_id))
    paths = [request["path"].removeprefix(f"/v2/requests/{request_id}") for request in gets(sim)]
    assert paths[:4] == ["", "/status", "/status", "/status"]
    assert paths[-2:] == ["/status", ""]


async def test_polls_that_follow_each_other_share_one_connection():
    """Of a server that sends head and body at once, as most do, and as the simulator does not."""
    opened = 0

    async def answer(reader, writer):
        nonlocal opened
        opened += 1
        with suppress(asyncio.IncompleteReadError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with aiohttp.ClientSession(connector=bounded(aiohttp.TCPConnector())) as session:
        for _ in range(20):
            async with session.get(url) as told:
                assert await told.read() == b"{}"
    server.close()
    assert opened == 1
