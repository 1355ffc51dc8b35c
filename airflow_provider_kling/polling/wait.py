"""
What any wait that polls does after a poll: go on until its deadline, or give up.

What must not be relaxed:

* A poll that fails says nothing about what is waited for. It is repeated until the deadline, unless no later
  poll can succeed: the key is refused, or the connection cannot work.
* The deadline is a wall-clock time, because a wait may go on in another process.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_kling.segmind.errors import (
    SegmindAuthenticationError,
    SegmindError,
    SegmindPermissionError,
    SegmindSettingsError,
)

if TYPE_CHECKING:
    from datetime import datetime


#: Errors that a gateway may answer in Segmind's place for a while, and after how many in a row they are believed.
_MAY_PASS = (SegmindAuthenticationError, SegmindPermissionError)
BELIEVED_AFTER = 3


@dataclass(frozen=True, slots=True)
class PollAgain:
    """
    The wait continues: poll again after ``seconds``.

    ``concern`` is set when the poll failed; ``in_doubt`` if the same answer several times in a row ends the wait.
    """

    seconds: float
    concern: str | None = None
    in_doubt: bool = False


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The wait is over without a result."""

    error: SegmindError


@dataclass(slots=True, kw_only=True)
class Wait(ABC):
    """
    One wait.

    :param deadline: when to stop waiting, with its time zone.
    :param settings_until: until when a connection that cannot be read counts as a passing fault; a process that
        continues a running wait may find its secrets backend down.
    """

    deadline: datetime
    settings_until: datetime | None = None
    refusals: int = 0

    @abstractmethod
    def begun(self) -> str:
        """Return the log's first line: what is waited for, its state, and the deadline."""

    @abstractmethod
    def timed_out(self, last_seen: str) -> SegmindError:
        """Return the error for a deadline that has passed."""

    def _after_failure(self, error: SegmindError, pause: float, now: datetime, last_seen: str) -> PollAgain | GiveUp:
        """Decide after a poll that failed."""
        self.refusals = self.refusals + 1 if isinstance(error, _MAY_PASS) else 0
        in_doubt = 0 < self.refusals < BELIEVED_AFTER
        is_forgiven = (
            isinstance(error, SegmindSettingsError) and self.settings_until is not None and now < self.settings_until
        )
        if error.ends_wait and not (in_doubt or is_forgiven):
            return GiveUp(error)
        return self._again(pause, now, last_seen, concern=str(error), in_doubt=in_doubt)

    def _again(
        self, pause: float, now: datetime, last_seen: str, concern: str | None = None, *, in_doubt: bool = False
    ) -> PollAgain | GiveUp:
        left = (self.deadline - now).total_seconds()
        if left <= 0:
            return GiveUp(self.timed_out(last_seen))
        # The last poll falls on the deadline itself, so that a job done just before it is not lost.
        return PollAgain(min(pause, left), concern, in_doubt)
