from __future__ import annotations

import itertools
import math
import random

import pytest

from airflow_provider_kling.polling.schedule import (
    EARLY_POLL,
    LONGEST_PAUSE,
    SHORTEST_PAUSE,
    Durations,
    Expectation,
    Job,
    next_poll,
)

USUAL = Expectation(197, 0.25)


def polls(expectation, until, chance=0.5):
    age, found = 0.0, []
    while age < until:
        age = next_poll(age, expectation, chance=chance)
        found.append(age)
    return found


def test_a_first_look_comes_early_then_it_is_quiet_until_the_job_may_be_done():
    first, second, third = polls(USUAL, 130)[:3]
    assert first == EARLY_POLL
    assert second == pytest.approx(197 * math.exp(-0.5))
    assert third - second < 20


def test_looks_are_closest_where_the_job_is_likely_to_be_done_and_slow_down_after_that():
    found = polls(USUAL, 3600)
    pauses = {age: later - age for age, later in itertools.pairwise(found)}
    near = [pause for age, pause in pauses.items() if 180 < age < 300]
    late = [pause for age, pause in pauses.items() if age > 1200]
    assert max(near) < min(late)
    assert all(SHORTEST_PAUSE <= pause <= LONGEST_PAUSE * 1.01 for age, pause in pauses.items() if age > 130)


@pytest.mark.parametrize("age", [0, 1, 5, 119, 150, 197, 400, 4000, 90_000])
def test_the_next_look_depends_on_the_age_alone_and_never_lies_behind(age):
    for expectation in (USUAL, Expectation(), Expectation(5, 0.1), Expectation(800, 1.0)):
        for chance in (0.0, 0.5, 1.0):
            assert next_poll(age, expectation, chance=chance) > age
            assert next_poll(age, expectation, chance=chance) == next_poll(age, expectation, chance=chance)


def test_fifteen_polls_for_a_job_of_three_minutes_see_its_end_within_some_seconds():
    dice = random.Random(3)  # noqa: S311 chance, no secret
    asked = delays = 0.0
    for _ in range(3000):
        duration = 197 * math.exp(dice.gauss(0, 0.25))
        found = polls(USUAL, duration, chance=dice.random())
        asked += len(found) / 3000
        delays += (found[-1] - duration) / 3000
    assert asked < 15.5
    assert delays < 3.4


def test_what_a_process_sees_sharpens_what_it_expects():
    durations = Durations()
    assert durations.expect("kling-o1", 60).median == pytest.approx(60)
    for _ in range(50):
        durations.observe("kling-o1", 60, 90)
    assert durations.expect("kling-o1", 60).median == pytest.approx(85, abs=3)
    for _ in range(500):
        durations.observe("kling-o1", 60, 30)
    learned = durations.expect("kling-o1", 60)
    assert learned.median == pytest.approx(30, abs=1)
    assert learned.spread == pytest.approx(0.1, abs=0.02)
    assert durations.expect("kling-o3-text2video", 154).median == pytest.approx(154)
    durations.observe(None, None, 5)
    assert durations.expect(None, None) == Expectation()


def test_a_fixed_interval_overrides_the_schedule():
    assert Job(0, USUAL, interval=7).pause(500) == 7
    assert Job(0, USUAL).pause(500) != 7
