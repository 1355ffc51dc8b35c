"""When a submission that cannot go on yet goes on, in the same try: what only time can tell is no failure."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow_provider_kling.polling.schedule import LONGEST_RESET
from airflow_provider_kling.segmind.errors import SegmindAmbiguousSubmitError, SegmindError, SegmindRateLimitError

#: What has just failed is not done again sooner, whatever the grace.
SHORTEST_DELAY = timedelta(seconds=5)
#: Tasks that met the same rate limit come back spread over that time.
SPREAD = timedelta(seconds=10)
#: How long an attempt waits for rate limits, from its begin on: whoever answers with them for ever is no rate limit.
LONGEST_LIMITED = timedelta(hours=24)


def resumes_at(error: SegmindError, now: datetime, *, chance: float, began: datetime | None = None) -> datetime | None:
    """
    Return when an attempt that has met the error goes on; None where waiting does not help.

    :param chance: a random number from 0 to 1.
    :param began: when the attempt began, its waits included.
    """
    if isinstance(error, SegmindRateLimitError) and error.reset_at:
        if began is not None and now - began > LONGEST_LIMITED:
            return None
        reset = datetime.fromisoformat(error.reset_at)
        moment = min(reset, now + timedelta(seconds=LONGEST_RESET)) + SPREAD * chance
    elif isinstance(error, SegmindAmbiguousSubmitError) and error.look_again_at:
        moment = datetime.fromisoformat(error.look_again_at)
    else:
        return None
    return max(moment, now + SHORTEST_DELAY)
