"""
What to do after each look at the balance: the one decision behind the credits sensor's modes and its trigger.

A look that fails says nothing about the balance. It is taken again until the deadline, unless no later
look can succeed: the key is refused, or the connection cannot work.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_kling.polling.job_wait import FINAL, GiveUp, PollAgain
from airflow_provider_kling.segmind import errors
from airflow_provider_kling.segmind.money import dollars, over

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_provider_kling.segmind.schemas import Credits


@dataclass(frozen=True, slots=True)
class Enough:
    """The wait is over: that is the balance in US dollars."""

    balance: float


Decision = Enough | PollAgain | GiveUp


@dataclass(slots=True)
class BalanceWait:
    """
    One wait for a balance.

    :param min_credits: US dollars that the balance has to reach.
    :param deadline: when to stop waiting, with its time zone.
    :param poll_interval: seconds from one look to the next.
    :param settings_until: until when a connection that cannot be read counts as a passing fault.
    """

    min_credits: float
    deadline: datetime
    poll_interval: float
    settings_until: datetime | None = None
    balance: float | None = None

    def after_answer(self, credits: Credits, *, now: datetime) -> Decision:  # noqa: A002  Segmind's own word
        """Decide after a look that succeeded."""
        self.balance = credits.total
        if not over(self.min_credits, credits.total):
            return Enough(credits.total)
        return self._again(now)

    def after_error(self, error: errors.SegmindError, *, now: datetime) -> Decision:
        """Decide after a look that failed."""
        forgiven = (
            isinstance(error, errors.SegmindSettingsError)
            and self.settings_until is not None
            and now < self.settings_until
        )
        if isinstance(error, FINAL) and not forgiven:
            return GiveUp(error)
        return self._again(now, concern=str(error))

    def begun(self) -> str:
        """Return the log's first line."""
        return (
            f"Waiting for a balance of at least {dollars(self.min_credits)} until "
            f"{self.deadline:%Y-%m-%d %H:%M:%S %Z}; it is {self._seen()}. Looking every {self.poll_interval:g} s."
        )

    def timed_out(self, last_seen: str | None = None) -> errors.SegmindInsufficientCreditsError:
        """Return the error for a deadline that has passed."""
        return errors.SegmindInsufficientCreditsError(
            f"The balance did not reach {dollars(self.min_credits)} by {self.deadline:%Y-%m-%d %H:%M:%S %Z}; "
            f"{last_seen or f'it is {self._seen()}'}. Top up at Segmind, then clear this task.",
            balance=self.balance,
            needed=self.min_credits,
        )

    def _seen(self) -> str:
        return "not known yet" if self.balance is None else dollars(self.balance)

    def _again(self, now: datetime, concern: str | None = None) -> Decision:
        left = (self.deadline - now).total_seconds()
        if left <= 0:
            return GiveUp(self.timed_out(concern and f"the last look failed: {concern.rstrip('.')}"))
        return PollAgain(min(self.poll_interval, left), concern)


def reached(balance: float, min_credits: float) -> str:
    """Return the log's last line."""
    return f"The balance is {dollars(balance)}, which covers {dollars(min_credits)}."
