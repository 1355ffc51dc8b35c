"""What every task that waits for a job does on a worker."""

from __future__ import annotations

import logging
import time
from abc import abstractmethod
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_provider_kling.links.kling import KlingOutputLink
from airflow_provider_kling.operators.wait_base import Waits
from airflow_provider_kling.payloads import get_payload_class
from airflow_provider_kling.payloads.templates import rendered_time
from airflow_provider_kling.segmind.errors import (
    KlingGenerationFailedError,
    KlingGenerationTimeoutError,
    SegmindAuthenticationError,
    SegmindError,
    SegmindPermissionError,
    SegmindRequestNotFoundError,
    SegmindSettingsError,
)
from airflow_provider_kling.xcoms import TellsCost, Traceable

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_kling.ledger.results import JobLedger
    from airflow_provider_kling.polling.job_wait import JobWait
    from airflow_provider_kling.segmind.schemas import Result
    from airflow_provider_kling.triggers.kling import KlingTrigger


@dataclass(frozen=True, slots=True)
class JobReference:
    """
    The job that is waited for.

    :param model: its model, if every process in which the wait may end knows it: it is passed on with the result.
    :param submitted_at: when it was submitted, ISO 8601, as far as that is known.
    :param scheduled_as: its model, if only this process knows it.
    :param reused: whether it was sent for the same before, by another task or by this one, and costs nothing now.
    :param own_cost: of a job that is used again, what it cost this task before; None if its own bill says it.
    """

    request_id: str
    model: str | None = None
    submitted_at: str | None = None
    scheduled_as: str | None = None
    reused: bool = False
    own_cost: float | None = None

    @property
    def usual_latency(self) -> float | None:
        """How many seconds the model usually takes."""
        model = self.model or self.scheduled_as
        payload_class = get_payload_class(model) if model else None
        return payload_class.usual_latency if payload_class else None


class WaitsForJob(Waits, TellsCost, Traceable):
    """The part of an operator that waits for a job; :meth:`_job` says which one."""

    operator_extra_links: Any = (KlingOutputLink(),)
    deadline_error = KlingGenerationTimeoutError
    #: What the button opens, once the job is done.
    output_url: str | None = None

    do_xcom_push: bool
    ledger_conn_id: str | None
    poll_interval: float | None

    @property
    def end_from_trigger(self) -> bool:
        """Whether the task may end in the triggerer."""
        return False

    def execute_complete(self, context: Context, event: dict[str, Any] | str) -> Any:
        """End as the trigger's event says."""
        from airflow_provider_kling.segmind.schemas import Result

        if isinstance(event, str):  # `dag.test()` passes on that the trigger ended the task, but not its result
            wait = self._wait(context, datetime.now(tz=UTC))
            result = self._poll(wait)
            if result is None:
                raise wait.timed_out("it was done a moment ago")
            return self._deliver(context, result)
        if known := self._used_again(context):  # the ledger has what Segmind may have forgotten
            return self._deliver(context, known)
        if "error" in event:
            error = SegmindError.from_dict(event["error"])
            # The ledger remembers longer than Segmind.
            if isinstance(error, SegmindRequestNotFoundError) and (known := self._noted(context)):
                return self._deliver(context, known)
            raise error
        return self._deliver(context, Result.model_validate(event["result"]))

    @abstractmethod
    def _job(self, context: Context) -> JobReference:
        """Return the job that is waited for."""

    def _traced(self, context: Context, job: JobReference) -> JobReference:  # noqa: ARG002 for subclasses
        """Return the job with what the submitting task has published."""
        return job

    @abstractmethod
    def _pause(self, job: JobReference, now: datetime) -> float:
        """Return how many seconds a waiting worker pauses before the next poll."""

    def _poll_then_defer(self, context: Context) -> Any:
        """Deliver what the ledger has, if the job is used again; else poll, and wait in the triggerer."""
        known = self._used_again(context)
        return super()._poll_then_defer(context) if known is None else self._deliver(context, known)

    def _used_again(self, context: Context) -> Result | None:
        """Return the result of a job that is used again, whoever has sent it, if the ledger has it."""
        from airflow_provider_kling.ledger.configured import ledger_conn_id

        if ledger_conn_id(self.ledger_conn_id) is None or not self._traced(context, self._job(context)).reused:
            return None
        ledger = self._ledger(context)
        return None if ledger is None else ledger.result()

    def _noted(self, context: Context) -> Result | None:
        """Return the result that the ledger has of the account's own job, which Segmind does not tell any more."""
        ledger = self._ledger(context)
        return None if ledger is None else ledger.result(self._account())

    def _account(self) -> str:
        from airflow_provider_kling.submission.submission import account

        return account(self.hook.settings.host, self.hook.settings.api_key)

    def _wait_here(self, context: Context) -> Any:
        """Occupy the worker until the job is done."""
        if known := self._used_again(context):
            return self._deliver(context, known)
        from airflow_provider_kling.hooks.poll import poll
        from airflow_provider_kling.polling.wait import PollAgain

        wait = self._wait(context, self._deadline())
        begun = False
        while isinstance(seen := poll(self.hook, wait), PollAgain):
            if not begun:
                self.log.info("%s", wait.begun())
                begun = True
            if seen.concern:
                self.log.warning("%s Polling again in %.0f s.", seen.concern, seen.seconds)
            time.sleep(seen.seconds)
        return self._deliver(context, seen)

    def _wait(self, context: Context, deadline: datetime) -> JobWait:
        from airflow_provider_kling.polling.job_wait import JobWait

        job = self._job(context)
        return JobWait(
            request_id=job.request_id,
            deadline=deadline,
            pause=lambda now: self._pause(job, now),
            model=job.model,
            submitted_at=rendered_time(job.submitted_at),
            usual_latency=job.usual_latency,
            interval=self.poll_interval,
        )

    def _poll(self, wait: JobWait) -> Result | None:
        from airflow_provider_kling.hooks.poll import poll
        from airflow_provider_kling.polling.wait import PollAgain

        # In reschedule mode each poll has a process of its own.
        seen = self._until_sure(lambda: poll(self.hook, wait), alone=getattr(self, "reschedule", False))
        if not isinstance(seen, PollAgain):
            return seen
        if seen.concern:
            self.log.warning("%s Polling again later.", seen.concern)
        return None

    def _trigger(self, context: Context, wait: JobWait) -> KlingTrigger:
        from airflow_provider_kling.triggers.kling import KlingTrigger

        job = self._traced(context, self._job(context))
        wait.model, wait.usual_latency = job.model, job.usual_latency
        return KlingTrigger(**self._trigger_arguments(job), deadline=wait.deadline.isoformat())

    def _trigger_arguments(self, job: JobReference) -> dict[str, Any]:
        """Return what the triggerer has to know, except the deadline."""
        return {
            "request_id": job.request_id,
            "segmind_conn_id": self.segmind_conn_id,
            "poll_interval": self.poll_interval,
            "model": job.model,
            "submitted_at": job.submitted_at,
            "usual_latency": job.usual_latency,
            "end_from_trigger": self.end_from_trigger,
            "push_result": self.do_xcom_push,
            "ledger_conn_id": self.ledger_conn_id,
        }

    def _deliver(self, context: Context, result: Result) -> Any:
        """Push what the next step needs, and return the whole result."""
        from airflow_provider_kling.polling.job_wait import summary
        from airflow_provider_kling.xcoms import of_result

        job = self._traced(context, self._job(context))
        handed_on = of_result(job.request_id, job.model, result, reused=job.reused)
        self.output_url = result.url
        level = logging.INFO if result.url else logging.WARNING
        self.log.log(level, "%s", summary(job.request_id, result, is_reused=job.reused))
        if (ledger := self._ledger(context)) is not None:
            ledger.completed(result, is_used=True)
        whole: dict[str, Any] = handed_on.pop("return_value")
        for key, value in handed_on.items():
            context["ti"].xcom_push(key=key, value=value)
        return whole

    def _end_with(self, context: Context, error: SegmindError) -> NoReturn:
        if isinstance(error, (SegmindAuthenticationError, SegmindPermissionError, SegmindSettingsError)):
            then = "A retry, or clearing this task," if error.retryable else "Correct that, then clear this task: it"
            error = error.followed_by(
                f"The job is not affected: it runs on, and is billed if it completes. {then} waits for the same job "
                "and sends nothing."
            )
        if isinstance(error, KlingGenerationFailedError):
            self._push_bill(context, error)
        if isinstance(error, SegmindRequestNotFoundError) and (ledger := self._ledger(context)) is not None:
            ledger.lost(self._account())
        super()._end_with(context, error)

    def _ledger(self, context: Context) -> JobLedger | None:
        """Return the ledger, for the end of the job; None without one."""
        from airflow_provider_kling.ledger.configured import ledger_conn_id

        if ledger_conn_id(self.ledger_conn_id) is None:
            return None
        from airflow_provider_kling.ledger.results import job_ledger

        return job_ledger(self.ledger_conn_id, self.hook.settings.host, self._job(context).request_id, self.log)

    def _push_bill(self, context: Context, error: KlingGenerationFailedError) -> None:
        from airflow_provider_kling.xcoms import BILL_KEY, bill_of_failure

        if (ledger := self._ledger(context)) is not None:
            ledger.failed(float((error.metrics or {}).get("cost") or 0.0))
        bill = bill_of_failure(error, self._traced(context, self._job(context)).model)
        context["ti"].xcom_push(key=BILL_KEY, value=bill)
