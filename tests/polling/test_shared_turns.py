"""Turns of one account, given out to many: never more in a minute than the plan allows."""

from __future__ import annotations

from bisect import bisect_left
from random import Random

import pytest

from airflow_provider_kling.polling.rate_limit import EARLIEST_USE, LATEST_USE, SharedTurns


def busiest(times, seconds=60.0):
    times = sorted(times)
    return max(bisect_left(times, first + seconds) - number for number, first in enumerate(times))


@pytest.mark.parametrize("limit", [2, 12, 60, 600])
@pytest.mark.parametrize("seed", range(3))
def test_thirteen_that_ask_at_random_never_send_more_in_a_minute_than_the_plan_allows(limit, seed):
    chance = Random(f"{limit} {seed}")  # noqa: S311 to be repeated
    state, now, sent, polls = SharedTurns(), 1_700_000_000.0, [], []
    for _ in range(3000):
        now += chance.choice([0.0, 0.01, 0.3, 60 / limit, 90 if chance.random() < 0.01 else 0.1])
        for_polls = chance.random() < 0.6
        turns, following, state = state.give(
            now, requests_per_minute=limit, polls=for_polls, count=chance.choice([1, 1, 7, 50]), within=5.0
        )
        assert all(now <= turn <= now + 5.0 for turn in turns)
        assert following >= max([now, *turns])
        used = [turn + chance.uniform(-EARLIEST_USE, LATEST_USE) for turn in turns if chance.random() < 0.95]
        sent += used
        polls += used if for_polls else []
    assert busiest(sent) <= limit
    assert len(sent) > len(polls) > 0


def test_polls_leave_room_for_submits():
    state, polls, submits = SharedTurns(), 0, 0
    for tick in range(60 * 20):
        now = 1_700_000_000.0 + tick / 2
        turns, _, state = state.give(now, requests_per_minute=60, polls=True, count=50, within=5.0)
        polls += len(turns)
        turns, _, state = state.give(now, requests_per_minute=60, polls=False, count=1, within=5.0)
        submits += len(turns)
    assert polls / 10 == pytest.approx(45, abs=3)
    assert submits / 10 >= 7


def test_submits_leave_room_for_polls():
    """Ten workers that submit as fast as they may, and a triggerer that asks for its turns now and then."""
    state, polls, submits = SharedTurns(), 0, 0
    for tick in range(10 * 60 * 10):
        now = 1_700_000_000.0 + tick / 10
        turns, _, state = state.give(now, requests_per_minute=60, polls=False, count=1, within=5.0)
        submits += len(turns)
        if tick % 50 == 0:
            turns, _, state = state.give(now, requests_per_minute=60, polls=True, count=50, within=5.0)
            polls += len(turns)
    assert submits / 10 == pytest.approx(27, abs=2)
    assert polls / 10 > 20


def test_where_nobody_polls_all_is_for_submits():
    state, submits = SharedTurns(), 0
    for tick in range(10 * 60 * 10):
        now = 1_700_000_000.0 + tick / 10
        turns, _, state = state.give(now, requests_per_minute=60, polls=False, count=1, within=5.0, polled=False)
        submits += len(turns)
    assert submits / 10 > 50


def test_nobody_sends_while_the_account_is_paused():
    state = SharedTurns(paused_until=1_700_000_030.0)
    assert state.give(1_700_000_000.0, requests_per_minute=60, polls=True, count=5, within=5.0)[:2] == (
        [],
        1_700_000_030.0,
    )
