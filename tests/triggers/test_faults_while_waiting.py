"""Many jobs wait while Segmind, or the way to it, is in trouble: each that completes is delivered."""

from __future__ import annotations

import asyncio
import socket
import time
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_kling.hooks.segmind import SegmindHook
from airflow_provider_kling.triggers.kling import KlingTrigger

JOBS = 30
MODEL = "kling-3-text2image"
#: As fast as the simulator of these tests.
TIME_SCALE = 400


@pytest.fixture
def request_ids(sim, conn_id):
    hook = SegmindHook(conn_id)
    return [hook.submit(MODEL, {"prompt": f"number {number}"}).request_id for number in range(JOBS)]


async def endings(request_ids, conn_id):
    """Wait for all jobs as a triggerer does, by their schedule; return how each wait ended."""
    now = datetime.now(tz=UTC)

    async def one(request_id):
        deadline = (now + timedelta(seconds=60)).isoformat()
        trigger = KlingTrigger(
            request_id, deadline, conn_id, model=MODEL, submitted_at=now.isoformat(), usual_latency=50.5
        )
        (event,) = [event async for event in trigger.run()]
        return event.payload

    return await asyncio.gather(*map(one, request_ids))


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"kind": "respond", "status": 500, "body": {"error": "internal"}}, id="500"),
        pytest.param({"kind": "respond", "status": 503, "body": "<html>Service Unavailable</html>"}, id="503"),
        pytest.param({"kind": "respond", "status": 200, "body": "<html>captive portal</html>"}, id="HTML"),
        pytest.param({"kind": "reset_before"}, id="reset"),
        pytest.param({"kind": "reset_after"}, id="reset after it was read"),
        pytest.param({"kind": "delay", "seconds": 3}, id="slow"),
        pytest.param({"kind": "respond", "status": 429, "body": {"error": "rate_limit_exceeded"}}, id="429 storm"),
    ],
)
async def test_no_job_that_completes_is_lost_to_looks_that_fail(sim, set_connection, request_ids, fault):
    conn_id = set_connection(extra={"time_scale": TIME_SCALE, "requests_per_minute": 60_000, "timeout": 0.5})
    if fault.get("status") == 429:
        reset = datetime.now(tz=UTC) + timedelta(seconds=2)
        fault = {**fault, "headers": {"x-rate-limit-reset-at-utc": reset.isoformat()}}
    sim.order_fault(method="GET", path="/v2/requests/*", times=2 * JOBS, **fault)

    ended = await endings(request_ids, conn_id)

    assert [event["result"]["urls"] for event in ended] == [[job["url"]] for job in sim.ledger()["jobs"]]
    assert len(sim.ledger()["jobs"]) == JOBS


async def test_no_job_that_completes_is_lost_while_names_do_not_resolve(sim, set_connection, request_ids, monkeypatch):
    conn_id = set_connection(
        host=sim.url.replace("127.0.0.1", "segmind.test"),
        extra={"time_scale": TIME_SCALE, "requests_per_minute": 60_000, "allow_http": True},
    )
    mended_at, asked = time.monotonic() + 5, 0
    resolve = socket.getaddrinfo

    def gone_for_a_while(host, *args, **kwargs):
        nonlocal asked
        if host != "segmind.test":
            return resolve(host, *args, **kwargs)
        asked += 1
        if time.monotonic() < mended_at:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return resolve("127.0.0.1", *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", gone_for_a_while)

    ended = await endings(request_ids, conn_id)

    assert asked > 1
    files = [[job["url"].replace("127.0.0.1", "segmind.test")] for job in sim.ledger()["jobs"]]
    assert [event["result"]["urls"] for event in ended] == files
