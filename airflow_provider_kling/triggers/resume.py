"""The trigger that returns a task to a worker at a set time, to send or to search again."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_provider_kling.triggers.base import PollingTrigger
from airflow_provider_kling.triggers.handover import Handover

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow.triggers.base import TriggerEvent


@dataclass(eq=False)
class KlingResumeTrigger(PollingTrigger):
    """
    Wait until a set time, and until Airflow is ready to give the task to a worker again.

    Airflow's own timers may end before that, and its scheduler then fails the task: see
    :mod:`airflow_provider_kling.triggers.handover`.

    :param moment: when to continue, ISO 8601 with its time zone.
    """

    moment: str

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Sleep; end with one event."""
        handover = Handover(self)
        left = datetime.fromisoformat(self.moment) - datetime.now(tz=UTC)
        await asyncio.sleep(max(left.total_seconds(), 0))
        yield await handover.event({"moment": self.moment})
