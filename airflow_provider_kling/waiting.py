"""What every task that waits for a job does on a worker: look, hand the wait to the triggerer, end."""

from __future__ import annotations

import logging
import time
from abc import abstractmethod
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_kling.links.kling import KlingOutputLink
from airflow_provider_kling.payloads import get_payload_class
from airflow_provider_kling.payloads.templates import rendered_time
from airflow_provider_kling.retries import fail
from airflow_provider_kling.segmind.errors import (
    KlingGenerationFailedError,
    KlingGenerationTimeoutError,
    SegmindAuthenticationError,
    SegmindError,
    SegmindPermissionError,
    SegmindSettingsError,
)
from airflow_provider_kling.siblings import TellsCost, Traceable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow.providers.common.compat.sdk import BaseOperator as _Operator
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_kling.hooks.segmind import SegmindHook
    from airflow_provider_kling.segmind.polling import Wait
    from airflow_provider_kling.segmind.schemas import Result

else:  # to Airflow's metaclass an operator among the bases is one whose __init__ ends the chain
    _Operator = object

#: How long the trigger's own deadline goes before Airflow's, which also holds when no triggerer runs.
TRIGGER_GRACE = timedelta(seconds=60)
#: Seconds at the most from one look to the next in a process that looks at one thing some times in a row.
LONGEST_DOUBT = 5.0
#: Why a wait ended that no trigger has ended.
NO_TRIGGERER = (
    "no triggerer looked in time: start one (`airflow triggerer`), or set deferrable=False to wait on a worker"
)


def timed_out(next_method: str, next_kwargs: dict[str, Any] | None) -> bool:
    """Whether Airflow has given up a task's wait in the triggerer."""
    return next_method == "__fail__" and "timeout" in str((next_kwargs or {}).get("error", "")).lower()


@dataclass(frozen=True, slots=True)
class Awaited:
    """
    The job that is waited for.

    :param model: its model, where every process in which the wait may end knows it: it is told on with the result.
    :param submitted_at: when it was submitted, ISO 8601, as far as that is known.
    :param paced_as: its model, where only this process knows it.
    """

    request_id: str
    model: str | None = None
    submitted_at: str | None = None
    paced_as: str | None = None

    @property
    def usual_latency(self) -> float | None:
        """How many seconds the model usually takes."""
        model = self.model or self.paced_as
        payload_class = get_payload_class(model) if model else None
        return payload_class.usual_latency if payload_class else None


class WaitsForJob(TellsCost, Traceable, _Operator):
    """The part of an operator that waits for a job; which one, :meth:`_awaited` tells."""

    operator_extra_links = (KlingOutputLink(),)
    #: What the button opens, once the job is done.
    output_url: str | None = None

    segmind_conn_id: str
    timeout: Any
    poll_interval: float | None

    @property
    def end_from_trigger(self) -> bool:
        """Whether the task may end in the triggerer."""
        return False

    @cached_property
    def hook(self) -> SegmindHook:
        """The hook that looks."""
        from airflow_provider_kling.hooks.segmind import SegmindHook

        return SegmindHook(self.segmind_conn_id)

    def execute_complete(self, context: Context, event: dict[str, Any] | str) -> Any:
        """End as the trigger's event says."""
        from airflow_provider_kling.segmind.schemas import Result

        if isinstance(event, str):  # `dag.test()` passes on that the trigger ended the task, and not with what
            result = self._look(self._wait(self._awaited(context), datetime.now(tz=UTC)))
            if result is None:
                raise self._timed_out(context, "it was done a moment ago")
            return self._deliver(context, result)
        if "error" in event:
            raise SegmindError.from_dict(event["error"])
        return self._deliver(context, Result.model_validate(event["result"]))

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Go on after the triggerer; past BaseSensorOperator's own, whose soft_fail skips any failure."""
        with self._endings(context):
            if timed_out(next_method, next_kwargs):
                return self._end_without_a_triggerer(context)
            return BaseOperator.resume_execution(self, next_method, next_kwargs, context)

    def _end_without_a_triggerer(self, context: Context) -> Any:
        """Look a last time: the job may have been done for long, while nothing looked."""
        result = None
        with suppress(KlingGenerationTimeoutError):
            result = self._look(self._wait(self._awaited(context), datetime.now(tz=UTC)))
        if result is None:
            raise self._timed_out(context, NO_TRIGGERER)
        self.log.warning("The job is done, but %s.", NO_TRIGGERER)
        return self._deliver(context, result)

    @abstractmethod
    def _awaited(self, context: Context) -> Awaited:
        """Return the job that is waited for."""

    def _traced(self, context: Context, awaited: Awaited) -> Awaited:  # noqa: ARG002 what others look in
        """Return the job with what the task that submitted it tells."""
        return awaited

    def _deadline(self) -> datetime:
        limits = [timedelta(seconds=self.timeout)]
        if self.execution_timeout is not None:  # Airflow does not enforce it while a task is deferred
            limits.append(self.execution_timeout)
        return datetime.now(tz=UTC) + min(limits)

    def _wait_here(self, context: Context) -> Any:
        """Hold the worker until the job is done."""
        from airflow_provider_kling.hooks.looking import look
        from airflow_provider_kling.segmind.polling import LookAgain

        awaited = self._awaited(context)
        wait = self._wait(awaited, self._deadline())
        begun = False
        while isinstance(seen := look(self.hook, wait), LookAgain):
            if not begun:
                self.log.info("%s", wait.begun(awaited.usual_latency, self.poll_interval))
                begun = True
            if seen.concern:
                self.log.warning("%s Looking again in %.0f s.", seen.concern, seen.seconds)
            time.sleep(seen.seconds)
        return self._deliver(context, seen)

    def _look_then_defer(self, context: Context) -> Any:
        awaited = self._awaited(context)
        wait = self._wait(awaited, self._deadline())
        result = self._look(wait)
        if result is None:
            self._defer(self._traced(context, awaited), wait)
        return self._deliver(context, result)

    def _defer(self, awaited: Awaited, wait: Wait) -> NoReturn:
        from airflow_provider_kling.triggers.kling import KlingTrigger

        wait.model = awaited.model
        self.log.info("%s", wait.begun(awaited.usual_latency, self.poll_interval))
        self.defer(
            trigger=KlingTrigger(
                request_id=wait.request_id,
                deadline=wait.deadline.isoformat(),
                segmind_conn_id=self.segmind_conn_id,
                poll_interval=self.poll_interval,
                model=awaited.model,
                submitted_at=awaited.submitted_at,
                usual_latency=awaited.usual_latency,
                end_from_trigger=self.end_from_trigger,
                push_result=self.do_xcom_push,
            ),
            method_name=self.execute_complete.__name__,
            timeout=wait.deadline - datetime.now(tz=UTC) + TRIGGER_GRACE,
        )

    @abstractmethod
    def _pause(self, awaited: Awaited, now: datetime) -> float:
        """Return how many seconds a worker that waits leaves the job alone."""

    def _wait(self, awaited: Awaited, deadline: datetime) -> Wait:
        from airflow_provider_kling.segmind.polling import Wait

        return Wait(
            awaited.request_id,
            deadline,
            lambda now: self._pause(awaited, now),
            awaited.model,
            submitted_at=rendered_time(awaited.submitted_at),
        )

    def _timed_out(self, context: Context, last_seen: str) -> KlingGenerationTimeoutError:
        return self._wait(self._awaited(context), datetime.now(tz=UTC)).timed_out(last_seen)

    def _look(self, wait: Wait) -> Result | None:
        """Look; return the result once there is one, None while there is none, and raise what else ends the wait."""
        from airflow_provider_kling.hooks.looking import look
        from airflow_provider_kling.segmind.polling import LookAgain

        # In a mode with a process for each look, what counts only in a row is looked at in a row.
        alone = getattr(self, "reschedule", False)
        while isinstance(seen := look(self.hook, wait), LookAgain) and seen.in_doubt and alone:
            time.sleep(min(seen.seconds, LONGEST_DOUBT))
        if not isinstance(seen, LookAgain):
            return seen
        if seen.concern:
            self.log.warning("%s Looking again later.", seen.concern)
        return None

    def _deliver(self, context: Context, result: Result) -> Any:
        """Push what the next step needs, and return the whole result."""
        from airflow_provider_kling.delivery import summary, xcoms

        awaited = self._traced(context, self._awaited(context))
        handed_on = xcoms(awaited.request_id, awaited.model, result)
        self.output_url = result.url
        level = logging.INFO if result.url else logging.WARNING
        self.log.log(level, "%s", summary(awaited.request_id, result))
        whole: dict[str, Any] = handed_on.pop("return_value")
        for key, value in handed_on.items():
            context["ti"].xcom_push(key=key, value=value)
        return whole

    @contextmanager
    def _endings(self, context: Context) -> Iterator[None]:
        """End the task the same way however it waits."""
        try:
            yield
        except SegmindError as error:
            self._end_with(context, error)

    def _end_with(self, context: Context, error: SegmindError) -> NoReturn:
        if isinstance(error, (SegmindAuthenticationError, SegmindPermissionError, SegmindSettingsError)):
            then = "A retry, or clearing this task," if error.retryable else "Correct that, then clear this task: it"
            error = error.followed_by(
                f"The job is not affected: it runs on, and is billed if it completes. {then} waits for the same job "
                "and sends nothing."
            )
        if isinstance(error, KlingGenerationFailedError):
            self._push_bill(context, error)
        fail(self, error)

    def _push_bill(self, context: Context, error: KlingGenerationFailedError) -> None:
        from airflow_provider_kling.delivery import BILL_KEY, bill_of_failure

        bill = bill_of_failure(error, self._traced(context, self._awaited(context)).model)
        context["ti"].xcom_push(key=BILL_KEY, value=bill)
