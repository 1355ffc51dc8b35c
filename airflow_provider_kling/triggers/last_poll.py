"""A trigger's poll that ends with its wait, however long the connection's queue is."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_kling.segmind.errors import SegmindConnectionError

if TYPE_CHECKING:
    from collections.abc import Awaitable

T = TypeVar("T")

#: Seconds after the deadline that the last poll may take; less than Airflow allows the trigger.
LAST_LOOK_SECONDS = 30.0


async def within(deadline: datetime, look: Awaitable[T], seconds: float = LAST_LOOK_SECONDS) -> T:
    """
    Return the answer of a poll.

    :param deadline: of the wait, with its time zone.
    :param seconds: how long after the deadline the poll may take.
    :raises SegmindConnectionError: it had no turn, or no answer, by then.
    """
    left = (deadline - datetime.now(tz=UTC)).total_seconds()
    try:
        async with asyncio.timeout(max(left, 0.0) + seconds):
            return await look
    except TimeoutError:
        raise SegmindConnectionError(
            "no poll had its turn: the connection's requests per minute are used up (its triggerer's log says until "
            "when), or Segmind does not answer",
            sent=None,
        ) from None
