"""The trigger that waits for a top-up."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger

from airflow_provider_kling.get_provider_info import DEFAULT_CONN_ID
from airflow_provider_kling.hooks.segmind_async import SegmindAsyncHook
from airflow_provider_kling.polling.balance_wait import BalanceWait, Enough
from airflow_provider_kling.polling.job_wait import GiveUp, PollAgain
from airflow_provider_kling.segmind.errors import SegmindError
from airflow_provider_kling.triggers.handover import Handover
from airflow_provider_kling.triggers.kling import SETTINGS_GRACE
from airflow_provider_kling.triggers.last_poll import within

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow.triggers.base import TriggerEvent


class KlingCreditsTrigger(BaseTrigger):
    """
    Wait until the balance is high enough, or the deadline passes.

    Its one event holds either ``balance`` (US dollars) or ``error`` (a :class:`SegmindError` as a dict).

    :param min_credits: US dollars that the balance has to reach.
    :param deadline: when to stop waiting, ISO 8601 with its time zone.
    :param segmind_conn_id: the connection; the API key is no argument, arguments are stored.
    :param poll_interval: seconds from one look to the next.
    """

    def __init__(
        self,
        min_credits: float,
        deadline: str,
        segmind_conn_id: str = DEFAULT_CONN_ID,
        poll_interval: float = 60.0,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # BaseTrigger has no types there
        self.min_credits = min_credits
        self.deadline = deadline
        self.segmind_conn_id = segmind_conn_id
        self.poll_interval = poll_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what another process needs to go on with the wait."""
        return (
            "airflow_provider_kling.triggers.credits.KlingCreditsTrigger",
            {
                "min_credits": self.min_credits,
                "deadline": self.deadline,
                "segmind_conn_id": self.segmind_conn_id,
                "poll_interval": self.poll_interval,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look, wait, look again; end with one event."""
        deadline, now = datetime.fromisoformat(self.deadline), datetime.now(tz=UTC)
        wait = BalanceWait(self.min_credits, deadline, self.poll_interval, settings_until=now + SETTINGS_GRACE)
        handover = Handover(self)
        async with SegmindAsyncHook(self.segmind_conn_id) as hook:
            while True:
                try:
                    balance = await within(wait.deadline, hook.get_credits())
                    decision = wait.after_answer(balance, now=datetime.now(tz=UTC))
                except SegmindError as error:
                    decision = wait.after_error(error, now=datetime.now(tz=UTC))
                match decision:
                    case Enough(balance=enough):
                        yield await handover.event({"balance": enough})
                        return
                    case GiveUp(error=ending):
                        yield await handover.event({"error": ending.to_dict()})
                        return
                    case PollAgain(seconds=seconds, concern=concern):
                        if concern:
                            # In a thread: logs go through a pipe to another process, which may be busy.
                            await asyncio.to_thread(self.log.warning, "%s Looking again in %.0f s.", concern, seconds)
                        await asyncio.sleep(seconds)
