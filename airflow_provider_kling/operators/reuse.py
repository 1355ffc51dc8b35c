"""What a task says of its job in the ledger, and of a result that may be used again in place of a new job."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.ledger.configured import ledger_conn_id, reuses, stores_payloads
from airflow_provider_kling.ledger.owner import LONGEST_VARIANT, Wanted
from airflow_provider_kling.segmind.errors import SegmindInputError, SegmindRequestNotFoundError
from airflow_provider_kling.segmind.sanitize import fit_text, one_line
from airflow_provider_kling.submission.submission import account, fingerprint

if TYPE_CHECKING:
    from datetime import timedelta

    from airflow_provider_kling.budget import KlingBudget
    from airflow_provider_kling.hooks.segmind import SegmindHook
    from airflow_provider_kling.ledger.task_ledger import TaskLedger
    from airflow_provider_kling.payloads.request import Request


@dataclass(frozen=True, slots=True)
class Reuse:
    """
    What may be used again in place of a new job.

    :param variant: tells wanted repetitions of the same apart.
    :param max_age: how old a result may be; None if any may.
    :param copies: whether the task saves the files, so that a saved one does as well as a link.
    """

    variant: str = ""
    max_age: timedelta | None = None
    copies: bool = False


def checked_variant(variant: Any) -> str:
    """
    Return a variant as text.

    :raises SegmindInputError: it is too long.
    """
    text = fit_text(str(variant)).strip()  # not every database tells spaces at the end
    if len(text) > LONGEST_VARIANT:
        raise SegmindInputError(
            f"variant: {one_line(text)!r} has more than {LONGEST_VARIANT} characters. Nothing was sent."
        )
    return text


def wanted_by(hook: SegmindHook, request: Request, reuse: Reuse) -> Wanted:
    """Return what is wanted, for the ledger."""
    return Wanted(
        host=hook.settings.host,
        account=account(hook.settings.host, hook.settings.api_key),
        variant=reuse.variant,
        max_age=reuse.max_age,
        model=request.model,
        content=fingerprint(request.model, request.parameters),
        low=request.payload.estimate().low if request.payload else None,
        payload=json.dumps(request.parameters) if stores_payloads() else None,
    )


def is_kept(ledger: TaskLedger, hook: SegmindHook, request_id: str, reuse: Reuse, log: Any) -> bool:
    """
    Return whether the files of a COMPLETED job can still be had.

    If the noted links are dead, Segmind's request history may have others; these are noted in their place.

    :raises SegmindError: the history cannot be read now: paying again is worse than another try.
    """
    from airflow_provider_kling.ledger.results import JobLedger
    from airflow_provider_kling.storage.output_downloads import KEPT_FOR
    from airflow_provider_kling.storage.still_there import are_saved, links_answer

    job = JobLedger(ledger.database, hook.settings.host, request_id, log)
    noted = job.noted()
    if noted is None:
        return False
    result, kind = noted.result, output_of(noted.model)
    if kind == "voice" and result.output:  # what is known of it is all there is
        return True
    is_old = datetime.now(tz=UTC) - noted.ended_at > KEPT_FOR
    if result.urls and links_answer(result.urls, hook, kind, is_old=is_old):
        return True
    if reuse.copies and any(are_saved(result.urls, copy) for copy in noted.copies):
        return True
    try:
        fresh = hook.find_request(request_id)
    except SegmindRequestNotFoundError:
        return False
    if fresh.urls and fresh.urls != result.urls and links_answer(fresh.urls, hook, kind, is_old=is_old):
        job.renewed(fresh.model_copy(update={"metrics": result.metrics}))
        return True
    return False


def output_of(model: str) -> str | None:
    """Return what a model makes: "image", "video" or "voice"; None if it is not known."""
    from airflow_provider_kling.payloads import get_payload_class

    payload_class = get_payload_class(model)
    return payload_class.output if payload_class else None


def check_ledger(reuse: str | None, budget: KlingBudget | None, conn_id: str | None) -> None:
    """
    Refuse what needs the ledger where there is none.

    :raises SegmindInputError: naming it.
    """
    if ledger_conn_id(conn_id) is not None:
        return
    what = "reuse" if reuses(reuse) else ""
    if budget is not None and budget.needs_ledger:
        what = "budget: a limit of a day or a month"
    if what:
        raise SegmindInputError(
            f"{what} needs the ledger, and there is none: set [kling] ledger_conn_id in Airflow's config. Nothing was "
            "sent."
        )
