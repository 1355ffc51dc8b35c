"""How far a machine's clock and Segmind's are apart: jobs are told from each other by their times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Annotated

import pendulum
from pydantic import AfterValidator, AwareDatetime

from airflow_provider_kling.segmind.errors import SegmindClockError

if TYPE_CHECKING:
    from collections.abc import Mapping

#: How far Segmind's clock and a worker's may be apart.
CLOCK_SKEW = timedelta(minutes=5)
#: From which difference on the log says so. A Date header names the second that has begun.
NOTICEABLE = timedelta(minutes=1)
#: How long after a job was accepted its row may still be missing.
LATEST_ROW = timedelta(minutes=10)
#: Seconds until a rate limit is reset, at the most: its window is a minute, so a later time is misread or a clock off.
LONGEST_RESET = 70.0
#: Characters of a time, at the most: a parser of dates may take minutes for more.
_LONGEST_TIME = 64
#: The years of all that is told here; with others a calendar comes to its end where an hour is added.
_YEARS = range(1970, 2200)


def _is_near(moment: datetime) -> datetime:
    if moment.year not in _YEARS:
        raise ValueError("is no time at which anything happens here")
    return moment


#: A time as others tell it, and one that has its zone.
Moment = Annotated[datetime, AfterValidator(_is_near)]
AwareMoment = Annotated[AwareDatetime, AfterValidator(_is_near)]


def ahead(headers: Mapping[str, str], now: datetime) -> timedelta:
    """Return how far this machine's clock is ahead of the one that dated the answer; none, where it has no date."""
    try:
        return now - parsedate_to_datetime(headers.get("Date") or "")
    except Exception:  # noqa: BLE001 because a parser of dates raises anything for a text that is none
        return timedelta()


def difference(clock_ahead: timedelta) -> str:
    """Say how far the clocks are apart."""
    way = "ahead of" if clock_ahead > timedelta() else "behind"
    return f"This machine's clock is {abs(clock_ahead).total_seconds():.0f} s {way} Segmind's"


def check(clock_ahead: timedelta) -> None:
    """
    Make sure that the times of jobs in the history can be compared with this machine's.

    :raises SegmindClockError: the clocks are more than :data:`CLOCK_SKEW` apart.
    """
    if abs(clock_ahead) > CLOCK_SKEW:
        raise SegmindClockError(
            f"{difference(clock_ahead)}: by more than {CLOCK_SKEW.total_seconds() / 60:.0f} min, so the times in the "
            "request history do not tell which job is whose. Set the clock, by NTP for instance."
        )


def rate_limit_reset(headers: Mapping[str, str]) -> datetime | None:
    """
    Return when the rate limit's window ends, from ``x-rate-limit-reset-at-utc``.

    The value's format is not documented: ISO 8601, an HTTP date and epoch seconds or milliseconds
    are read; anything else counts as not given.
    """
    value = headers.get("x-rate-limit-reset-at-utc", "").strip()[:_LONGEST_TIME]
    latest_epoch_in_seconds = 1e11  # the year 5138; a larger number counts milliseconds
    try:
        try:
            epoch = float(value)
        except ValueError:
            moment = pendulum.parse(value, tz="UTC", strict=False)
            return moment.in_timezone("UTC") if isinstance(moment, pendulum.DateTime) else None
        return datetime.fromtimestamp(epoch / 1000 if epoch > latest_epoch_in_seconds else epoch, tz=UTC)
    except Exception:  # noqa: BLE001 because a parser of dates raises anything for a text that is none
        return None
