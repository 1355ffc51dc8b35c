"""A look from a trigger that ends with its wait, however long the turns of the connection are."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_kling.segmind.errors import SegmindConnectionError

if TYPE_CHECKING:
    from collections.abc import Awaitable

T = TypeVar("T")

#: Seconds after the deadline that the last look may take; less than Airflow allows the trigger after it.
LAST_LOOK_SECONDS = 30.0


async def within(deadline: datetime, look: Awaitable[T], seconds: float = LAST_LOOK_SECONDS) -> T:
    """
    Return what a look tells.

    :param deadline: of the wait, with its time zone.
    :param seconds: how long after it the look may take.
    :raises SegmindConnectionError: it had no turn, or no answer, when the deadline had passed for so long.
    """
    left = (deadline - datetime.now(tz=UTC)).total_seconds()
    try:
        async with asyncio.timeout(max(left, 0.0) + seconds):
            return await look
    except TimeoutError:
        raise SegmindConnectionError(
            "no look had its turn: the connection's requests per minute are used up (its triggerer's log says until "
            "when), or Segmind does not answer",
            sent=None,
        ) from None
