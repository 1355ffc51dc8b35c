"""Submits that were begun and have no known outcome: how long they are waited for, and what then."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

OnOrphanedIntent = Literal["submit", "fail"]

#: How long an intent without a request id may still turn into a job that the history shows.
ORPHAN_GRACE = timedelta(minutes=10)
#: How long a worker looks in the history at a time.
HISTORY_TIMEOUT = timedelta(seconds=15)
