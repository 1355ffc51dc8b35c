"""The trigger that gives a task back to a worker at a moment, to send or to look again."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger

from airflow_provider_kling.triggers.handover import Handover

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow.triggers.base import TriggerEvent


class KlingResumeTrigger(BaseTrigger):
    """
    Wait until a moment, and until Airflow is ready to give the task to a worker again.

    Airflow's own timers may end before that, and its scheduler then fails the task: see
    :mod:`airflow_provider_kling.triggers.handover`.

    :param moment: when to go on, ISO 8601 with its time zone.
    """

    def __init__(self, moment: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # BaseTrigger has no types there
        self.moment = moment

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what another process needs to go on with the wait."""
        return "airflow_provider_kling.triggers.resume.KlingResumeTrigger", {"moment": self.moment}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Sleep; end with one event."""
        handover = Handover(self)
        left = datetime.fromisoformat(self.moment) - datetime.now(tz=UTC)
        await asyncio.sleep(max(left.total_seconds(), 0))
        yield await handover.event({"moment": self.moment})
