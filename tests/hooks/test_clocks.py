"""Jobs are told from each other by their times, so a machine whose clock is wrong says so and decides nothing."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_kling.hooks.segmind import SegmindHook
from airflow_provider_kling.segmind.errors import SegmindClockError


def find(hook):
    return hook.find_requests(model="kling-o1", since=datetime.now(tz=UTC) - timedelta(minutes=5))


def test_a_clock_that_is_a_little_off_is_named_once(sim, conn_id, capfd):
    hook = SegmindHook(conn_id)
    assert find(hook) == []
    sim.advance(90)
    capfd.readouterr()
    find(hook)
    find(hook)
    assert len(re.findall(r"This machine's clock is (89|90) s behind Segmind's\.", "".join(capfd.readouterr()))) == 1


def test_a_clock_that_is_far_off_makes_the_history_unreadable(sim, conn_id):
    sim.advance(400)
    with pytest.raises(SegmindClockError, match=r"clock is \d+ s behind Segmind's: by more than 5 min.*Set the clock"):
        find(SegmindHook(conn_id))


def test_rows_without_a_zone_that_may_be_of_the_time_are_shown(sim, conn_id):
    hook = SegmindHook(conn_id)
    hook.submit("kling-text2video", {"prompt": "a robot walks"})
    for zone, count in ((330, 1), (-480, 1)):
        sim.change_history(stamp_zone=zone)
        rows = hook.find_requests(model="kling-text2video", since=datetime.now(tz=UTC) - timedelta(minutes=5))
        assert len(rows) == count
