"""The operator that submits a Kling job and returns its request id."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, get_args

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_kling.get_provider_info import DEFAULT_CONN_ID
from airflow_provider_kling.ledger.configured import reuses
from airflow_provider_kling.operators.deferral import Postpones
from airflow_provider_kling.operators.failure import CORRECT_AND_CLEAR, fail
from airflow_provider_kling.operators.rendering import RendersAuthorsTemplates
from airflow_provider_kling.payloads.request import check_rendered, check_unrendered
from airflow_provider_kling.payloads.templates import renders_to_nothing
from airflow_provider_kling.segmind.errors import (
    SegmindAmbiguousSubmitError,
    SegmindError,
    SegmindInputError,
)
from airflow_provider_kling.segmind.identifiers import checked_request_id
from airflow_provider_kling.submission.policy import HISTORY_TIMEOUT, ORPHAN_GRACE, OnOrphanedIntent
from airflow_provider_kling.versions import STATE_OUTLIVES_A_CLEAR
from airflow_provider_kling.xcoms import Submitter, batch_name, instance_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_kling.budget import KlingBudget
    from airflow_provider_kling.hooks.segmind import SegmindHook
    from airflow_provider_kling.payloads.base import KlingPayload
    from airflow_provider_kling.payloads.request import Request
    from airflow_provider_kling.submission.submission import Submission


@dataclass(frozen=True, slots=True)
class Submitted:
    """The accepted job, and whether this attempt sent it or an earlier one did."""

    request_id: str
    sent: bool


#: What to do after an error that left no job behind.
_TRY_AGAIN = {True: "A retry, or clearing this task, tries again.", False: CORRECT_AND_CLEAR}


class KlingSubmitOperator(RendersAuthorsTemplates, Submitter, Postpones, BaseOperator):
    """
    Submit one Kling job and return its ``request_id``; :class:`KlingSensor` waits for it.

    Each accepted submit is billed when the job completes, and cannot be cancelled. A retry, or a clear before the id
    was delivered, adopts the previous attempt's job, from the task's record or from Segmind's request history,
    and sends nothing. Clearing the task after it has succeeded submits a new job.

    If only waiting helps, because a submit without an answer may have become a job or a rate limit has to be reset, the
    task waits in the triggerer within the same try, and a worker sends afterwards.

    XComs: the return value is the request id; ``model`` and ``submitted_at`` (ISO 8601, UTC) are beside it, and
    ``kling_submission``, by which tasks of the run with the same payload identify their own jobs, and
    ``kling_uploads``, by which they share what was uploaded.

    Files are identified by their content: other content is another payload, another path to the same content is not. A
    retry recognises its job by the addresses in the record, and uploads nothing again (below Airflow 3.3 it does if it
    has to send).

    :param payload: an instance of a class of :mod:`airflow_provider_kling.payloads`, or a dict of the
        model's parameters; values may be templates and XComArgs. A picture, a video or sound is given as an address, or
        as a file: its absolute path, its URL in object storage, an ``ObjectStoragePath``. If the author wrote neither
        the file nor a folder above it, it has to be in a folder of ``[kling] upload_allowed_paths``. Files are checked,
        then uploaded once for each content within the run. (templated)
    :param model: the model's slug; required with a dict only. A slug without a class, and parameters outside
        the known part of a model's page, are sent as they are, with a warning. (templated)
    :param segmind_conn_id: the connection. (templated)
    :param orphan_grace: seconds (or a timedelta) for which a submit with an unknown outcome may still appear in the
        history; only after that may it be sent again. 10 minutes.
    :param on_orphaned_intent: what an attempt does if it has not appeared by then: ``"submit"`` it again, or
        ``"fail"``.
    :param history_timeout: seconds (or a timedelta) for which a worker searches the history at a time. 15 seconds.
    :param deferrable: False waits on the worker instead of in the triggerer.
    :param adopt_request_id: a request id to adopt instead of submitting, such as
        ``"{{ var.json.get('adopt_clip', {}).get(run_id, '') }}"``, so that no other run takes it; an empty value or
        None submits as usual. A job that the request history shows as another model's is refused, and so is an unknown
        one; one that only the API knows is adopted with a warning. (templated)
    :param max_cost: US dollars that the job may cost. If its estimate's high figure exceeds that, nothing is sent and
        the task fails; if the price is known when the DAG file is parsed, parsing fails. (templated)
    :param budget: what all jobs of the run may cost; share one among its tasks.
    :param reuse: ``"completed"``: where the ledger has a finished job for the same payload, or one that runs, its
        result is handed on, at no cost, and nothing is sent; ``"never"`` submits. Default: ``[kling] reuse``.
    :param variant: tells apart wanted repetitions of the same payload, such as ``"{{ ti.map_index }}"`` for the best of
        three. (templated)
    :param max_age: how many seconds old (or a timedelta) a result may be that is used again; any age by default.
    :param ledger_conn_id: the ledger's connection, in place of the one in Airflow's config, ``[kling] ledger_conn_id``.
    :raises KlingBudgetExceededError: the job may cost more than ``max_cost`` or the budget leaves; nothing was sent.
    :raises KlingPayloadError: at parsing or before sending, naming the field and what to change.
    :raises SegmindAmbiguousSubmitError: it is not known yet whether a job runs; a retry searches again.
    :raises SegmindUnresolvedSubmitError: several jobs may be this task's; the message lists them.
    :raises SegmindError: see :mod:`airflow_provider_kling.segmind.errors`; an error that no retry can fix fails the
        task at once.
    """

    template_fields: Sequence[str] = ("payload", "model", "segmind_conn_id", "adopt_request_id", "max_cost", "variant")
    open_to_data = frozenset({"payload", "model"})
    template_fields_renderers = {"payload": "json"}  # noqa: RUF012 is how Airflow declares it
    ui_color = "#e8e1ff"

    def __init__(  # noqa: PLR0913 because each is for the author of a DAG to set
        self,
        *,
        payload: KlingPayload | Mapping[str, Any] | Any,
        model: str | None = None,
        segmind_conn_id: str = DEFAULT_CONN_ID,
        orphan_grace: float | timedelta = ORPHAN_GRACE,
        on_orphaned_intent: OnOrphanedIntent = "submit",
        history_timeout: float | timedelta = HISTORY_TIMEOUT,
        deferrable: bool = True,
        adopt_request_id: str | None = None,
        max_cost: float | str | None = None,
        budget: KlingBudget | None = None,
        reuse: str | None = None,
        variant: str = "",
        max_age: float | timedelta | None = None,
        ledger_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.payload, self.model = check_unrendered(payload, model)
        self.segmind_conn_id = segmind_conn_id
        self.ledger_conn_id = ledger_conn_id
        if reuse is not None:
            reuses(reuse)
        self.reuse = reuse
        self.variant = variant
        self.max_age = None if max_age is None else as_span("max_age", max_age)
        self.orphan_grace = as_span("orphan_grace", orphan_grace)
        if on_orphaned_intent not in get_args(OnOrphanedIntent):
            raise SegmindInputError(f'on_orphaned_intent: {on_orphaned_intent!r} is neither "submit" nor "fail".')
        self.on_orphaned_intent = on_orphaned_intent
        self.history_timeout = as_span("history_timeout", history_timeout)
        self.deferrable = deferrable
        self.adopt_request_id = adopt_request_id
        if max_cost is not None or budget is not None:
            from airflow_provider_kling.budget.task_limits import check_limits

            check_limits(max_cost, budget, model=self.model, payload=self.payload)
        self.max_cost = max_cost
        self.budget = budget

    @cached_property
    def hook(self) -> SegmindHook:
        """The hook that submits."""
        from airflow_provider_kling.hooks.segmind import SegmindHook

        return SegmindHook(self.segmind_conn_id)

    def execute(self, context: Context) -> Any:
        """Submit, or adopt what an earlier attempt submitted; return the request id."""
        from airflow_provider_kling.operators.submission_driver import conclude_when_counted
        from airflow_provider_kling.submission.earlier_attempt import publish_earlier

        publish_earlier(context)
        request_id = self._submit(context).request_id
        conclude_when_counted(context, self.log)
        return request_id

    def _submit(self, context: Context, *, instead_of: str | None = None) -> Submitted:
        while True:
            try:
                return self._submit_once(context, instead_of)
            except SegmindError as error:
                if self.postponed(context, error):
                    continue
                if error.request_id is not None or isinstance(error, SegmindAmbiguousSubmitError):
                    fail(self, error)
                from airflow_provider_kling.submission.earlier_attempt import left_behind

                left = None if error.retryable else left_behind(context)
                fail(self, error.followed_by(left or _TRY_AGAIN[error.retryable]))

    def _submit_once(self, context: Context, instead_of: str | None) -> Submitted:
        # Whatever can fail without the network fails here, before anything is sent.
        request = check_rendered(self.payload, self.model)
        if request.payload is None:
            self.log.warning(
                "%s has no payload class in this version: its parameters are sent unchecked.", request.model
            )
        elif warning := request.payload.unknown_parameters():
            self.log.warning("%s", warning)
        from airflow_provider_kling.operators.reuse import Reuse, check_ledger, checked_variant
        from airflow_provider_kling.operators.submission_driver import SubmissionDriver
        from airflow_provider_kling.submission.attempt import attempt
        from airflow_provider_kling.uploads.payload_files import read_files

        required = renders_to_nothing(self.adopt_request_id)
        check_ledger(self.reuse, self.budget, self.ledger_conn_id)
        with read_files(request, self.written.get("payload"), required=required) as (wanted, files):
            driver = SubmissionDriver(
                context,
                self.hook,
                wanted,
                self.dag,
                self.log,
                files,
                check_place=lambda: self._check_place(context, request.model),
                reuse=Reuse(checked_variant(self.variant), self.max_age, copies=self._saves_files),
            )
            request_id = driver.run(
                attempt(
                    self._submission(
                        context,
                        wanted,
                        instead_of,
                        blind=driver.ledger is None and not driver.earlier.known,
                        forgotten=driver.ledger is None and not STATE_OUTLIVES_A_CLEAR,
                    )
                )
            )
            return Submitted(request_id, sent=driver.sent)

    #: Whether this task saves the files of its job itself.
    _saves_files = False

    def _check_place(self, context: Context, model: str) -> None:
        """Refuse to submit a job that could not be saved; this operator saves nothing."""

    def _submission(
        self, context: Context, request: Request, instead_of: str | None, *, blind: bool, forgotten: bool
    ) -> Submission:
        from airflow_provider_kling.budget.task_limits import guard_for, refusing_guard
        from airflow_provider_kling.submission.earlier_attempt import is_submitted
        from airflow_provider_kling.submission.submission import Submission, account, fingerprint

        price = expectation = ""
        if request.payload is not None:
            price = str(request.payload.estimate())
            expectation = f"It usually takes {request.payload.usual_latency:.0f} s. Price: {price}."
        try:
            high, guard = guard_for(
                batch_name(context),
                request,
                max_cost=self.max_cost,
                budget=self.budget,
                blind=blind,
                is_limited=self.written.get("max_cost") is not None or "max_cost" in self.filled_in,
            )
        except SegmindInputError as error:
            if not is_submitted(context):
                raise
            # The job of an earlier attempt is paid, whatever the limit renders to by now.
            self.log.warning("%s It does not affect an earlier attempt's job, but stops any new one.", error)
            high, guard = None, refusing_guard(request.model, error)
        return Submission(
            model=request.model,
            payload=request.parameters,
            fingerprint=fingerprint(request.model, request.parameters),
            account=account(self.hook.settings.host, self.hook.settings.api_key),
            task=instance_name(context),
            run=str(context["ti"].run_id),
            forgotten=forgotten and context["ti"].try_number > 1,
            try_number=context["ti"].try_number,
            clock=lambda: datetime.now(tz=UTC),
            price=price,
            high=high,
            guard=guard,
            expectation=expectation,
            grace=self.orphan_grace,
            on_orphaned_intent=self.on_orphaned_intent,
            history_timeout=self.history_timeout,
            adopt=None if renders_to_nothing(self.adopt_request_id) else checked_request_id(self.adopt_request_id),
            instead_of=instead_of,
            reuses=reuses(self.reuse),
        )


def as_span(name: str, value: float | timedelta) -> timedelta:
    """Return an argument in seconds, or a timedelta, as a timedelta; refuse one below 0."""
    if not isinstance(value, timedelta | int | float) or isinstance(value, bool):
        raise SegmindInputError(f"{name}: {value!r} is neither a number of seconds nor a timedelta.")
    span = value if isinstance(value, timedelta) else timedelta(seconds=value)
    if span < timedelta(0):
        raise SegmindInputError(f"{name}: {value!r} must not be below 0 seconds.")
    return span
