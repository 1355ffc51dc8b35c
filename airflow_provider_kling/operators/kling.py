"""Operators that start Kling jobs on Segmind."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator

from airflow_provider_kling.hooks.segmind import SegmindHook
from airflow_provider_kling.payloads.checking import check_rendered, check_unrendered
from airflow_provider_kling.retries import fail
from airflow_provider_kling.segmind.errors import SegmindAmbiguousSubmitError, SegmindError
from airflow_provider_kling.segmind.submission import Adopt, Record, decide, fingerprint, read_record
from airflow_provider_kling.versions import task_state_store

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_kling.payloads.base import KlingPayload
    from airflow_provider_kling.versions import TaskStateStore

#: Where the record of a submission is kept in the task's state.
RECORD_KEY = "kling_submission"


class KlingSubmitOperator(BaseOperator):
    """
    Submit one Kling job and return its ``request_id``; :class:`KlingSensor` waits for it.

    Each accepted submit is billed when the job completes, and cannot be cancelled. On Airflow 3.3+ a
    retry finds the job of the attempt before it and sends nothing.

    XComs: the return value is the request id; ``model`` and ``submitted_at`` (ISO 8601, UTC) stand
    beside it.

    :param payload: an instance of a class of :mod:`airflow_provider_kling.payloads`, or a dict of the
        model's parameters; values may be templates and XComArgs. (templated)
    :param model: the model's slug; needed with a dict only. A slug without a class, and parameters outside
        the known part of a model's page, are sent as they are, with a warning. (templated)
    :param segmind_conn_id: the connection. (templated)
    :raises KlingPayloadError: at parsing or before sending, naming the field and what to change.
    :raises SegmindError: see :mod:`airflow_provider_kling.segmind.errors`; what no retry can cure
        fails the task at once.
    """

    template_fields: Sequence[str] = ("payload", "model", "segmind_conn_id")
    template_fields_renderers = {"payload": "json"}  # noqa: RUF012 is how Airflow declares it
    ui_color = "#e8e1ff"

    def __init__(
        self,
        *,
        payload: KlingPayload | Mapping[str, Any] | Any,
        model: str | None = None,
        segmind_conn_id: str = SegmindHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.payload, self.model = check_unrendered(payload, model)
        self.segmind_conn_id = segmind_conn_id

    @cached_property
    def hook(self) -> SegmindHook:
        """The hook that submits."""
        return SegmindHook(self.segmind_conn_id)

    def execute(self, context: Context) -> str:
        """Submit, or adopt what an earlier attempt submitted."""
        try:
            return self._submit_once(context)
        except SegmindError as error:
            fail(self, error)

    def _submit_once(self, context: Context) -> str:
        # Whatever can fail without the network fails here, before anything is sent.
        request = check_rendered(self.payload, self.model)
        if request.payload is None:
            self.log.warning(
                "%s has no payload class in this version: its parameters are sent unchecked.", request.model
            )
        elif warning := request.payload.unknown_parameters():
            self.log.warning("%s", warning)
        wanted = fingerprint(
            request.model,
            request.parameters,
            conn_id=self.segmind_conn_id,
            api_key=self.hook.settings.api_key,
        )
        store = task_state_store(context)
        record = read_record(store.get(RECORD_KEY)) if store else None
        ti = context["ti"]

        decision = decide(record, wanted=wanted, max_tries=ti.max_tries)
        if isinstance(decision, Adopt):
            accepted = decision.record
            self.log.info("Request %s of an earlier attempt is adopted; nothing is sent.", accepted.request_id)
        else:
            if decision.abandoned:
                self.log.warning(
                    "The payload has changed: request %s of an earlier attempt is abandoned and is billed if it "
                    "completes.",
                    decision.abandoned.request_id,
                )
            intent = Record(
                fingerprint=wanted, model=request.model, intended_at=datetime.now(tz=UTC), max_tries=ti.max_tries
            )
            accepted = self._post(store, intent, request.parameters)
            usual = ""
            if request.payload is not None:
                usual = f" It usually takes {request.payload.usual_latency:.0f} s. Price: {request.payload.estimate()}."
            self.log.info("Submitted %s as request %s.%s", request.model, accepted.request_id, usual)

        request_id, submitted_at = accepted.request_id, accepted.accepted_at
        if request_id is None or submitted_at is None:
            raise AssertionError("an accepted record has both")
        ti.xcom_push(key="model", value=request.model)
        ti.xcom_push(key="submitted_at", value=submitted_at.isoformat())
        _keep(store, accepted.model_copy(update={"delivered": True, "max_tries": ti.max_tries}))
        return request_id

    def _post(self, store: TaskStateStore | None, intent: Record, payload: Mapping[str, Any]) -> Record:
        """Store the intent, send the POST once, store the request id."""
        _keep(store, intent)
        try:
            receipt = self.hook.submit(intent.model, payload)
        except SegmindAmbiguousSubmitError as error:
            if store is None:
                # Nothing would tell the next attempt of this one, and it would pay again.
                raise AirflowFailException(
                    f"{error} It is not retried, because this Airflow (below 3.3) keeps no record across attempts; "
                    "clear the task to submit it again."
                ) from error
            raise
        except SegmindError:
            if store is not None:
                store.delete(RECORD_KEY)  # refused or never sent: nothing runs
            raise
        accepted = intent.model_copy(update={"request_id": receipt.request_id, "accepted_at": datetime.now(tz=UTC)})
        _keep(store, accepted)
        return accepted


def _keep(store: TaskStateStore | None, record: Record) -> None:
    if store is not None:
        store.set(RECORD_KEY, record.model_dump(mode="json"))
