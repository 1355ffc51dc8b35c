"""The trigger that waits for a top-up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_provider_kling.get_provider_info import DEFAULT_CONN_ID
from airflow_provider_kling.hooks.segmind_async import SegmindAsyncHook
from airflow_provider_kling.polling.balance_wait import BalanceWait, Decision, Enough
from airflow_provider_kling.polling.wait import GiveUp, PollAgain
from airflow_provider_kling.segmind.errors import SegmindError
from airflow_provider_kling.triggers.base import PollingTrigger
from airflow_provider_kling.triggers.handover import Handover
from airflow_provider_kling.triggers.kling import SETTINGS_GRACE
from airflow_provider_kling.triggers.last_poll import within

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow.triggers.base import TriggerEvent

__all__ = ["KlingCreditsTrigger"]


@dataclass(eq=False)
class KlingCreditsTrigger(PollingTrigger):
    """
    Wait until the balance is high enough, or the deadline passes.

    Its one event holds either ``balance`` (US dollars) or ``error`` (a :class:`SegmindError` as a dict).

    :param min_credits: US dollars that the balance has to reach.
    :param deadline: when to stop waiting, ISO 8601 with its time zone.
    :param segmind_conn_id: the connection; the API key is not an argument, because arguments are stored.
    :param poll_interval: seconds from one poll to the next.
    """

    min_credits: float
    deadline: str
    segmind_conn_id: str = DEFAULT_CONN_ID
    poll_interval: float = 60.0

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll, pause, poll again; end with one event."""
        wait = BalanceWait(
            min_credits=self.min_credits,
            deadline=datetime.fromisoformat(self.deadline),
            interval=self.poll_interval,
            settings_until=datetime.now(tz=UTC) + SETTINGS_GRACE,
        )
        handover = Handover(self)
        async with SegmindAsyncHook(self.segmind_conn_id) as hook:
            while True:
                match await self._poll(hook, wait):
                    case Enough(balance=balance):
                        yield await handover.event({"balance": balance})
                        return
                    case GiveUp(error=ending):
                        yield await handover.event({"error": ending.to_dict()})
                        return
                    case PollAgain() as again:
                        await self._pause(again)

    async def _poll(self, hook: SegmindAsyncHook, wait: BalanceWait) -> Decision:
        try:
            balance = await within(wait.deadline, hook.get_credits())
        except SegmindError as error:
            return wait.after_error(error, now=datetime.now(tz=UTC))
        return wait.after_answer(balance, now=datetime.now(tz=UTC))
