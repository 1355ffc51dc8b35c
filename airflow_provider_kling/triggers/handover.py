"""Hands a task back from the triggerer to a worker, but not before Airflow is ready for it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import TriggerEvent

if TYPE_CHECKING:
    from airflow.triggers.base import BaseTrigger

#: Seconds between a worker's deferral of a task and its return to a worker. Airflow's scheduler fails a task that is
#: queued again before the scheduler knows that the process that deferred it has ended ("finished with state success,
#: but the task instance's state attribute is queued"). A worker reports that up to ``[workers] min_heartbeat_interval``
#: later, 5 s unless configured, and the scheduler reads it in its next loop. Seen on 3.1.8 and 3.3.2.
SETTLING_SECONDS = 10.0


class Handover:
    """
    Makes the event that sends a task back to a worker; created when the trigger begins to run.

    :param trigger: the trigger. Without an id it runs in ``dag.test()``, which has no scheduler to wait for.
    :param deferred: whether a worker deferred the task; else it began in the triggerer, and no process has to end.
    """

    def __init__(self, trigger: BaseTrigger, *, deferred: bool = True) -> None:
        waits = deferred and trigger.trigger_id is not None
        self._ready = time.monotonic() + (SETTLING_SECONDS if waits else 0.0)

    async def event(self, payload: dict[str, Any]) -> TriggerEvent:
        """Return the event, once it may be sent."""
        await asyncio.sleep(max(0.0, self._ready - time.monotonic()))
        return TriggerEvent(payload)
