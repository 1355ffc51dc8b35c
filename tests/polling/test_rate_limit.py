from __future__ import annotations

import math

from airflow_provider_kling.polling.rate_limit import (
    BURST_SECONDS,
    POLL_SHARE,
    RateLimiter,
    in_turn,
    longest_unpolled,
)
from airflow_provider_kling.polling.schedule import Expectation, Job

USUAL = Expectation(197, 0.25)


def test_a_limiter_keeps_every_minute_below_the_plan_and_leaves_room_for_submits():
    limiter, now, sent = RateLimiter(60), 1000.0, []
    while now < 1400:
        now = limiter.next_slot(now)
        limiter.take(now)
        sent.append(now)
    for start in sent:
        within = [at for at in sent if start <= at < start + 60]
        assert len(within) <= math.ceil(60 * POLL_SHARE * (1 + BURST_SECONDS / 60))
    assert len([at for at in sent if 1100 <= at < 1160]) == 48


def test_a_pause_holds_everything_and_never_gets_shorter():
    limiter = RateLimiter(600)
    limiter.pause(1060.0)
    limiter.pause(1030.0)
    assert limiter.next_slot(1000.0) == 1060.0
    assert limiter.next_slot(1061.0) == 1061.0


def test_what_concerns_no_job_goes_first_then_the_likeliest_job_and_nobody_is_forgotten():
    now = 1000.0
    fresh, due, seen_just_now = Job(now - 20, USUAL), Job(now - 197, USUAL), Job(now - 200, USUAL, last_poll=now - 1)
    assert in_turn([fresh, seen_just_now, due, None, None], now, bound=500, count=5) == [3, 4, 2, 1, 0]
    forgotten = Job(now - 700, Expectation(6000), last_poll=now - 600)
    assert in_turn([due, forgotten], now, bound=500, count=1) == [1]
    assert longest_unpolled(10, 1.0) == 60
    assert longest_unpolled(200, 1.25) == 500
