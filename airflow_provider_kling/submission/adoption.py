"""Jobs that are adopted instead of submitting: one given by the user, or an earlier attempt's with another key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_kling.budget.costs import former_cost
from airflow_provider_kling.segmind.errors import SegmindError, SegmindInputError, SegmindRequestNotFoundError
from airflow_provider_kling.segmind.identifiers import canonical_id
from airflow_provider_kling.submission import messages
from airflow_provider_kling.submission.policy import OUTAGE, next_search
from airflow_provider_kling.submission.steps import AskModel, AskOwner, Log, SaveRecord, Step

if TYPE_CHECKING:
    from collections.abc import Generator

    from airflow_provider_kling.submission.record import Record
    from airflow_provider_kling.submission.submission import Submission


def adopt_ordered(submission: Submission, request_id: str, record: Record | None) -> Generator[Step, Any, Record]:
    """Adopt the request id that the user gave, unless it is known to be another model's job."""
    if record is None or (record.request_id, record.model) != (request_id, submission.model):
        yield from _check_model(request_id, submission.model)
    same = record is not None and record.is_of(request_id)
    if record is not None and not same:
        yield Log("warning", messages.replaced(record, request_id))
    yield Log("warning", messages.ordered(request_id))
    jobs, ordered = ((), ()) if record is None else (record.jobs, record.ordered)
    intent = submission.intent(
        former=tuple(job for job in jobs if job != canonical_id(request_id)),
        former_cost=0.0 if record is None else record.former_cost if same else former_cost(record, {}, gone=False),
        ordered=(*ordered, canonical_id(request_id)),
    )
    adopted = intent.model_copy(update={"request_id": request_id, "accepted_at": intent.intended_at})
    yield SaveRecord(adopted)
    return adopted


def _check_model(request_id: str, wanted: str) -> Generator[Step, Any, None]:
    """Refuse a job that the history shows as another model's; log a warning if it does not show the model."""
    try:
        model: str | None = yield AskModel(request_id)
    except SegmindRequestNotFoundError:
        raise SegmindInputError(
            f"adopt_request_id: neither Segmind nor its request history knows request {request_id}: it was not "
            "made with this connection's key. Nothing was taken or sent. Correct the id, or the connection."
        ) from None
    except SegmindError as error:
        reason = str(error)
    else:
        if model == wanted:
            return
        if model:
            raise SegmindInputError(
                f"adopt_request_id: request {request_id} is a job of {model}, and this task wants one of "
                f"{wanted}. Nothing was taken or sent. Give the id of a job of {wanted}, or adopt this one "
                f"in a task with model={model!r}."
            )
        reason = "Segmind's request history names no model for it."
    yield Log(
        "warning",
        f"adopt_request_id: it is unknown whether request {request_id} is a job of {wanted}, so it is taken "
        f"as one: {reason}",
    )


def is_own(submission: Submission, record: Record, request_id: str) -> Generator[Step, Any, bool]:
    """Ask whether a job that was submitted with another key belongs to the same account."""
    over = (record.accepted_at or record.intended_at) + submission.grace
    asked = submission.clock()
    try:
        own: bool = yield AskOwner(request_id)
    except SegmindError as error:
        again = next_search(record.intended_at, asked, over + OUTAGE, submission.clock)
        raise messages.owner_unread(record, error, again) from error
    if not own and asked < over:  # its row may be late
        raise messages.owner_unknown(record, over, next_search(record.intended_at, asked, over, submission.clock))
    return own
