"""What this provider's triggers share: their arguments, and the pause between two polls."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger

if TYPE_CHECKING:
    from airflow_provider_kling.polling.wait import PollAgain


@dataclass(eq=False)
class PollingTrigger(BaseTrigger):
    """A trigger whose arguments are the fields of a dataclass."""

    def __post_init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # BaseTrigger has no types there

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what another process needs to continue the wait."""
        arguments = {field.name: getattr(self, field.name) for field in fields(self)}
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments

    async def _pause(self, again: PollAgain) -> None:
        """Sleep until the next poll; where the last one failed, say so."""
        if again.concern:
            await self._write("warning", f"{again.concern} Polling again in {again.seconds:.0f} s.")
        await asyncio.sleep(again.seconds)

    async def _write(self, level: str, line: str) -> None:
        """Write a line of the log in a thread: logs go through a pipe to another process, which may be busy."""
        await asyncio.to_thread(lambda: getattr(self.log, level)("%s", line))
