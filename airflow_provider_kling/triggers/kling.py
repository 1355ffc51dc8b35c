"""The trigger that waits for a Kling job."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_kling.hooks.segmind import SegmindAsyncHook
from airflow_provider_kling.segmind.errors import SegmindError
from airflow_provider_kling.segmind.polling import Decision, Done, FetchResult, GiveUp, LookAgain, LookUp, Wait

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

#: How long a triggerer may fail to read a connection that a worker has just used.
SETTINGS_GRACE = timedelta(minutes=5)


class KlingTrigger(BaseTrigger):
    """
    Wait for a job until it is COMPLETED or FAILED, or the deadline passes.

    It only reads, so it may run twice and on any triggerer. Its one event holds ``request_id`` and
    either ``result`` (the answer with the output) or ``error`` (a :class:`SegmindError` as a dict).

    :param request_id: the job.
    :param deadline: when to stop waiting, ISO 8601 with its time zone.
    :param segmind_conn_id: the connection; the API key is no argument, arguments are stored.
    :param poll_interval: seconds from one look to the next.
    :param model: the model's slug, for messages, where it is known.
    """

    def __init__(
        self,
        request_id: str,
        deadline: str,
        segmind_conn_id: str,
        poll_interval: float,
        model: str | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # BaseTrigger has no types there
        self.request_id = request_id
        self.deadline = deadline
        self.segmind_conn_id = segmind_conn_id
        self.poll_interval = poll_interval
        self.model = model

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what another process needs to go on with the wait."""
        return (
            "airflow_provider_kling.triggers.kling.KlingTrigger",
            {
                "request_id": self.request_id,
                "deadline": self.deadline,
                "segmind_conn_id": self.segmind_conn_id,
                "poll_interval": self.poll_interval,
                "model": self.model,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look, wait, look again; end with one event."""
        wait = Wait(
            self.request_id,
            datetime.fromisoformat(self.deadline),
            self.poll_interval,
            self.model,
            settings_until=datetime.now(tz=UTC) + SETTINGS_GRACE,
        )
        async with SegmindAsyncHook(self.segmind_conn_id) as hook:
            while True:
                match await self._look(hook, wait):
                    case Done(result=result):
                        yield TriggerEvent({"request_id": self.request_id, "result": result.model_dump(mode="json")})
                        return
                    case GiveUp(error=error):
                        yield TriggerEvent({"request_id": self.request_id, "error": error.to_dict()})
                        return
                    case LookAgain(seconds=seconds, concern=concern):
                        if concern:
                            self.log.warning("%s Looking again in %.0f s.", concern, seconds)
                        await asyncio.sleep(seconds)

    async def _look(self, hook: SegmindAsyncHook, wait: Wait) -> Decision:
        try:
            decision = wait.after_status(await hook.get_status(wait.request_id), now=datetime.now(tz=UTC))
            if isinstance(decision, FetchResult):
                decision = wait.after_result(await hook.get_result(wait.request_id), now=datetime.now(tz=UTC))
        except SegmindError as error:
            decision = wait.after_error(error, now=datetime.now(tz=UTC))
        if isinstance(decision, LookUp):
            try:
                decision = wait.after_result(await hook.find_request(wait.request_id), now=datetime.now(tz=UTC))
            except SegmindError as error:
                decision = wait.after_lookup_error(error, now=datetime.now(tz=UTC))
        return decision
