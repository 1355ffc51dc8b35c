"""What a finished wait hands on, whichever process it ends in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_kling.segmind.schemas import Result


def xcoms(request_id: str, model: str | None, result: Result) -> dict[str, Any]:
    """
    Return the XComs of a COMPLETED job by their keys.

    ``return_value`` holds the whole result; ``url`` is left out where no file is recognised.
    """
    answer = result.model_dump(mode="json", exclude_none=True)
    facts = {
        "url": result.url,
        "urls": list(result.urls),
        "cost": result.metrics.cost,
        "metrics": answer.get("metrics", {}),
    }
    whole = {"request_id": request_id, **({"model": model} if model else {}), **answer, **facts}
    if result.url is None:
        del facts["url"]
    return {"return_value": whole, **facts}


def summary(request_id: str, result: Result) -> str:
    """Return the log's last line: what it cost, how long it took, where the file is."""
    metrics = result.metrics
    cost = "cost unknown" if metrics.cost is None else f"${metrics.cost:.3f}"
    known = metrics.queue_time is not None and metrics.inference_time is not None
    took = f", {metrics.queue_time:.0f} s queued, {metrics.inference_time:.0f} s running" if known else ""
    if result.url is None:
        return (
            f"Request {request_id} is COMPLETED ({cost}{took}), but no file is recognised in its output; it is in the "
            f"return value: {result.output}"
        )
    return f"Request {request_id} is COMPLETED ({cost}{took}): {result.url}"
