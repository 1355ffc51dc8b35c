from __future__ import annotations

import asyncio
import json
import os
from datetime import UTC, datetime, timedelta

from airflow_provider_kling.segmind.errors import SegmindError, SegmindInsufficientCreditsError
from airflow_provider_kling.triggers.credits import KlingCreditsTrigger


def trigger_for(conn_id, min_credits, seconds=30.0):
    deadline = datetime.now(tz=UTC) + timedelta(seconds=seconds)
    return KlingCreditsTrigger(min_credits, deadline.isoformat(), conn_id, 0.1)


async def only_event(trigger):
    (event,) = [event async for event in trigger.run()]
    return json.loads(json.dumps(event.payload))


async def test_it_ends_with_one_event_that_holds_the_balance_and_only_reads(sim, conn_id):
    assert await only_event(trigger_for(conn_id, 100.0)) == {"balance": 100.0}
    assert {request["method"] for request in sim.requests()} == {"GET"}


async def test_it_goes_on_in_another_process_with_the_same_deadline_and_without_the_key(sim, conn_id):
    trigger = trigger_for(conn_id, 101.0)
    path, arguments = trigger.serialize()
    assert path == "airflow_provider_kling.triggers.credits.KlingCreditsTrigger"
    assert sim.api_key not in json.dumps(arguments)
    again = KlingCreditsTrigger(**json.loads(json.dumps(arguments)))
    assert again.serialize() == trigger.serialize()
    waiting = asyncio.create_task(only_event(again))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    await asyncio.to_thread(sim.top_up, 1.0)
    assert await waiting == {"balance": 101.0}


async def test_a_deadline_that_has_passed_is_an_event_with_the_figures(sim, conn_id):
    event = await only_event(trigger_for(conn_id, 101.0, seconds=-5))
    error = SegmindError.from_dict(event["error"])
    assert isinstance(error, SegmindInsufficientCreditsError)
    assert (error.balance, error.needed) == (100.0, 101.0)


async def test_a_connection_that_cannot_be_read_for_a_moment_ends_no_wait(sim, conn_id, monkeypatch):
    good = os.environ["AIRFLOW_CONN_SEGMIND_DEFAULT"]
    monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", good[:-5])
    waiting = asyncio.create_task(only_event(trigger_for(conn_id, 1.0)))
    await asyncio.sleep(0.5)
    assert not waiting.done()
    monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", good)
    assert await waiting == {"balance": 100.0}
