"""The sensor that waits for a Kling job."""

from __future__ import annotations

import logging
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
from airflow.triggers.base import StartTriggerArgs

from airflow_provider_kling.delivery import BILL_KEY, bill_of_failure, summary, xcoms
from airflow_provider_kling.hooks.segmind import SegmindHook
from airflow_provider_kling.links.kling import KlingOutputLink
from airflow_provider_kling.payloads import get_payload_class
from airflow_provider_kling.payloads.templates import renders_to_nothing
from airflow_provider_kling.retries import fail
from airflow_provider_kling.segmind.errors import (
    KlingGenerationFailedError,
    KlingGenerationTimeoutError,
    SegmindAuthenticationError,
    SegmindError,
    SegmindPermissionError,
    SegmindSettingsError,
)
from airflow_provider_kling.segmind.polling import Done, FetchResult, GiveUp, LookAgain, LookUp, Wait
from airflow_provider_kling.segmind.schemas import Result
from airflow_provider_kling.sensors.source import StartsInTriggerer, source_of
from airflow_provider_kling.siblings import RECORD_KEY, Submitter, TellsCost, Traceable, siblings
from airflow_provider_kling.triggers.kling import KlingTrigger
from airflow_provider_kling.versions import RUNS_IN_TRIGGERER

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow.providers.common.compat.sdk import Context

#: Seconds from one look to the next on a worker, where none are given.
WORKER_INTERVAL = 5.0
#: How long the trigger's own deadline goes before Airflow's, which also holds when no triggerer runs.
TRIGGER_GRACE = timedelta(seconds=60)


class KlingSensor(TellsCost, Traceable, BaseSensorOperator):
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
    :param poll_interval: a fixed number of seconds from one look to the next; ``poke_interval`` is the
        same. By default the triggerer looks when the model's jobs are usually done, and a worker every 5 s.
    :param timeout: seconds until the wait is given up; the job goes on. Segmind's API forgets a job an hour
        after it was submitted; from then on the request history is asked.
    :param submitted_at: when the job was submitted, ISO 8601; by default what the task that submitted it
        tells. The wait is paced by the job's age. (templated)
    :param start_from_trigger: on Airflow 3.3+ start in the triggerer, without a worker, where that can be: not
        for mapped tasks, nor in a DAG of more than 25 tasks.
    :param end_from_trigger: on Airflow 3.3+ end a job that is COMPLETED in the triggerer too.
    :raises KlingGenerationFailedError: the job FAILED; the task fails at once.
    :raises KlingGenerationTimeoutError: the deadline passed; a retry waits on.
    """

    template_fields: Sequence[str] = ("request_id", "model", "segmind_conn_id", "submitted_at")
    operator_extra_links = (KlingOutputLink(),)
    #: What the button opens, once the job is done.
    output_url: str | None = None
    ui_color = "#d6f0e6"
    start_from_trigger = StartsInTriggerer()

    def __init__(  # noqa: PLR0913 because each is for the author of a DAG to set
        self,
        *,
        request_id: str,
        model: str | None = None,
        segmind_conn_id: str = SegmindHook.default_conn_name,
        deferrable: bool | None = None,
        mode: str | None = None,
        poll_interval: float | None = None,
        timeout: float | timedelta = 3600.0,
        submitted_at: str | None = None,
        start_from_trigger: bool = True,
        end_from_trigger: bool = True,
        **kwargs: Any,
    ) -> None:
        fixed = kwargs.pop("poke_interval", None) if poll_interval is None else poll_interval
        super().__init__(
            mode=mode or "poke", timeout=timeout, **kwargs, poke_interval=WORKER_INTERVAL if fixed is None else fixed
        )
        if self.poke_interval <= 0:
            raise ValueError(f"poll_interval: {fixed!r} must be above 0 seconds.")
        self.poll_interval = None if fixed is None else self.poke_interval
        self.request_id = request_id
        self.model = model
        self.segmind_conn_id = segmind_conn_id
        self.deferrable = mode is None if deferrable is None else deferrable
        self.submitted_at = submitted_at
        # Only a worker registers the assets of a task, and runs the hooks around its execution.
        self.end_from_trigger = (
            RUNS_IN_TRIGGERER
            and end_from_trigger
            and not self.outlets
            and getattr(self, "_post_execute_hook", None) is None
        )
        self.start_from_trigger = (
            RUNS_IN_TRIGGERER
            and start_from_trigger
            and self.deferrable
            and not getattr(self, "on_execute_callback", None)
            and getattr(self, "_pre_execute_hook", None) is None
            and self._prepare_start()
        )

    @cached_property
    def hook(self) -> SegmindHook:
        """The hook that looks."""
        return SegmindHook(self.segmind_conn_id)

    def _prepare_start(self) -> bool:
        """Say what the triggerer is to start with; return False where only a worker can tell."""
        source = source_of(self.request_id)
        if source is None or next(self.iter_mapped_task_groups(), None) is not None:
            return False
        if self.submitted_at is None:
            self.submitted_at = source.submitted_at
        model = self.model or source.model
        payload_class = get_payload_class(model) if model else None
        limits = [timedelta(seconds=self.timeout), *filter(None, [self.execution_timeout])]
        self.start_trigger_args = StartTriggerArgs(
            trigger_cls=f"{KlingTrigger.__module__}.{KlingTrigger.__name__}",
            trigger_kwargs={
                "request_id": source.request_id,
                "segmind_conn_id": self.segmind_conn_id,
                "poll_interval": self.poll_interval,
                "model": model,
                "submitted_at": self.submitted_at,
                "usual_latency": payload_class.usual_latency if payload_class else None,
                "timeout": min(limits).total_seconds(),
                "end_from_trigger": self.end_from_trigger,
                "push_result": self.do_xcom_push,
            },
            next_method=self.execute_complete.__name__,
            timeout=min(limits) + TRIGGER_GRACE,
        )
        return True

    def execute(self, context: Context) -> dict[str, Any]:
        """Look once, then wait in the triggerer or on the worker."""
        with self._endings(context):
            result: dict[str, Any] = self._look_then_defer(context) if self.deferrable else super().execute(context)
            return result

    def poke(self, context: Context) -> PokeReturnValue:
        """Look once."""
        # Airflow's own loop keeps the deadline in these modes.
        if result := self._look(self._wait(datetime.now(tz=UTC) + timedelta(seconds=self.timeout))):
            return PokeReturnValue(is_done=True, xcom_value=self._deliver(context, result))
        return PokeReturnValue(is_done=False)

    def execute_complete(self, context: Context, event: dict[str, Any] | str) -> dict[str, Any]:
        """End as the trigger's event says."""
        if isinstance(event, str):  # `dag.test()` passes on that the trigger ended the task, and not with what
            result = self._look(self._wait(datetime.now(tz=UTC)))
            if result is None:
                raise self._timed_out("it was done a moment ago")
            return self._deliver(context, result)
        if "error" in event:
            raise SegmindError.from_dict(event["error"])
        return self._deliver(context, Result.model_validate(event["result"]))

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Go on after the triggerer; past BaseSensorOperator's own, whose soft_fail skips any failure."""
        with self._endings(context):
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
            self._defer(context, wait)
        return self._deliver(context, result)

    def _defer(self, context: Context, wait: Wait) -> NoReturn:
        model, submitted_at = self._submission(context)
        payload_class = get_payload_class(model) if model else None
        usual = payload_class.usual_latency if payload_class else None
        wait.model = model
        self.log.info("%s", wait.begun(usual, self.poll_interval))
        self.defer(
            trigger=KlingTrigger(
                request_id=wait.request_id,
                deadline=wait.deadline.isoformat(),
                segmind_conn_id=self.segmind_conn_id,
                poll_interval=self.poll_interval,
                model=model,
                submitted_at=submitted_at,
                usual_latency=usual,
                end_from_trigger=self.end_from_trigger,
                push_result=self.do_xcom_push,
            ),
            method_name=self.execute_complete.__name__,
            timeout=wait.deadline - datetime.now(tz=UTC) + TRIGGER_GRACE,
        )

    def _submission(self, context: Context) -> tuple[str | None, str | None]:
        """Return the job's model and when it was submitted, as far as the task that submitted it tells."""
        ti = context["ti"]
        for task_id in siblings(context["dag"], Submitter):
            if task_id in self.upstream_task_ids:
                claim = ti.xcom_pull(task_ids=task_id, key=RECORD_KEY, map_indexes=ti.map_index) or {}
                record = claim.get("record", {})
                if record.get("request_id") == self.request_id:
                    return self.model or record["model"], record["accepted_at"]
        return self.model, None if renders_to_nothing(self.submitted_at) else self.submitted_at

    def _wait(self, deadline: datetime) -> Wait:
        return Wait(self.request_id, deadline, lambda _: self.poke_interval, self.model)

    def _timed_out(self, last_seen: str) -> KlingGenerationTimeoutError:
        return self._wait(datetime.now(tz=UTC)).timed_out(last_seen)

    def _look(self, wait: Wait) -> Result | None:
        """Look once; return the result once there is one, raise what else ends the wait."""
        try:
            decision = wait.after_look(self.hook.get_status(wait.request_id), now=datetime.now(tz=UTC))
            if isinstance(decision, FetchResult):
                decision = wait.after_look(self.hook.get_result(wait.request_id), now=datetime.now(tz=UTC))
        except SegmindError as error:
            decision = wait.after_error(error, now=datetime.now(tz=UTC))
        if isinstance(decision, LookUp):
            try:
                decision = wait.after_look(self.hook.find_request(wait.request_id), now=datetime.now(tz=UTC))
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
        handed_on = xcoms(self.request_id, self.model, result)
        self.output_url = result.url
        level = logging.INFO if result.url else logging.WARNING
        self.log.log(level, "%s", summary(self.request_id, result))
        whole: dict[str, Any] = handed_on.pop("return_value")
        for key, value in handed_on.items():
            context["ti"].xcom_push(key=key, value=value)
        return whole

    @contextmanager
    def _endings(self, context: Context) -> Iterator[None]:
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
        if isinstance(error, KlingGenerationFailedError):
            context["ti"].xcom_push(key=BILL_KEY, value=bill_of_failure(error, self.model))
        if getattr(self, "never_fail", False) or (self.soft_fail and isinstance(error, KlingGenerationTimeoutError)):
            raise AirflowSkipException(str(error)) from error
        fail(self, error)
