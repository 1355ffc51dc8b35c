"""The operator that submits and waits as one task, and how it handles a job that FAILED."""

from __future__ import annotations

import random
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_provider_kling.operators.failure import CORRECT_AND_CLEAR, fail
from airflow_provider_kling.operators.job_wait_base import JobReference, WaitsForJob
from airflow_provider_kling.operators.submit import KlingSubmitOperator, as_span
from airflow_provider_kling.operators.wait_base import timed_out
from airflow_provider_kling.payloads.request import check_rendered
from airflow_provider_kling.payloads.templates import is_template, renders_to_nothing
from airflow_provider_kling.segmind.errors import KlingGenerationFailedError, SegmindError, SegmindInputError
from airflow_provider_kling.segmind.identifiers import canonical_id
from airflow_provider_kling.storage.allowed_paths import authors_folder
from airflow_provider_kling.storage.asset_events import check_assets, outlets_for
from airflow_provider_kling.storage.store import Store, as_store
from airflow_provider_kling.versions import call_on_failure
from airflow_provider_kling.xcoms import RECORD_KEY

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_kling.polling.schedule import Expectation
    from airflow_provider_kling.segmind.schemas import Result

#: The name of a file if the author's template no longer gives one.
UNNAMED = "{request_id}-{index}.{ext}"
_BLOCKED = "Content rules blocked it, and would again: change the prompt or the pictures, then clear this task."
_CHARGED = "It is not submitted again by itself. Correct what it names, then clear this task to submit a new job."
_ADOPTED = "Remove adopt_request_id, then clear this task to submit a new job."
_AGAIN = "A retry, or clearing this task, submits a new job in its place."


class KlingGenerateOperator(WaitsForJob, KlingSubmitOperator):
    """
    Submit one Kling job, wait for it and return its result, as one task; with ``store=`` save its files too.

    It is :class:`KlingSubmitOperator` and :class:`~airflow_provider_kling.sensors.kling.KlingSensor` in one: it has the
    arguments and guarantees of the first, and the result and XComs of the second. A retry adopts a running job and
    delivers a finished one, at no cost. After a job that FAILED and was not charged a retry submits a new one; where
    content rules blocked it, the task fails at once. Clearing a task that has delivered submits a new job.

    XComs: the return value is the result as a dict (``request_id``, ``status``, ``url``, ``urls``, ``cost``,
    ``metrics``, ``output`` …, with ``store`` also ``files``); ``url``, ``urls``, ``cost`` (US dollars), ``metrics``,
    ``model`` and ``submitted_at`` are beside it.

    :param payload: see :class:`KlingSubmitOperator`, also for every argument that is not listed here.
    :param wait_for_completion: False returns the request id once the job is accepted.
    :param poll_interval: a fixed number of seconds from one poll to the next; by default it polls when the model's jobs
        are usually done.
    :param timeout: seconds until the wait is given up; the job goes on, and a retry waits for it again.
    :param store: where the files are saved: a :class:`~airflow_provider_kling.storage.store.Store`, or the URL of a
        folder. Each file adds an event to that folder's asset, or to the one in ``outlets``. A name that is already
        taken and a folder that cannot be written are found before anything is sent; a cleared task replaces its own
        file. (templated)
    :raises KlingNameTakenError: another task's or a person's file has the name; nothing was sent.
    :raises KlingStorageError: the folder cannot be written; nothing, or nothing more, was sent.
    :raises KlingGenerationFailedError: the job FAILED.
    :raises KlingGenerationTimeoutError: the deadline passed; a retry continues the wait.
    """

    open_to_data = KlingSubmitOperator.open_to_data | {"store"}
    _saves_files = property(lambda self: self.store is not None)
    ui_color = "#dfe3f8"

    def __init__(
        self,
        *,
        wait_for_completion: bool = True,
        poll_interval: float | None = None,
        timeout: float | timedelta = 3600.0,
        store: Store | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.poll_interval = None if poll_interval is None else as_span("poll_interval", poll_interval).total_seconds()
        if self.poll_interval == 0:
            raise SegmindInputError(f"poll_interval: {poll_interval!r} must be above 0 seconds.")
        if store is not None and not wait_for_completion:
            raise SegmindInputError("store: needs wait_for_completion; there is no file before the job is done.")
        self.wait_for_completion = wait_for_completion
        self.timeout = as_span("timeout", timeout).total_seconds()
        self.store = as_store(store)
        self._known_job: JobReference | None = None
        self._sent: str | None = None
        self._expected: Expectation | None = None
        if self.store is not None:
            self.outlets = outlets_for(self.store.destination, self.outlets)

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """Return the operator to be mapped, with the outlets of its tasks, which Airflow has to know in advance."""
        mapped = super().partial(**kwargs)
        if (store := as_store(kwargs.get("store"))) is not None:
            mapped.kwargs["outlets"] = outlets_for(store.destination, mapped.kwargs["outlets"])
        return mapped

    def execute(self, context: Context) -> Any:
        """Submit, or adopt what an earlier attempt submitted; wait for it."""
        from airflow_provider_kling.operators.submission_driver import conclude_when_counted
        from airflow_provider_kling.submission.earlier_attempt import publish_earlier

        publish_earlier(context)
        self._check_store(context)
        submitted = self._submit(context)
        if not self.wait_for_completion:
            conclude_when_counted(context, self.log)
            return submitted.request_id
        if not submitted.sent and (failed := self._made_in_vain(context)):
            self._known_job = None
            self._submit(context, instead_of=failed)
        with self._endings(context):
            return self._poll_then_defer(context) if self.deferrable else self._wait_here(context)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Continue after the triggerer: with the submit, or with the wait for its job."""
        from airflow_provider_kling.submission.earlier_attempt import is_submitted

        submitting = timed_out(next_method, next_kwargs) and not is_submitted(context)
        if submitting or next_method == self.execute_again.__name__:
            return KlingSubmitOperator.resume_execution(self, next_method, next_kwargs, context)
        return super().resume_execution(next_method, next_kwargs, context)

    def _store(self, store: Store, context: Context) -> Store:
        """Return the store with its author's templates rendered, if results may be saved in it."""
        return store.checked(None, None) if "store" in self.filled_in else store.resolve(context)

    def _check_store(self, context: Context) -> None:
        """Fail if the files could not be saved: an invalid name or storage is found before the job is paid."""
        if self.store is None:
            return
        try:
            store = self._store(self.store, context)
            store.folder()
            check_assets(context, store)
        except SegmindInputError as error:
            from airflow_provider_kling.submission.earlier_attempt import is_submitted

            if is_submitted(context):  # it is paid: see _store_at_end
                self.log.warning("%s It does not affect an earlier attempt's job.", error)
                return
            fail(self, error.followed_by(f"Nothing was uploaded, sent or paid. {CORRECT_AND_CLEAR}"))
        except SegmindError as error:
            fail(self, error)

    def _check_place(self, context: Context, model: str) -> None:
        if self.store is not None:
            from airflow_provider_kling.storage.preflight import check_place

            check_place(context, self._store(self.store, context), model)

    def _made_in_vain(self, context: Context) -> str | None:
        """Return the job of an earlier attempt, if it FAILED and may be submitted again."""
        try:
            self._poll(self._wait(context, self._deadline()))
        except KlingGenerationFailedError as error:
            if self._may_be_made_again(error):
                self._push_bill(context, error)
                return error.request_id
        except SegmindError:
            pass  # the wait gets the same error, and handles it
        return None

    def _may_be_made_again(self, error: KlingGenerationFailedError) -> bool:
        return _may_be_made_again(error) and renders_to_nothing(self.adopt_request_id)

    def _job(self, context: Context) -> JobReference:
        if self._known_job is None:
            from airflow_provider_kling.submission.record import awaited_record
            from airflow_provider_kling.submission.record_and_ledger import record_store

            ti = context["ti"]
            record = awaited_record(
                record_store(context).load(),
                lambda: ti.xcom_pull(task_ids=ti.task_id, key=RECORD_KEY, map_indexes=ti.map_index),
            )
            accepted_at = None if record.accepted_at is None else record.accepted_at.isoformat()
            self._known_job = JobReference(
                str(record.request_id), record.model, accepted_at, reused=record.reused, own_cost=record.cost
            )
            self._sent = None if canonical_id(self._known_job.request_id) in record.ordered else record.fingerprint
        return self._known_job

    def _pause(self, awaited: JobReference, now: datetime) -> float:
        from airflow_provider_kling.hooks.shared_durations import learned
        from airflow_provider_kling.polling.schedule import Job

        host, model, usual = self.hook.settings.host, awaited.model, awaited.usual_latency
        self._expected = self._expected or learned(self.ledger_conn_id, host, model, usual)
        submitted_at = datetime.fromisoformat(awaited.submitted_at) if awaited.submitted_at else now
        job = Job(
            submitted_at.timestamp(), self._expected, self.poll_interval, time_scale=self.hook.settings.time_scale
        )
        return job.pause(now.timestamp(), chance=random.random())  # noqa: S311 jitter, no secret

    def _deliver(self, context: Context, result: Result) -> Any:
        from airflow_provider_kling.operators.submission_driver import conclude_when_counted

        whole = super()._deliver(context, result)
        if self.store is not None:
            from airflow_provider_kling.storage.save import save_outputs

            whole["files"] = save_outputs(
                context,
                whole,
                self._store_at_end(self.store, context),
                self.hook,
                self.log,
                payload=self._sent_without_files(),
                is_own_job=True,
                ledger_of=lambda _: self._ledger(context),
            )
        job = self._job(context)
        conclude_when_counted(context, self.log, cost=job.own_cost if job.reused else result.metrics.cost)
        return whole

    def _store_at_end(self, store: Store, context: Context) -> Store:
        """
        Return the store as it is rendered now; if it has become invalid since the job was paid, a fallback for it.

        Airflow renders the templates of a task again when it resumes, and a Variable may have changed by then.
        """
        try:
            return self._store(store, context)
        except SegmindInputError as error:
            left = replace(store, name=UNNAMED)
            folder = authors_folder(store.destination)
            for other in (left, *([replace(left, destination=folder)] if folder else [])):
                with suppress(SegmindInputError):
                    found = self._store(other, context)
                    self.log.warning("%s The files are saved as %s/%s.", error, found.destination, UNNAMED)
                    return found
            raise error.followed_by(
                f"Request {self._job(context).request_id} is done, and not lost. Correct that, then clear this "
                "task: it saves the files and sends nothing."
            ) from error

    def _sent_without_files(self) -> dict[str, Any] | None:
        """Return the parameters as they were sent; None where only the request history knows them."""
        if is_template(self.payload):  # a function returned it, in another process
            return None
        from airflow_provider_kling.payloads.files import files_in
        from airflow_provider_kling.submission.submission import fingerprint

        try:
            request = check_rendered(self.payload, self.model)
            if files_in(request) or fingerprint(request.model, request.parameters) != self._sent:
                return None
        except ValueError:  # rendered again, it is no longer a payload
            return None
        return request.parameters

    def _end_with(self, context: Context, error: SegmindError) -> NoReturn:
        if not isinstance(error, KlingGenerationFailedError):
            super()._end_with(context, error)
        self._push_bill(context, error)
        adopted = _may_be_made_again(error) and not self._may_be_made_again(error)
        told = _retold(error, self._job(context).model, adopted=adopted)
        if self._may_be_made_again(error):
            self.log.error("%s: %s", type(told).__name__, told)
            raise told
        from airflow_provider_kling.operators.submission_driver import conclude

        # Not before: a retry that a policy or a lost process causes anyway must not pay for another job.
        call_on_failure(context, lambda: conclude(context, self.log, cost=_cost(error), succeeded=False))
        fail(self, told)


def _may_be_made_again(error: KlingGenerationFailedError) -> bool:
    """Whether a retry submits the job again: it cost nothing, and content rules did not block it."""
    return not error.blocked and not _cost(error)


def _retold(error: KlingGenerationFailedError, model: str | None, *, adopted: bool) -> KlingGenerationFailedError:
    """Return the error with what this single task does next, in place of what a submit and a sensor would do."""
    from airflow_provider_kling.segmind.failed_job import failed

    cost = _cost(error)
    advice = _BLOCKED if error.blocked else _CHARGED if cost else _ADOPTED if adopted else _AGAIN
    told = KlingGenerationFailedError(
        failed(error.request_id, model, error.detail or "no reason given", cost, advice),
        request_id=error.request_id,
        detail=error.detail,
        blocked=error.blocked,
        metrics=error.metrics,
    )
    told.__cause__ = error.__cause__
    return told


def _cost(error: KlingGenerationFailedError) -> float:
    return float((error.metrics or {}).get("cost") or 0.0)
