"""The trigger that waits for a Kling job."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_kling.delivery import summary, xcoms
from airflow_provider_kling.get_provider_info import DEFAULT_CONN_ID
from airflow_provider_kling.hooks.aio import SegmindAsyncHook
from airflow_provider_kling.links.kling import KlingOutputLink
from airflow_provider_kling.payloads.templates import rendered_time
from airflow_provider_kling.segmind.errors import SegmindError
from airflow_provider_kling.segmind.identifiers import is_slug
from airflow_provider_kling.segmind.pacing import Job
from airflow_provider_kling.segmind.polling import Decision, Done, FetchResult, GiveUp, LookAgain, LookUp, Wait
from airflow_provider_kling.segmind.refusals import one_line
from airflow_provider_kling.triggers.handover import Handover
from airflow_provider_kling.triggers.last_look import within
from airflow_provider_kling.versions import push_from_trigger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow_provider_kling.segmind.schemas import Result

#: How long a triggerer may fail to read a connection that a worker has just used.
SETTINGS_GRACE = timedelta(minutes=5)


class KlingTrigger(BaseTrigger):
    """
    Wait for a job until it is COMPLETED or FAILED, or the deadline passes.

    It only reads, so it may run twice and on any triggerer. Its one event holds ``request_id`` and
    either ``result`` (the answer with the output) or ``error`` (a :class:`SegmindError` as a dict).

    :param request_id: the job.
    :param deadline: when to stop waiting, ISO 8601 with its time zone; None is ``timeout`` seconds from now.
    :param segmind_conn_id: the connection; the API key is no argument, arguments are stored.
    :param poll_interval: seconds from one look to the next; None looks when the job is likely to be done.
    :param model: the model's slug, where it is known.
    :param submitted_at: when the job was submitted, ISO 8601 with its time zone; None is now.
    :param usual_latency: how many seconds the model usually takes, where that is known.
    :param timeout: seconds, where there is no deadline: Airflow started the wait without a worker, and ends
        it by itself some time later.
    :param end_from_trigger: end the task here when the job is COMPLETED, with its XComs (Airflow 3.3+). Where they
        cannot be pushed from here, a worker ends it.
    :param push_result: whether the whole result is among them, as the return value.
    """

    #: Whether this process has said that it cannot push XComs.
    _told_no_xcoms = False

    def __init__(  # noqa: PLR0913 because it is what another process needs to know
        self,
        request_id: str,
        deadline: str | None = None,
        segmind_conn_id: str = DEFAULT_CONN_ID,
        poll_interval: float | None = None,
        model: str | None = None,
        *,
        submitted_at: str | None = None,
        usual_latency: float | None = None,
        timeout: float = 3600.0,
        end_from_trigger: bool = False,
        push_result: bool = True,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # BaseTrigger has no types there
        self.request_id = request_id
        self.deadline = deadline
        self.segmind_conn_id = segmind_conn_id
        self.poll_interval = poll_interval
        self.model = model
        self.submitted_at = submitted_at
        self.usual_latency = usual_latency
        self.timeout = timeout
        self.end_from_trigger = end_from_trigger
        self.push_result = push_result

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
                "submitted_at": self.submitted_at,
                "usual_latency": self.usual_latency,
                "timeout": self.timeout,
                "end_from_trigger": self.end_from_trigger,
                "push_result": self.push_result,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look, wait, look again; end with one event."""
        async with SegmindAsyncHook(self.segmind_conn_id) as hook:
            durations, now = hook.pool.durations, datetime.now(tz=UTC)
            handover = Handover(self, deferred=self.deadline is not None)
            submitted = rendered_time(self.submitted_at) or now
            model = self.model if is_slug(self.model) else None  # a text from elsewhere is not kept here
            expectation = durations.expect(model, self.usual_latency)
            deadline = datetime.fromisoformat(self.deadline) if self.deadline else now + timedelta(seconds=self.timeout)
            job = Job(submitted.timestamp(), expectation, interval=self.poll_interval)

            def pause(now: datetime) -> float:
                job.time_scale = hook.pool.time_scale  # known once the connection was read
                return job.pause(now.timestamp(), chance=random.random())  # noqa: S311 jitter, no secret

            wait = Wait(
                self.request_id,
                deadline,
                pause,
                model,
                settings_until=now + SETTINGS_GRACE,
                submitted_at=rendered_time(self.submitted_at),
            )
            told, seen = bool(self.deadline), None  # a worker that deferred has told how the wait began
            while True:
                decision = await self._look(hook, wait, job)
                match decision:
                    case Done(result=result):
                        durations.observe(model, self.usual_latency, result.metrics.total_time or 0.0)
                        yield await self._end(model, result) or await handover.event(
                            {"request_id": self.request_id, "result": result.model_dump(mode="json")}
                        )
                        return
                    case GiveUp(error=error):
                        yield await handover.event({"request_id": self.request_id, "error": error.to_dict()})
                        return
                    case LookAgain(seconds=seconds, concern=concern):
                        # After the first look, whose turn was waited for: thousands of lines at once, as when a
                        # triggerer takes over the waits of another, fill the pipe that carries Airflow's logs.
                        if not told:
                            told = True
                            await self._write("info", wait.begun(self.usual_latency, self.poll_interval))
                        elif seen not in {None, wait.last_status}:
                            line = f"Request {self.request_id} is {wait.last_status}, {job.age:.0f} s old."
                            await self._write("info", line)
                        seen = wait.last_status
                        if concern:
                            await self._write("warning", f"{concern} Looking again in {seconds:.0f} s.")
                        job.expectation = durations.expect(model, self.usual_latency)
                        await asyncio.sleep(seconds)

    async def _end(self, model: str | None, result: Result) -> TriggerEvent | None:
        """Push what the sensor would have pushed, and return the event that ends the task; None where a worker must."""
        if not self.end_from_trigger or self.task_instance is None:
            return None
        handed_on = xcoms(self.request_id, model, result)
        if not self.push_result:
            del handed_on["return_value"]
        links = {KlingOutputLink().xcom_key: result.url} if result.url else {}
        try:
            # If this triggerer dies before the task has ended, another one finds the job COMPLETED and pushes the same.
            await asyncio.to_thread(push_from_trigger, self.task_instance, handed_on, links)
        except Exception as exc:  # noqa: BLE001 because an XCom backend may raise anything; a worker has another try
            await self._tell_once(one_line(f"{type(exc).__name__}: {exc}"))
            return None
        from airflow.triggers.base import TaskSuccessEvent

        await self._write("info" if result.url else "warning", summary(self.request_id, result))
        return TaskSuccessEvent()

    async def _tell_once(self, reason: str) -> None:
        if not KlingTrigger._told_no_xcoms:
            KlingTrigger._told_no_xcoms = True
            await self._write(
                "info",
                f"This triggerer cannot push XComs ({reason}): workers end the waits. Nothing is lost or paid twice.",
            )

    async def _write(self, level: str, line: str) -> None:
        """Write a line of the log in a thread: logs go through a pipe to another process, which may be busy."""
        await asyncio.to_thread(lambda: getattr(self.log, level)("%s", line))

    async def _look(self, hook: SegmindAsyncHook, wait: Wait, job: Job) -> Decision:
        try:
            state = await within(wait.deadline, hook.look(wait.request_id, job))
            decision = wait.after_look(state, now=datetime.now(tz=UTC))
            if isinstance(decision, FetchResult):
                result = await within(wait.deadline, hook.get_result(wait.request_id))
                decision = wait.after_look(result, now=datetime.now(tz=UTC))
        except SegmindError as error:
            decision = wait.after_error(error, now=datetime.now(tz=UTC))
        if isinstance(decision, LookUp):
            try:
                found = await within(wait.deadline, hook.find_request(wait.request_id))
                decision = wait.after_lookup(found, now=datetime.now(tz=UTC))
            except SegmindError as error:
                decision = wait.after_lookup_error(error, now=datetime.now(tz=UTC))
        job.seen(datetime.now(tz=UTC).timestamp())
        return decision
