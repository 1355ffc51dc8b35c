"""The sensor that waits for a Kling job."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.common.compat.sdk import (
    BaseSensorOperator,
    PokeReturnValue,
)
from airflow.triggers.base import StartTriggerArgs

from airflow_provider_kling.get_provider_info import DEFAULT_CONN_ID
from airflow_provider_kling.operators.job_wait_base import JobReference, WaitsForJob
from airflow_provider_kling.operators.rendering import RendersAuthorsTemplates
from airflow_provider_kling.operators.wait_base import TRIGGER_GRACE
from airflow_provider_kling.payloads.templates import renders_to_nothing
from airflow_provider_kling.segmind.identifiers import is_slug
from airflow_provider_kling.segmind.sanitize import one_line
from airflow_provider_kling.sensors.start_in_triggerer import (
    StartsInTriggerer,
    for_triggerer,
    needs_worker_at_end,
    source_of,
)
from airflow_provider_kling.versions import RUNS_IN_TRIGGERER, delete_xcoms
from airflow_provider_kling.xcoms import RECORD_KEY, RESULT_KEYS, Submitter, siblings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_kling.polling.job_wait import JobWait
    from airflow_provider_kling.segmind.errors import SegmindError

__all__ = ["KlingSensor"]

#: Default seconds from one poll to the next on a worker; longer if each poll needs a worker again.
WORKER_INTERVAL = 5.0
RESCHEDULE_INTERVAL = 30.0


class KlingSensor(RendersAuthorsTemplates, WaitsForJob, BaseSensorOperator):
    """
    Wait for a Kling job until it is COMPLETED or FAILED; return its result.

    It only reads: a retry or a second sensor for the same job costs nothing. By default it waits in
    the triggerer and holds no worker.

    XComs: the return value is the result as a dict (``request_id``, ``status``, ``url``, ``urls``, ``cost``,
    ``metrics``, ``output`` and what else Segmind sends); ``url``, ``urls``, ``cost`` (US dollars) and ``metrics`` are
    beside it, so that ``sensor.output["url"]`` feeds the next step.

    ``soft_fail`` skips the task when the deadline passes; a FAILED job still fails it.

    :param request_id: what :class:`KlingSubmitOperator` returned. (templated)
    :param model: the model's slug, for the log; anything that is not a slug is ignored. (templated)
    :param segmind_conn_id: the connection that submitted the job. (templated)
    :param deferrable: wait in the triggerer; the default, unless ``mode`` is given.
    :param mode: ``poke`` or ``reschedule`` to wait on a worker.
    :param poll_interval: a fixed number of seconds from one poll to the next; ``poke_interval`` is the
        same. By default the triggerer polls when the model's jobs are usually done, and a worker every 5 s, or every
        30 s in mode ``reschedule``, where each poll starts a process. Less than 10 s there can make Airflow's
        scheduler fail the task; a retry continues the wait.
    :param timeout: seconds until the wait is given up; the job goes on. Segmind's API no longer knows a job an hour
        after it was submitted; from then on the request history is read.
    :param submitted_at: when the job was submitted, ISO 8601; by default what the submitting task has published. The
        poll schedule depends on the job's age. (templated)
    :param start_from_trigger: on Airflow 3.3+ start in the triggerer, without a worker, where possible: not for mapped
        tasks, nor in a DAG of more than 25 tasks.
    :param end_from_trigger: on Airflow 3.3+ end a job that is COMPLETED in the triggerer too.
    :param ledger_conn_id: the ledger's connection, in place of the one in Airflow's config, ``[kling] ledger_conn_id``.
    :raises KlingGenerationFailedError: the job FAILED; the task fails at once.
    :raises KlingGenerationTimeoutError: the deadline passed; a retry continues the wait.
    """

    template_fields: Sequence[str] = ("request_id", "model", "segmind_conn_id", "submitted_at")
    open_to_data = frozenset({"request_id", "model", "submitted_at"})
    ui_color = "#d6f0e6"
    start_from_trigger = StartsInTriggerer()

    def __init__(  # noqa: PLR0913 because each is for the author of a DAG to set
        self,
        *,
        request_id: str,
        model: str | None = None,
        segmind_conn_id: str = DEFAULT_CONN_ID,
        deferrable: bool | None = None,
        mode: str | None = None,
        poll_interval: float | None = None,
        timeout: float | timedelta = 3600.0,
        submitted_at: str | None = None,
        start_from_trigger: bool = True,
        end_from_trigger: bool = True,
        ledger_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        fixed = kwargs.pop("poke_interval", None) if poll_interval is None else poll_interval
        usual = RESCHEDULE_INTERVAL if mode == "reschedule" else WORKER_INTERVAL
        super().__init__(
            mode=mode or "poke", timeout=timeout, **kwargs, poke_interval=usual if fixed is None else fixed
        )
        if self.poke_interval <= 0:
            raise ValueError(f"poll_interval: {fixed!r} must be above 0 seconds.")
        self.poll_interval = None if fixed is None else self.poke_interval
        self._poking: JobWait | None = None
        self.request_id = request_id
        self.model = model
        self.segmind_conn_id = segmind_conn_id
        self.ledger_conn_id = ledger_conn_id
        self.deferrable = mode is None if deferrable is None else deferrable
        self.submitted_at = submitted_at
        self._end_from_trigger = end_from_trigger
        self._follows_submit = isinstance(getattr(request_id, "operator", None), Submitter)
        self.start_from_trigger = (
            RUNS_IN_TRIGGERER
            and start_from_trigger
            and self.deferrable
            and not getattr(self, "on_execute_callback", None)
            and getattr(self, "_pre_execute_hook", None) is None
            and self._prepare_start()
        )

    @property
    def end_from_trigger(self) -> bool:
        """Whether the task may end in the triggerer: only a worker does all that Airflow does at a task's end."""
        return self._end_from_trigger and RUNS_IN_TRIGGERER and not needs_worker_at_end(self)

    def _prepare_start(self) -> bool:
        """Set what the triggerer starts with; return False if only a worker can resolve it."""
        source = source_of(self.request_id)
        if source is None or next(self.iter_mapped_task_groups(), None) is not None:
            return False
        try:
            segmind_conn_id, model, submitted_at = map(
                for_triggerer, (self.segmind_conn_id, self.model or source.model, self.submitted_at)
            )
        except LookupError:
            return False
        if submitted_at is None:
            submitted_at = self.submitted_at = source.submitted_at
        job = JobReference(source.request_id, model, submitted_at)
        self.start_trigger_args = StartTriggerArgs(
            trigger_cls="airflow_provider_kling.triggers.kling.KlingTrigger",
            trigger_kwargs={
                **self._trigger_arguments(job),
                "segmind_conn_id": segmind_conn_id,
                "timeout": self._limit().total_seconds(),
            },
            next_method=self.execute_complete.__name__,
            timeout=self._limit() + TRIGGER_GRACE,
        )
        return True

    def execute(self, context: Context) -> dict[str, Any]:
        """Poll once, then wait in the triggerer or on the worker."""
        with self._endings(context):
            self._poking = None  # an object may run more than once, in ``dag.test()``
            result: dict[str, Any] = self._poll_then_defer(context) if self.deferrable else super().execute(context)
            return result

    def poke(self, context: Context) -> PokeReturnValue:
        """Poll once."""
        if self._poking is None:
            if known := self._used_again(context):
                return PokeReturnValue(is_done=True, xcom_value=self._deliver(context, known))
            # Airflow's own loop enforces the deadline in these modes.
            self._poking = self._wait(context, datetime.now(tz=UTC) + timedelta(seconds=self.timeout))
        if result := self._poll(self._poking):
            return PokeReturnValue(is_done=True, xcom_value=self._deliver(context, result))
        return PokeReturnValue(is_done=False)

    def _job(self, context: Context) -> JobReference:  # noqa: ARG002 the arguments say it
        submitted_at = None if renders_to_nothing(self.submitted_at) else self.submitted_at
        model = self.model if is_slug(self.model) else None  # as in the triggerer
        return JobReference(self.request_id, model, submitted_at)

    def _traced(self, context: Context, job: JobReference) -> JobReference:
        from airflow_provider_kling.submission.record import read_claims

        ti = context["ti"]
        for task_id in siblings(context["dag"], Submitter):
            if task_id in self.upstream_task_ids:
                shown = ti.xcom_pull(task_ids=task_id, key=RECORD_KEY, map_indexes=ti.map_index)
                for record in (claim.record for claim in read_claims([shown])):
                    if record.request_id != self.request_id:
                        continue
                    # A request id from a template is not traced in the triggerer, so its model is not passed on here.
                    told = record.model if self._follows_submit or ti.map_index not in {None, -1} else None
                    accepted_at = None if record.accepted_at is None else record.accepted_at.isoformat()
                    return JobReference(
                        self.request_id, job.model or told, accepted_at, record.model, record.reused, record.cost
                    )
        return job

    def _pause(self, job: JobReference, now: datetime) -> float:  # noqa: ARG002 Airflow's own loop waits as long
        return self.poke_interval

    def _end_with(self, context: Context, error: SegmindError) -> NoReturn:
        if self.start_from_trigger:
            self._forget_earlier_result(context)
        super()._end_with(context, error)

    def _forget_earlier_result(self, context: Context) -> None:
        """Delete what an earlier run of the task has pushed: Airflow does that only where a worker starts a task."""
        try:
            delete_xcoms(context["ti"], RESULT_KEYS)
        except Exception as exc:  # noqa: BLE001 because the task fails or is skipped all the same
            self.log.warning("XComs of an earlier run of this task may still be there (%s).", one_line(exc))
