from __future__ import annotations

import asyncio
import json
import os
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_kling.hooks.segmind import SegmindHook
from airflow_provider_kling.segmind.errors import SegmindError
from airflow_provider_kling.triggers.kling import KlingTrigger


@pytest.fixture
async def request_id(conn_id, pictures):
    receipt = await asyncio.to_thread(
        SegmindHook(conn_id).submit, "kling-o1", {"prompt": "@Image1", "image_urls": pictures}
    )
    return receipt.request_id


def trigger_for(request_id, conn_id, seconds=30.0):
    deadline = datetime.now(tz=UTC) + timedelta(seconds=seconds)
    return KlingTrigger(request_id, deadline.isoformat(), conn_id, 0.1, "kling-o1")


async def only_event(trigger):
    (event,) = [event async for event in trigger.run()]
    return json.loads(json.dumps(event.payload))


async def test_it_ends_with_one_event_of_plain_json_that_holds_the_result(sim, conn_id, request_id):
    event = await only_event(trigger_for(request_id, conn_id))
    assert event["request_id"] == request_id
    assert event["result"]["urls"] == [sim.ledger()["jobs"][0]["url"]]


async def test_it_goes_on_in_another_process_with_the_same_deadline_and_without_the_key(sim, conn_id, request_id):
    trigger = trigger_for(request_id, conn_id)
    path, arguments = trigger.serialize()
    assert path == "airflow_provider_kling.triggers.kling.KlingTrigger"
    assert sim.api_key not in json.dumps(arguments)
    again = KlingTrigger(**json.loads(json.dumps(arguments)))
    assert again.serialize() == trigger.serialize()
    assert "result" in await only_event(again)


async def test_the_deadline_is_a_wall_clock_time_that_may_have_passed(sim, conn_id, request_id):
    sim.order_fault("respond", method="GET", times=9, status=200, body={"status": "PROCESSING"})
    event = await only_event(trigger_for(request_id, conn_id, seconds=-5))
    error = SegmindError.from_dict(event["error"])
    assert type(error).__name__ == "KlingGenerationTimeoutError"
    assert error.request_id == request_id


async def test_a_failed_job_is_an_event_too(sim, conn_id, pictures):
    sim.order_fault("fail_job", error="bad picture")
    receipt = await asyncio.to_thread(
        SegmindHook(conn_id).submit, "kling-o1", {"prompt": "@Image1", "image_urls": pictures}
    )
    event = await only_event(trigger_for(receipt.request_id, conn_id))
    error = SegmindError.from_dict(event["error"])
    assert (error.detail, error.blocked) == ("bad picture", False)


async def test_a_connection_that_cannot_be_read_for_a_moment_ends_no_wait(sim, conn_id, request_id, monkeypatch):
    good = os.environ["AIRFLOW_CONN_SEGMIND_DEFAULT"]
    monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", good[:-5])
    waiting = asyncio.create_task(only_event(trigger_for(request_id, conn_id)))
    await asyncio.sleep(0.5)
    assert not waiting.done()
    monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", good)
    assert "result" in await waiting


async def test_it_only_reads(sim, conn_id, request_id):
    before = len(sim.requests())
    await only_event(trigger_for(request_id, conn_id))
    assert {request["method"] for request in sim.requests()[before:]} == {"GET"}


async def test_a_hundred_waits_share_the_loop(sim, conn_id, request_id):
    events = await asyncio.gather(*(only_event(trigger_for(request_id, conn_id)) for _ in range(100)))
    assert all("result" in event for event in events)
