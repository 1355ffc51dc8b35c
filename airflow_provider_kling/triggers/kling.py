"""The trigger that waits for a Kling job."""

from __future__ import annotations

import asyncio
import random
from dataclasses import KW_ONLY, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, ClassVar

from airflow_provider_kling.get_provider_info import DEFAULT_CONN_ID
from airflow_provider_kling.hooks.segmind_async import SegmindAsyncHook
from airflow_provider_kling.ledger.configured import ledger_conn_id
from airflow_provider_kling.links.kling import KlingOutputLink
from airflow_provider_kling.payloads.templates import rendered_time
from airflow_provider_kling.polling.job_wait import Ask, Decision, Done, JobWait, summary
from airflow_provider_kling.polling.schedule import Job
from airflow_provider_kling.polling.wait import GiveUp, PollAgain
from airflow_provider_kling.segmind.errors import SegmindError
from airflow_provider_kling.segmind.identifiers import canonical_id, is_slug
from airflow_provider_kling.segmind.sanitize import one_line
from airflow_provider_kling.triggers.base import PollingTrigger
from airflow_provider_kling.triggers.handover import Handover
from airflow_provider_kling.triggers.last_poll import within
from airflow_provider_kling.versions import push_from_trigger
from airflow_provider_kling.xcoms import of_result

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow.triggers.base import TriggerEvent

    from airflow_provider_kling.hooks.session_pool import Pool
    from airflow_provider_kling.segmind.schemas import Result

__all__ = ["KlingTrigger"]

#: How long a triggerer may fail to read a connection that a worker has just used.
SETTINGS_GRACE = timedelta(minutes=5)


@dataclass(eq=False)
class KlingTrigger(PollingTrigger):
    """
    Wait for a job until it is COMPLETED or FAILED, or the deadline passes.

    It only reads, so it may run twice and on any triggerer. Its one event holds ``request_id`` and
    either ``result`` (the answer with the output) or ``error`` (a :class:`SegmindError` as a dict).

    :param request_id: the job.
    :param deadline: when to stop waiting, ISO 8601 with its time zone; None is ``timeout`` seconds from now.
    :param segmind_conn_id: the connection; the API key is not an argument, because arguments are stored.
    :param poll_interval: seconds from one poll to the next; None polls when the job is likely to be done.
    :param model: the model's slug, where it is known.
    :param submitted_at: when the job was submitted, ISO 8601 with its time zone; None is now.
    :param usual_latency: how many seconds the model usually takes, where that is known.
    :param timeout: seconds, where there is no deadline: Airflow started the wait without a worker, and ends
        it by itself some time later.
    :param end_from_trigger: end the task here when the job is COMPLETED, with its XComs (Airflow 3.3+). Where they
        cannot be pushed from here, a worker ends it.
    :param push_result: whether the whole result is among these XComs, as the return value.
    :param ledger_conn_id: the ledger's connection, where a task names another one than Airflow's config.
    """

    #: Whether this process has logged that it cannot push XComs.
    _told_no_xcoms: ClassVar[bool] = False

    request_id: str
    deadline: str | None = None
    segmind_conn_id: str = DEFAULT_CONN_ID
    poll_interval: float | None = None
    model: str | None = None
    _: KW_ONLY
    submitted_at: str | None = None
    usual_latency: float | None = None
    timeout: float = 3600.0
    end_from_trigger: bool = False
    push_result: bool = True
    ledger_conn_id: str | None = None

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll, pause, poll again; end with one event."""
        async with SegmindAsyncHook(self.segmind_conn_id) as hook:
            now = datetime.now(tz=UTC)
            handover = Handover(self, deferred=self.deadline is not None)
            wait, job = self._wait(hook.pool, now)
            told, seen = bool(self.deadline), None  # a worker that deferred has logged how the wait began
            while True:
                match await self._poll(hook, wait, job):
                    case Done(result=result):
                        seconds = result.metrics.total_time or 0.0
                        hook.pool.durations.observe(
                            canonical_id(self.request_id), wait.model, self.usual_latency, seconds
                        )
                        yield await self._end(wait.model, result) or await handover.event(
                            {"request_id": self.request_id, "result": result.model_dump(mode="json")}
                        )
                        return
                    case GiveUp(error=error):
                        yield await handover.event({"request_id": self.request_id, "error": error.to_dict()})
                        return
                    case PollAgain() as again:
                        # Logged after the first poll, which waits for its turn: thousands of lines at once, as when a
                        # triggerer takes over another's waits, would fill the pipe that carries Airflow's logs.
                        if not told:
                            told = True
                            await self._write("info", wait.begun())
                        elif seen not in {None, wait.last_status}:
                            line = f"Request {self.request_id} is {wait.last_status}, {job.age:.0f} s old."
                            await self._write("info", line)
                        seen = wait.last_status
                        await self._pause(again)

    def _wait(self, pool: Pool, now: datetime) -> tuple[JobWait, Job]:
        """Return the wait, and the job as the schedule sees it."""
        submitted_at = rendered_time(self.submitted_at)
        model = self.model if is_slug(self.model) else None  # other text is not stored here
        expectation = pool.durations.expect(model, self.usual_latency)
        job = Job((submitted_at or now).timestamp(), expectation, interval=self.poll_interval)

        def pause(now: datetime) -> float:
            job.time_scale = pool.time_scale  # known once the connection was read
            return job.pause(now.timestamp(), chance=random.random())  # noqa: S311 jitter, no secret

        wait = JobWait(
            request_id=self.request_id,
            deadline=datetime.fromisoformat(self.deadline) if self.deadline else now + timedelta(seconds=self.timeout),
            pause=pause,
            model=model,
            settings_until=now + SETTINGS_GRACE,
            submitted_at=submitted_at,
            usual_latency=self.usual_latency,
            interval=self.poll_interval,
            address=pool.result_address,
        )
        return wait, job

    async def _end(self, model: str | None, result: Result) -> TriggerEvent | None:
        """Push what the sensor would have pushed, and return the event that ends the task; None if a worker must."""
        if not self.end_from_trigger or self.task_instance is None:
            return None
        if ledger_conn_id(self.ledger_conn_id) is not None:  # a worker notes the end there: a database would block here
            return None
        handed_on = of_result(self.request_id, model, result)
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

    async def _poll(self, hook: SegmindAsyncHook, wait: JobWait, job: Job) -> Decision:
        decision: Decision = wait.poll()
        turn: Job | None = job  # one turn for the whole poll: its other requests do not wait again
        while isinstance(decision, Ask):
            try:
                answer = await within(wait.deadline, hook.ask(decision.question, self.request_id, turn))
            except SegmindError as error:
                decision = wait.after_error(error, now=datetime.now(tz=UTC))
            else:
                await hook.pool.durations.learn(wait.model, self.usual_latency)
                job.expectation = hook.pool.durations.expect(wait.model, self.usual_latency)
                decision = wait.after_answer(answer, now=datetime.now(tz=UTC))
            turn = None
        job.seen(datetime.now(tz=UTC).timestamp())
        return decision
