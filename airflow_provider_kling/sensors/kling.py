"""The sensor that waits for a Kling job."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.common.compat.sdk import (
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseOperator,
    BaseSensorOperator,
    PokeReturnValue,
)

from airflow_provider_kling.hooks.segmind import SegmindHook
from airflow_provider_kling.links.kling import KlingOutputLink
from airflow_provider_kling.retries import fail
from airflow_provider_kling.segmind.errors import (
    KlingGenerationTimeoutError,
    SegmindAuthenticationError,
    SegmindError,
    SegmindPermissionError,
    SegmindSettingsError,
)
from airflow_provider_kling.segmind.polling import Done, FetchResult, GiveUp, LookAgain, LookUp, Wait
from airflow_provider_kling.segmind.schemas import Result
from airflow_provider_kling.triggers.kling import KlingTrigger

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow.providers.common.compat.sdk import Context

#: How long the trigger's own deadline goes before Airflow's, which also holds when no triggerer runs.
TRIGGER_GRACE = timedelta(seconds=60)


class KlingSensor(BaseSensorOperator):
    """
    Wait for a Kling job until it is COMPLETED or FAILED; return its result.

    It only reads: a retry or a second sensor for the same job costs nothing. By default it waits in
    the triggerer and holds no worker.

    XComs: the return value is the result as a dict (``request_id``, ``status``, ``url``, ``urls``,
    ``cost``, ``metrics``, ``output`` and what else Segmind sends); ``url``, ``urls``, ``cost`` (US
    dollars) and ``metrics`` stand beside it, so that ``sensor.output["url"]`` feeds the next step.

    ``soft_fail`` skips the task when the deadline passes; a FAILED job fails it all the same.

    :param request_id: what :class:`KlingSubmitOperator` returned. (templated)
    :param model: the model's slug, for the log. (templated)
    :param segmind_conn_id: the connection; the one that submitted. (templated)
    :param deferrable: wait in the triggerer; the default, unless ``mode`` is given.
    :param mode: ``poke`` or ``reschedule`` to wait on a worker.
    :param poll_interval: seconds from one look to the next; ``poke_interval`` is the same.
    :param timeout: seconds until the wait is given up; the job goes on. Segmind's API forgets a job an hour
        after it was submitted; from then on the request history is asked.
    :raises KlingGenerationFailedError: the job FAILED; the task fails at once.
    :raises KlingGenerationTimeoutError: the deadline passed; a retry waits on.
    """

    template_fields: Sequence[str] = ("request_id", "model", "segmind_conn_id")
    operator_extra_links = (KlingOutputLink(),)
    #: What the button opens, once the job is done.
    output_url: str | None = None
    ui_color = "#d6f0e6"

    def __init__(
        self,
        *,
        request_id: str,
        model: str | None = None,
        segmind_conn_id: str = SegmindHook.default_conn_name,
        deferrable: bool | None = None,
        mode: str | None = None,
        poll_interval: float = 5.0,
        timeout: float | timedelta = 3600.0,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("poke_interval", poll_interval)
        super().__init__(mode=mode or "poke", timeout=timeout, **kwargs)
        if self.poke_interval <= 0:
            raise ValueError(f"poll_interval: {self.poke_interval!r} must be above 0 seconds.")
        self.request_id = request_id
        self.model = model
        self.segmind_conn_id = segmind_conn_id
        self.deferrable = mode is None if deferrable is None else deferrable

    @cached_property
    def hook(self) -> SegmindHook:
        """The hook that looks."""
        return SegmindHook(self.segmind_conn_id)

    def execute(self, context: Context) -> dict[str, Any]:
        """Look once, then wait in the triggerer or on the worker."""
        with self._endings():
            result: dict[str, Any] = self._look_then_defer(context) if self.deferrable else super().execute(context)
            return result

    def poke(self, context: Context) -> PokeReturnValue:
        """Look once."""
        # Airflow's own loop keeps the deadline in these modes.
        if result := self._look(self._wait(datetime.now(tz=UTC) + timedelta(seconds=self.timeout))):
            return PokeReturnValue(is_done=True, xcom_value=self._deliver(context, result))
        return PokeReturnValue(is_done=False)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """End as the trigger's event says."""
        if "error" in event:
            raise SegmindError.from_dict(event["error"])
        return self._deliver(context, Result.model_validate(event["result"]))

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Go on after the triggerer; past BaseSensorOperator's own, whose soft_fail skips any failure."""
        with self._endings():
            if next_method == "__fail__" and "timeout" in str((next_kwargs or {}).get("error", "")).lower():
                raise self._timed_out("no triggerer looked in time; check that one runs")
            return BaseOperator.resume_execution(self, next_method, next_kwargs, context)

    def _look_then_defer(self, context: Context) -> dict[str, Any]:
        limits = [timedelta(seconds=self.timeout)]
        if self.execution_timeout is not None:  # Airflow does not enforce it while a task is deferred
            limits.append(self.execution_timeout)
        wait = self._wait(datetime.now(tz=UTC) + min(limits))
        result = self._look(wait)
        if result is None:
            self._defer(wait)
        return self._deliver(context, result)

    def _defer(self, wait: Wait) -> NoReturn:
        self.log.info(
            "Waiting for request %s%s until %s, looking every %g s.",
            wait.request_id,
            f" ({self.model})" if self.model else "",
            f"{wait.deadline:%Y-%m-%d %H:%M:%S %Z}",
            wait.poll_interval,
        )
        self.defer(
            trigger=KlingTrigger(
                request_id=wait.request_id,
                deadline=wait.deadline.isoformat(),
                segmind_conn_id=self.segmind_conn_id,
                poll_interval=wait.poll_interval,
                model=self.model,
            ),
            method_name=self.execute_complete.__name__,
            timeout=wait.deadline - datetime.now(tz=UTC) + TRIGGER_GRACE,
        )

    def _wait(self, deadline: datetime) -> Wait:
        return Wait(self.request_id, deadline, self.poke_interval, self.model)

    def _timed_out(self, last_seen: str) -> KlingGenerationTimeoutError:
        return self._wait(datetime.now(tz=UTC)).timed_out(last_seen)

    def _look(self, wait: Wait) -> Result | None:
        """Look once; return the result once there is one, raise what else ends the wait."""
        try:
            decision = wait.after_status(self.hook.get_status(wait.request_id), now=datetime.now(tz=UTC))
            if isinstance(decision, FetchResult):
                decision = wait.after_result(self.hook.get_result(wait.request_id), now=datetime.now(tz=UTC))
        except SegmindError as error:
            decision = wait.after_error(error, now=datetime.now(tz=UTC))
        if isinstance(decision, LookUp):
            try:
                decision = wait.after_result(self.hook.find_request(wait.request_id), now=datetime.now(tz=UTC))
            except SegmindError as error:
                decision = wait.after_lookup_error(error, now=datetime.now(tz=UTC))
        match decision:
            case GiveUp(error=ending):
                raise ending
            case Done(result=result):
                return result
            case LookAgain(concern=str() as concern):
                self.log.warning("%s Looking again later.", concern)
        return None

    def _deliver(self, context: Context, result: Result) -> dict[str, Any]:
        """Push what the next step needs, and return the whole result."""
        answer = result.model_dump(mode="json", exclude_none=True)
        metrics = answer.get("metrics", {})
        ti = context["ti"]
        if result.url:
            self.output_url = result.url
            ti.xcom_push(key="url", value=result.url)
        else:
            self.log.warning(
                "Request %s is COMPLETED, but no file is recognised in its output; it is in the return value: %s",
                self.request_id,
                result.output,
            )
        ti.xcom_push(key="urls", value=list(result.urls))
        ti.xcom_push(key="cost", value=result.metrics.cost)
        ti.xcom_push(key="metrics", value=metrics)
        cost = "cost unknown" if result.metrics.cost is None else f"${result.metrics.cost:.3f}"
        took = "" if result.metrics.total_time is None else f", {result.metrics.total_time:.0f} s"
        self.log.info("Request %s is COMPLETED (%s%s): %s", self.request_id, cost, took, result.url)
        return {
            "request_id": self.request_id,
            **({"model": self.model} if self.model else {}),
            **answer,
            "url": result.url,
            "urls": list(result.urls),
            "cost": result.metrics.cost,
            "metrics": metrics,
        }

    @contextmanager
    def _endings(self) -> Iterator[None]:
        """End the task the same way in every mode."""
        try:
            yield
        except (AirflowSensorTimeout, AirflowSkipException) as ending:  # as Airflow's own loop ends
            cause = ending.__cause__
            late = self._timed_out(f"not done after {self.timeout:g} s")
            error: SegmindError = cause if isinstance(cause, SegmindError) else late
        except SegmindError as caught:
            error = caught
        else:
            return
        if isinstance(error, (SegmindAuthenticationError, SegmindPermissionError, SegmindSettingsError)):
            error = error.followed_by(
                "The job is not affected: it runs on, and is billed if it completes. Mend that, then clear this task: "
                "it waits for the same job and sends nothing."
            )
        if getattr(self, "never_fail", False) or (self.soft_fail and isinstance(error, KlingGenerationTimeoutError)):
            raise AirflowSkipException(str(error)) from error
        fail(self, error)
