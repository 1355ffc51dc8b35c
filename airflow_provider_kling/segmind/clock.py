"""How far a machine's clock and Segmind's are apart: jobs are identified by their times."""

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
#: From which difference on a warning is logged. A Date header has whole seconds only.
NOTICEABLE = timedelta(minutes=1)
#: How long after a job was accepted its row may still be missing.
LATEST_ROW = timedelta(minutes=10)
#: Most seconds until a rate limit is reset: its window is a minute, so a later time is misread or a clock is off.
LONGEST_RESET = 70.0
#: Most characters of a time: a date parser may take minutes for more.
_LONGEST_TIME = 64
#: The years that are accepted; near others, adding an hour may go beyond the calendar.
_YEARS = range(1970, 2200)


def _is_near(moment: datetime) -> datetime:
    if moment.year not in _YEARS:
        raise ValueError("is not a plausible time")
    return moment


#: A time from outside, and one with its time zone.
Moment = Annotated[datetime, AfterValidator(_is_near)]
AwareMoment = Annotated[AwareDatetime, AfterValidator(_is_near)]


def ahead(headers: Mapping[str, str], now: datetime) -> timedelta:
    """Return how far this machine's clock is ahead of the one that dated the answer; zero if it has no date."""
    try:
        return now - parsedate_to_datetime(headers.get("Date") or "")
    except Exception:  # noqa: BLE001 because a date parser may raise anything for invalid text
        return timedelta()


def difference(clock_ahead: timedelta) -> str:
    """Say how far the clocks are apart."""
    way = "ahead of" if clock_ahead > timedelta() else "behind"
    return f"This machine's clock is {abs(clock_ahead).total_seconds():.0f} s {way} Segmind's"


def check(clock_ahead: timedelta) -> None:
    """
    Check that the times of jobs in the history can be compared with this machine's.

    :raises SegmindClockError: the clocks are more than :data:`CLOCK_SKEW` apart.
    """
    if abs(clock_ahead) > CLOCK_SKEW:
        raise SegmindClockError(
            f"{difference(clock_ahead)}: by more than {CLOCK_SKEW.total_seconds() / 60:.0f} min, so the times in the "
            "request history do not show which job is whose. Set the clock, by NTP for instance."
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
    except Exception:  # noqa: BLE001 because a date parser may raise anything for invalid text
        return None
