"""What a finished wait hands on, whichever process it ends in."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.segmind.bills import Bill
from airflow_provider_kling.segmind.foreign import shortened
from airflow_provider_kling.segmind.refusals import one_line

if TYPE_CHECKING:
    from airflow_provider_kling.segmind.errors import KlingGenerationFailedError
    from airflow_provider_kling.segmind.schemas import Result

#: The XCom by which the tasks of a run know what a job cost.
BILL_KEY = "kling_bill"
#: What only this provider tells, so that an answer is not believed: the saved files of a result, and, where an author
#: has each key of a result pushed, what tasks tell each other, or Airflow.
_OURS = re.compile(r"files|return_value|submitted_at|kling_.*|_link_.*|skipmixin_key", re.DOTALL)
#: Of an answer's names those that are handed on, and how many: where an author has each key of a result pushed, a name
#: becomes a part of a path of Airflow's own API, which takes ``..`` and ``%2f`` for what they are.
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,99}")
MOST_NAMES = 64


def xcoms(request_id: str, model: str | None, result: Result) -> dict[str, Any]:
    """
    Return the XComs of a COMPLETED job by their keys.

    ``return_value`` holds the whole result; ``url`` is left out where no file is recognised. ``kling_bill``
    is for tasks that count what the run costs.
    """
    answer = result.model_dump(mode="json", exclude_none=True)
    plain = [name for name in answer if _PLAIN.fullmatch(name) and not _OURS.fullmatch(name)]
    answer = {name: answer[name] for name in plain[:MOST_NAMES]}
    facts = {
        "url": result.url,
        "urls": list(result.urls),
        "cost": result.metrics.cost,
        "metrics": answer.get("metrics", {}),
    }
    asked = {"request_id": request_id, **({"model": model} if model else {})}  # whatever the answer says of that
    whole = {**asked, **answer, **asked, **facts}
    if result.url is None:
        del facts["url"]
    bill = Bill(request_id=request_id, model=model, cost=result.metrics.cost)
    return {"return_value": whole, **facts, BILL_KEY: bill.model_dump(mode="json")}


def bill_of_failure(error: KlingGenerationFailedError, model: str | None) -> dict[str, Any]:
    """Return the bill of a FAILED job, which Segmind does not charge unless it says so."""
    cost = (error.metrics or {}).get("cost") or 0.0
    return Bill(request_id=error.request_id or "", model=model, cost=cost, failed=True).model_dump(mode="json")


def summary(request_id: str, result: Result) -> str:
    """Return the log's last line: what it cost, how long it took, where the file is."""
    metrics = result.metrics
    cost = "cost unknown" if metrics.cost is None else f"${metrics.cost:.3f}"
    known = metrics.queue_time is not None and metrics.inference_time is not None
    took = f", {metrics.queue_time:.0f} s queued, {metrics.inference_time:.0f} s running" if known else ""
    if result.url is None:
        return (
            f"Request {request_id} is COMPLETED ({cost}{took}), but no file is recognised in its output; it is in the "
            f"return value: {one_line(result.output)}"
        )
    return f"Request {request_id} is COMPLETED ({cost}{took}): {shortened(result.url)}"
