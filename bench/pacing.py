"""When looks are taken: polls and delays in virtual time, with the provider's own decisions and simulated jobs."""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from statistics import mean
from typing import TYPE_CHECKING

from airflow_provider_kling.polling.rate_limit import RateLimiter, in_turn, longest_unpolled
from airflow_provider_kling.polling.schedule import Durations, Expectation, Job, next_poll
from bench.report import verdict, verdicts

if TYPE_CHECKING:
    from rich.console import Console

#: The job of the measurement: its median in seconds and the sigma of its logarithm.
MEDIAN, SIGMA = 197.0, 0.25
#: How many jobs wait at once, and on how many requests a minute.
JOBS, REQUESTS_PER_MINUTE = 200, 60


def run(console: Console) -> None:
    """Print the two measurements."""
    table = verdicts("Pacing, in virtual time")
    polls, delay = one_job()
    verdict(
        table, f"looks for a job of {MEDIAN:g} s (lognormal, sigma {SIGMA:g})", "<= 15", f"{polls:.2f}", polls <= 15
    )
    verdict(table, "mean delay until COMPLETED is seen", "<= 3.2 s", f"{delay:.2f} s", delay <= 3.2)
    for together, limit in ((False, 1.6), (True, 1.0)):
        ratios, busiest = zip(*(many_jobs(seed, together=together) for seed in range(20)), strict=True)
        what = "one request does for both" if together else "status and result are two requests"
        ratio = mean(ratios)
        passed = ratio < limit if together else ratio <= limit
        must = f"{'<' if together else '<='} {limit:g} x"
        verdict(
            table,
            f"{JOBS} jobs on {REQUESTS_PER_MINUTE} a minute, mean delay against the oracle's: {what}",
            must,
            f"{ratio:.2f} x",
            passed,
        )
        verdict(
            table,
            "most requests in any minute",
            f"<= {REQUESTS_PER_MINUTE}",
            str(max(busiest)),
            max(busiest) <= REQUESTS_PER_MINUTE,
        )
    console.print(table)


def one_job(count: int = 20_000) -> tuple[float, float]:
    """Return the mean number of looks at a job and the mean delay in seconds."""
    dice = random.Random(11)
    expectation = Expectation(MEDIAN, SIGMA)
    looks = delays = 0.0
    for _ in range(count):
        duration, age = duration_of(dice), 0.0
        while age < duration:
            age = next_poll(age, expectation, chance=dice.random())
            looks += 1
        delays += age - duration
    return looks / count, delays / count


def many_jobs(seed: int, *, together: bool) -> tuple[float, int]:
    """Return the mean delay of many jobs as a multiple of the oracle's, and the most requests in a minute."""
    dice = random.Random(seed)
    ends = [duration_of(dice) for _ in range(JOBS)]
    delays, sent = _ours(ends, dice, together=together)
    busiest = max(sum(1 for at in sent if start <= at < start + 60) for start in sent)
    return mean(delays) / mean(_oracle(ends)), busiest


def duration_of(dice: random.Random) -> float:
    """Return how long a job takes."""
    return MEDIAN * math.exp(dice.gauss(0, SIGMA))


def _ours(ends: list[float], dice: random.Random, *, together: bool) -> tuple[list[float], list[float]]:
    """Follow jobs that were submitted at once, as the pool does: schedule, limiter, whose turn it is."""
    limiter, durations = RateLimiter(REQUESTS_PER_MINUTE), Durations()
    jobs = [Job(0.0, durations.expect("model", MEDIAN)) for _ in ends]
    number = {id(job): index for index, job in enumerate(jobs)}
    asleep = [(job.pause(0.0, chance=dice.random()), index) for index, job in enumerate(jobs)]
    heapq.heapify(asleep)
    waiting: dict[int, Job] = {}
    results: deque[int] = deque()
    delays: list[float] = []
    sent: list[float] = []
    now = 0.0
    while len(delays) < len(ends):
        if not waiting and not results:
            now = max(now, asleep[0][0])
        now = limiter.next_slot(now)
        while asleep and asleep[0][0] <= now:
            index = heapq.heappop(asleep)[1]
            waiting[index] = jobs[index]
        if not waiting and not results:
            continue
        limiter.take(now)
        sent.append(now)
        if results:  # a result that is there goes first
            done = results.popleft()
            delays.append(now - ends[done])
            continue
        bound = longest_unpolled(len(waiting), limiter.spacing)
        job = list(waiting.values())[in_turn(waiting.values(), now, bound=bound, count=1)[0]]
        index = number[id(job)]
        del waiting[index]
        job.seen(now)
        if ends[index] <= now:
            durations.observe("model", MEDIAN, ends[index])
            if together:
                delays.append(now - ends[index])
            else:
                results.append(index)
        else:
            job.expectation = durations.expect("model", MEDIAN)
            heapq.heappush(asleep, (now + job.pause(now, chance=dice.random()), index))
    return delays, sent


def _oracle(ends: list[float]) -> list[float]:
    """Follow the same jobs knowing when each is done: one status and one result each, under the same limiter."""
    limiter, now = RateLimiter(REQUESTS_PER_MINUTE), 0.0
    delays: list[float] = []
    for end in sorted(ends):
        for _ in ("status", "result"):
            now = limiter.next_slot(max(now, end))
            limiter.take(now)
        delays.append(now - end)
    return delays
