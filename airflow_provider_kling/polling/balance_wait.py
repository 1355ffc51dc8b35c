"""What to do after each poll of the balance: the one decision behind the credits sensor's modes and its trigger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_kling.polling.wait import GiveUp, PollAgain, Wait
from airflow_provider_kling.segmind.errors import SegmindError, SegmindInsufficientCreditsError
from airflow_provider_kling.segmind.money import dollars, over

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_provider_kling.segmind.schemas import Credits


@dataclass(frozen=True, slots=True)
class Enough:
    """The wait is over: the balance, in US dollars, is high enough."""

    balance: float


Decision = Enough | PollAgain | GiveUp


@dataclass(slots=True, kw_only=True)
class BalanceWait(Wait):
    """
    One wait for a balance.

    :param min_credits: US dollars that the balance has to reach.
    :param interval: seconds from one poll to the next.
    """

    min_credits: float
    interval: float
    balance: float | None = None

    def after_answer(self, credits: Credits, *, now: datetime) -> Decision:  # noqa: A002  Segmind's own word
        """Decide after a poll that succeeded."""
        self.balance = credits.total
        self.refusals = 0
        if not over(self.min_credits, credits.total):
            return Enough(credits.total)
        return self._again(self.interval, now, f"it is {self._seen()}")

    def after_error(self, error: SegmindError, *, now: datetime) -> Decision:
        """Decide after a poll that failed."""
        return self._after_failure(error, self.interval, now, f"the last poll failed: {str(error).rstrip('.')}")

    def begun(self) -> str:
        """Return the log's first line."""
        return (
            f"Waiting for a balance of at least {dollars(self.min_credits)} until "
            f"{self.deadline:%Y-%m-%d %H:%M:%S %Z}; it is {self._seen()}. Polling every {self.interval:g} s."
        )

    def timed_out(self, last_seen: str = "") -> SegmindInsufficientCreditsError:
        """Return the error for a deadline that has passed."""
        return SegmindInsufficientCreditsError(
            f"The balance did not reach {dollars(self.min_credits)} by {self.deadline:%Y-%m-%d %H:%M:%S %Z}; "
            f"{last_seen or f'it is {self._seen()}'}. Top up at Segmind, then clear this task.",
            balance=self.balance,
            needed=self.min_credits,
        )

    def _seen(self) -> str:
        return "not known yet" if self.balance is None else dollars(self.balance)
