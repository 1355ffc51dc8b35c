"""
What the model takes for granted of Airflow, of Segmind and of the clocks, each as a number or a switch.

They are the assumptions of docs/never-pay-twice.md, "What it rests on, and where it is weaker". Times are whole
microseconds since the model's first moment.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

#: Microseconds in a second.
SECOND = 1_000_000
#: The model's first moment: long ago, since the history is never asked for beyond the real present; half an hour
#: before midnight, so that a search crosses the end of a day.
FIRST_MOMENT = datetime(2025, 3, 10, 23, 30, tzinfo=UTC)

#: ``orphan_grace``: a POST is taken up, and its row is in the history, within it.
GRACE = 600 * SECOND
#: The longest time from an intent to its POST's acceptance.
SLOWEST_POST = 100 * SECOND
#: The longest time from an acceptance to its row in the history; with the one above it is less than the grace.
LATEST_ROW = 400 * SECOND
#: A worker that lives and has its reply stores the request id before that much has passed since its intent.
SLOWEST_STORE = GRACE - SECOND
#: How far two clocks may be apart.
CLOCKS_APART = 300 * SECOND
#: Airflow takes that long at the least from one start of an attempt to the next.
START = SECOND
#: A task whose attempts give up waiting more often than that, with nothing going wrong, is taken to hang.
WAITS_AT_MOST = 40
#: What a job costs in the scenarios with a budget, in US dollars.
PRICE = 1.0

MODEL = "kling-o1"


def moment(microseconds: int) -> datetime:
    """Return a time of the model as the protocol sees it."""
    return FIRST_MOMENT + timedelta(microseconds=microseconds)


def since_start(time: datetime) -> int:
    """Return microseconds since the model's first moment."""
    return (time - FIRST_MOMENT) // timedelta(microseconds=1)
