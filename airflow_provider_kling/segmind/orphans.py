"""Submits that were begun and have no known outcome: how long they are waited for, and what then."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

OnOrphanedIntent = Literal["submit", "fail"]

#: How long an intent without a request id may still turn into a job that the history shows.
ORPHAN_GRACE = timedelta(minutes=10)
#: How long one attempt looks in the history.
HISTORY_TIMEOUT = timedelta(minutes=1)
