"""How long an attempt waits for what is not known yet, and when it continues in the same try."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from airflow_provider_kling.segmind.clock import LATEST_ROW, LONGEST_RESET
from airflow_provider_kling.segmind.errors import SegmindAmbiguousSubmitError, SegmindError, SegmindRateLimitError
from airflow_provider_kling.submission.steps import TwinError

if TYPE_CHECKING:
    from collections.abc import Callable

OnOrphanedIntent = Literal["submit", "fail"]

#: How long an intent without a request id may still turn into a job that the history shows.
ORPHAN_GRACE = LATEST_ROW
#: How long a worker searches the history at a time.
HISTORY_TIMEOUT = timedelta(seconds=15)
#: Seconds from the first search of the history to the second; each pause is twice the one before.
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 16.0
#: The time from one attempt's last search to the next one's first: as long as since the submit, within these limits.
SHORTEST_WAIT, LONGEST_WAIT = timedelta(seconds=15), timedelta(minutes=2)
#: For how long after the grace a history that cannot be read is searched again in the same try.
OUTAGE = timedelta(minutes=10)
#: A job that siblings leave for this task, when jobs are swapped, is at most this much younger than its own window.
SWAPS = timedelta(days=1)
#: A gateway that refuses an accepted submit may do so each time. The first submit refused so is searched for once
#: before the next one; the second for this long, and then for twice as long each time, up to the grace.
REFUSED_TWICE = timedelta(seconds=75)
#: After so many submits in one try that had no answer, and of which the history shows nothing, a person decides:
#: whoever loses answers and rows may still pass the submits on.
MOST_LOST = 3
#: What has just failed is not repeated sooner, whatever the grace.
SHORTEST_DELAY = timedelta(seconds=5)
#: Tasks that reached the same rate limit resume spread over this time.
SPREAD = timedelta(seconds=10)
#: How long an attempt waits for rate limits, from its start on: an endless one is not a rate limit.
LONGEST_LIMITED = timedelta(hours=24)


def searched_for(refusals: int, grace: timedelta) -> timedelta:
    """Return for how long the job of a refused submit is searched for, after so many earlier refusals."""
    return min(REFUSED_TWICE * 2 ** min(refusals - 1, 10), grace) if refusals else timedelta(0)


def next_search(intended_at: datetime, asked: datetime, until: datetime, clock: Callable[[], datetime]) -> str | None:
    """
    Return when to search the history again, ISO 8601: at growing intervals, and once when it can be known.

    :param asked: when the last search was asked for; None is returned if it could be known by then.
    """
    if asked >= until:
        return None
    now = clock()
    pause = min(max(now - intended_at, SHORTEST_WAIT), LONGEST_WAIT)
    return max(now, min(now + pause, until)).isoformat()


def resumes_at(error: SegmindError, now: datetime, *, chance: float, began: datetime | None = None) -> datetime | None:
    """
    Return when an attempt with the error continues; None if waiting does not help.

    :param chance: a random number from 0 to 1.
    :param began: when the attempt began, its waits included.
    """
    if isinstance(error, SegmindRateLimitError) and error.reset_at:
        if began is not None and now - began > LONGEST_LIMITED:
            return None
        reset = datetime.fromisoformat(error.reset_at)
        moment = min(reset, now + timedelta(seconds=LONGEST_RESET)) + SPREAD * chance
    elif isinstance(error, SegmindAmbiguousSubmitError | TwinError) and error.look_again_at:
        moment = datetime.fromisoformat(error.look_again_at)
    else:
        return None
    return max(moment, now + SHORTEST_DELAY)
