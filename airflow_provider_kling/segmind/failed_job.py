"""What is said about a job that ended FAILED: why, what it cost, and what to do next."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airflow_provider_kling.segmind import errors
from airflow_provider_kling.segmind.sanitize import one_line

if TYPE_CHECKING:
    from airflow_provider_kling.segmind.schemas import Status

# Segmind's own words for a blocked Kling job are not published; these are the field's.
_BLOCKED = re.compile(
    r"moderat|content[\s_-]*(policy|filter|violat|rule|safety|block|restrict)|safety|sensitive|nsfw|"
    r"\brai\b|risk[\s_-]*control|prohibited|policy|inappropriate",
    re.IGNORECASE,
)


def failure(request_id: str, state: Status, model: str | None = None) -> errors.KlingGenerationFailedError:
    """Return the error for a job that ended FAILED: why, what it cost and what to do next."""
    detail = one_line(state.error) if state.error else "no reason given"
    blocked = bool(_BLOCKED.search(detail))
    advice = (
        "Content rules blocked it: change the prompt or the pictures (the same ones will be blocked again), then clear "
        "the submit task with its downstream tasks to submit a new job."
        if blocked
        else "Correct what it names, then clear the submit task with its downstream tasks to submit a new job; "
        "clearing this task alone shows the same end."
    )
    return errors.KlingGenerationFailedError(
        failed(request_id, model, detail, state.metrics.cost, advice),
        request_id=request_id,
        detail=state.error,
        blocked=blocked,
        metrics=state.metrics.model_dump(mode="json", exclude_none=True),
    )


def failed(request_id: str | None, model: str | None, detail: str, cost: float | None, advice: str) -> str:
    """Return what is said of a job that ended FAILED."""
    what = f"Request {request_id}" + (f" ({model})" if model else "")
    charge = f"It cost ${cost:.3f}." if cost else "Segmind does not charge failed jobs."
    return f"{what} FAILED: {detail.rstrip('.')}. {charge} {advice}"
