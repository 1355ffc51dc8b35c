"""
How many requests a connection sends for its waits, and which goes next if they are scarce.

Pure: the time is an argument. What must not be relaxed: polls take a share of the requests per minute; the rest is for
submits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from heapq import nlargest
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_kling.polling.schedule import Job

#: The share of the requests per minute that polls may take.
POLL_SHARE = 0.8
#: How many seconds' worth of polls may go out at once after a quiet time.
BURST_SECONDS = 10.0


#: The same where all processes of an account share its requests: the whole burst; the share of polls, which have to
#: leave the submits of other processes their room; and that of all else while anybody polls: without it ten workers
#: that submit left the polls nothing for minutes (200 jobs at 60 a minute were seen 155 s late on average).
SHARED_BURST, SHARED_POLLS, SHARED_OTHERS = 5.0, 0.85, 0.5
#: Seconds before and after its time in which a shared turn may be used.
EARLIEST_USE, LATEST_USE = 0.5, 0.5


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

    def grants(self, now: float, within: float) -> int:  # noqa: ARG002 as LeasedTurns'
        """Return how many polls may be sent together, of those of so many seconds."""
        return max(1, round(within / self.spacing))

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


@dataclass(frozen=True, slots=True)
class SharedTurns:
    """
    Which turns of an account are given out; all times are seconds since 1970.

    :param free_at: when a request could be sent if there were no burst.
    :param polls_free_at: the same for polls.
    :param others_free_at: the same for all else.
    :param paused_until: until when nothing is sent.
    """

    free_at: float = 0.0
    polls_free_at: float = 0.0
    others_free_at: float = 0.0
    paused_until: float = 0.0

    def give(
        self, now: float, *, requests_per_minute: float, polls: bool, count: int, within: float, polled: bool = True
    ) -> tuple[list[float], float, SharedTurns]:
        """
        Give out turns.

        In no minute are there more requests than the plan allows, if each turn is used between :data:`EARLIEST_USE`
        seconds before its time and :data:`LATEST_USE` seconds after it, and lost otherwise.

        :param polls: whether they are for polls.
        :param count: how many at most.
        :param within: seconds from now in which they have to be.
        :param polled: whether anybody polls, who has to be left some.
        :return: their times; when the next one would be; and what is given out then.
        """
        spacing = shared_spacing(requests_per_minute)
        free, own_free = self.free_at, self.polls_free_at if polls else self.others_free_at
        share = SHARED_POLLS if polls else SHARED_OTHERS if polled else 1.0
        turns: list[float] = []
        while True:
            turn = max(now, free - SHARED_BURST, self.paused_until, own_free - SHARED_BURST)
            if len(turns) == count or turn > now + within:
                own = {"polls_free_at" if polls else "others_free_at": own_free}
                return turns, turn, replace(self, free_at=free, **own)
            turns.append(turn)
            free = max(free, turn) + spacing
            own_free = max(own_free, turn) + spacing / share


def shared_spacing(requests_per_minute: float) -> float:
    """Return the seconds from one shared turn to the next when all are used."""
    # As many as fit into a minute, the burst and the time around a turn, and the one that begins them.
    return (60 + SHARED_BURST + EARLIEST_USE + LATEST_USE) / max(requests_per_minute - 1, requests_per_minute / 2)
