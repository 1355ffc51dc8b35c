"""
How many requests a connection sends for its waits, and which goes next if they are scarce.

Pure: the time is an argument. What must not be relaxed: polls take a share of the requests per minute; the rest is for
submits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from heapq import nlargest
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_kling.polling.schedule import Job

#: The share of the requests per minute that polls may take.
POLL_SHARE = 0.8
#: How many seconds' worth of polls may go out at once after a quiet time.
BURST_SECONDS = 10.0


@dataclass(slots=True)
class RateLimiter:
    """
    The polls that a connection's requests per minute allow, evenly spaced after a small burst.

    In no minute do polls exceed ``POLL_SHARE * (1 + BURST_SECONDS / 60)`` of the requests per minute.

    :param requests_per_minute: what the plan allows, submits included.
    """

    requests_per_minute: float
    _free_at: float = -math.inf
    _paused_until: float = -math.inf

    @property
    def spacing(self) -> float:
        """Seconds from one poll to the next when all are used."""
        return 60 / (self.requests_per_minute * POLL_SHARE)

    def next_slot(self, now: float) -> float:
        """Return when the next poll may be sent."""
        return max(now, self._free_at - BURST_SECONDS, self._paused_until)

    def take(self, now: float) -> None:
        """Use up one poll."""
        self._free_at = max(self._free_at, now) + self.spacing

    def pause(self, until: float) -> None:
        """Send nothing before a time: the plan's requests are used up, here or elsewhere."""
        self._paused_until = max(self._paused_until, until)


def in_turn(waiting: Iterable[Job | None], now: float, *, bound: float, count: int) -> list[int]:
    """
    Return the places in the queue of the requests that go next.

    First requests about no job, then jobs not polled for longer than the bound, then the jobs most likely to be over.

    :param waiting: the jobs that requests are about; None for a request about none.
    :param bound: seconds; see :func:`longest_unpolled`.
    :param count: how many at most.
    """

    def urgency(numbered: tuple[int, Job | None]) -> tuple[int, float]:
        number, job = numbered
        if job is None:
            return 2, -number
        unpolled = now - job.last_poll
        return (1, unpolled) if unpolled > bound else (0, job.likely_over(now))

    return [number for number, _ in nlargest(count, enumerate(waiting), key=urgency)]


def longest_unpolled(jobs: int, spacing: float) -> float:
    """
    Return for how many seconds a job may go without a poll that is due, if requests are scarce.

    Twice the time in which every waiting job could be polled once, and at least a minute.
    """
    return max(60.0, 2 * jobs * spacing)
