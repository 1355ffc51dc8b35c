"""Which jobs a task's messages name as ones that it does not hold."""

from __future__ import annotations

import re
from datetime import UTC
from functools import lru_cache
from typing import TYPE_CHECKING

from prove.assumptions import MODEL

if TYPE_CHECKING:
    from datetime import datetime

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIME = re.compile(rf"submit of {re.escape(MODEL)} at (\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d) UTC")
#: What a line says of a job that is left behind. Another line that names a job, such as the one before a search,
#: does not say that it will be nobody's.
_LEFT_BEHIND = "is abandoned"


@lru_cache(maxsize=50_000)
def lost_submits(line: str, *, final: bool) -> frozenset[str]:
    """
    Return the ids and the times of submits that a message names as left behind.

    :param final: whether the message is the last one of a task that no retry can help, which stays in a person's sight.
    """
    if not final and _LEFT_BEHIND not in line:
        return frozenset()
    return frozenset([*_ID.findall(line), *_TIME.findall(line)])


def sent_at(moment: datetime) -> str:
    """Return a submit's time as messages write it."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def short(request_id: str | None) -> str:
    """Return a request id of the model as a story tells it: whose it is, and which."""
    return "none" if request_id is None else f"{'abcdef'[int(request_id[24:28])]}{int(request_id[28:])}"
