from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta

from airflow_provider_kling.triggers.resume import KlingResumeTrigger


def moment(seconds):
    return (datetime.now(tz=UTC) + timedelta(seconds=seconds)).isoformat()


async def first_event(trigger):
    return await anext(aiter(trigger.run()))


def test_it_survives_serialization():
    path, arguments = KlingResumeTrigger("2026-11-29T06:00:00+00:00").serialize()
    assert path == "airflow_provider_kling.triggers.resume.KlingResumeTrigger"
    assert KlingResumeTrigger(**json.loads(json.dumps(arguments))).serialize() == (path, arguments)


def test_it_ends_at_its_moment_and_at_once_where_that_is_past():
    for seconds, least in ((0.5, 0.4), (-60, 0)):
        begun, at = time.monotonic(), moment(seconds)
        event = asyncio.run(first_event(KlingResumeTrigger(at)))
        assert least <= time.monotonic() - begun < 5
        assert event.payload == {"moment": at}
