"""
Segmind's HTTP API: a :class:`Call` for each endpoint.

What must not be relaxed:

* An answer that names another job than the requested one comes from a gateway.
* Addresses are built from the request id. An address in an answer is data and is never called.
"""

from __future__ import annotations

import base64
import io
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import TypeAdapter

from airflow_provider_kling.segmind.call import Call, Host
from airflow_provider_kling.segmind.history import HistoryPage
from airflow_provider_kling.segmind.identifiers import canonical_id, checked_request_id, checked_slug
from airflow_provider_kling.segmind.refusals import About, Answer, Question
from airflow_provider_kling.segmind.schemas import Credits, Generation, ModelList, Receipt, Result, Status, Uploaded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pydantic import BaseModel

T = TypeVar("T")
S = TypeVar("S", bound="Status")
M = TypeVar("M", bound="BaseModel")

#: Rows asked for in one page of the history; the API's own maximum.
HISTORY_PAGE_SIZE = 100
#: The largest list: a page of the history, or the models.
LARGEST_LIST = 8 * 1024**2
#: The largest file that comes as an answer.
LARGEST_FILE = 512 * 1024**2
_ONE_DAY = timedelta(days=1)
#: The longest span of one history request: the API's 31 days minus the three days of margin.
HISTORY_SPAN = 28 * _ONE_DAY

_OBJECT = TypeAdapter(dict[str, Any])


def submit(model: str, payload: Mapping[str, Any]) -> Call[Receipt]:
    """``POST /v2/{slug}``: start a job. Each accepted one is billed, and there is no way to cancel it."""
    slug = checked_slug(model)
    return Call(
        method="POST",
        path=f"/v2/{slug}",
        question=Question(f"submit {slug}", bills=True, about=About.MODEL, subject=slug),
        reader=_reader(Receipt),
        json_body=dict(payload),
    )


def generate(model: str, payload: Mapping[str, Any]) -> Call[Generation]:
    """``POST /v1/{slug}``: run a model over one open connection; billed as a submit is."""
    slug = checked_slug(model)
    return Call(
        method="POST",
        path=f"/v1/{slug}",
        question=Question(f"run {slug}", bills=True, about=About.MODEL, subject=slug),
        reader=_read_generation,
        json_body=dict(payload),
        largest_answer=LARGEST_FILE,
    )


def status(request_id: str) -> Call[Status]:
    """``GET /v2/requests/{id}/status``: a job's status."""
    known = checked_request_id(request_id)
    return Call(
        method="GET",
        path=f"/v2/requests/{known}/status",
        question=Question(f"ask for the status of request {known}", about=About.REQUEST, subject=known),
        reader=_about(known, _reader(Status)),
    )


def result(request_id: str) -> Call[Result]:
    """``GET /v2/requests/{id}``: a job's output; for a FAILED one its error."""
    known = checked_request_id(request_id)
    return Call(
        method="GET",
        path=f"/v2/requests/{known}",
        question=Question(f"fetch the result of request {known}", about=About.REQUEST, subject=known),
        reader=_about(known, _reader(Result)),
    )


def credit_balance() -> Call[Credits]:
    """``GET /v1/get-user-credits``: the balance; costs nothing, so it also proves a key."""
    return Call(
        method="GET",
        path="/v1/get-user-credits",
        question=Question("ask for the credit balance", about=About.ACCOUNT),
        reader=_reader(Credits),
        fresh=True,
    )


def upload(data_urls: list[str]) -> Call[Uploaded]:
    """``POST /upload-asset`` on the storage host: turn ``data:`` URLs into addresses."""
    return Call(
        method="POST",
        path="/upload-asset",
        question=Question(f"upload {len(data_urls)} file(s)"),
        reader=_reader(Uploaded),
        host=Host.STORAGE,
        json_body={"data_urls": data_urls},
    )


def upload_file(mime: str, blocks: Iterable[bytes]) -> Call[Uploaded]:
    """``POST /upload-asset`` for one file; memory holds no more than its encoded body."""
    body = io.BytesIO()
    body.write(f'{{"data_urls": ["data:{mime};base64,'.encode())
    rest = b""
    for block in blocks:
        # Base64 encodes three bytes at a time.
        whole = rest + block
        cut = len(whole) - len(whole) % 3
        body.write(base64.b64encode(memoryview(whole)[:cut]))
        rest = whole[cut:]
    body.write(base64.b64encode(rest) + b'"]}')
    return Call(
        method="POST",
        path="/upload-asset",
        question=Question("upload a file"),
        reader=_reader(Uploaded),
        host=Host.STORAGE,
        written_body=body.getvalue(),
    )


def history(*, model: str | None = None, since: datetime, until: datetime, page: int = 1) -> Call[HistoryPage]:
    """
    ``GET /inference-request/request-history`` on the history host: one page of past requests.

    The API filters by whole days (a span of 31 at most) and by a part of the model's name, so the caller still has to
    check the times and names of the rows. Which time zone the days are in, and whether the last one counts, is not
    documented: one more is requested on both sides.
    """
    query = {
        "page": str(page),
        "per_page": str(HISTORY_PAGE_SIZE),
        "from_date": (since.astimezone(UTC).date() - _ONE_DAY).isoformat(),
        # One for a day that begins sooner in the east, one in case the last day is left out.
        "to_date": (until.astimezone(UTC).date() + 2 * _ONE_DAY).isoformat(),
        "sort_by": "model_created",
        "sort_order": "desc",
    }
    if model is not None:
        query["model_name"] = checked_slug(model)
    return Call(
        method="GET",
        path="/inference-request/request-history",
        question=Question("read the request history"),
        reader=_read_page,
        host=Host.HISTORY,
        query=query,
        largest_answer=LARGEST_LIST,
        fresh=True,
    )


def past_request(request_id: str) -> Call[Result]:
    """``GET /inference-request/request-history/{id}`` on the history host: a request of any age, and its output."""
    return _past(request_id, lambda page: page.as_result())


def past_rows(request_id: str) -> Call[HistoryPage]:
    """Ask as :func:`past_request` does, for what the account sent and when: one row for each output."""
    return _past(request_id, lambda page: page)


def model_list() -> Call[ModelList]:
    """``GET /inference-model-information/list`` on the history host: every model that Segmind serves."""
    return Call(
        method="GET",
        path="/inference-model-information/list",
        question=Question("read the model list"),
        reader=_reader(ModelList),
        host=Host.HISTORY,
        largest_answer=LARGEST_LIST,
    )


def _past(request_id: str, told: Callable[[HistoryPage], T]) -> Call[T]:
    known = checked_request_id(request_id)

    def read(answer: Answer) -> T:
        document = json.loads(answer.body)
        if isinstance(document, dict) and ("data" in document or "rows" in document):  # else it is a row
            _refuse_failed(document)
        return told(HistoryPage.model_validate_json(answer.body).about(known))

    return Call(
        method="GET",
        path=f"/inference-request/request-history/{known}",
        question=Question(f"find request {known} in the history", about=About.REQUEST, subject=known),
        reader=read,
        host=Host.HISTORY,
        fresh=True,
    )


def _reader(schema: type[M]) -> Callable[[Answer], M]:
    return lambda answer: schema.model_validate_json(answer.body)


def _about(request_id: str, reader: Callable[[Answer], S]) -> Callable[[Answer], S]:
    """Return a reader that refuses an answer about another job."""

    def read(answer: Answer) -> S:
        state = reader(answer)
        named = (state.model_extra or {}).get("request_id")
        if isinstance(named, str) and named and canonical_id(named) != canonical_id(request_id):
            raise ValueError(f"it is about request {named}")
        return state

    return read


def _read_page(answer: Answer) -> HistoryPage:
    document = json.loads(answer.body)
    rows = document.get("data", document.get("rows")) if isinstance(document, dict) else document
    if not isinstance(rows, list):
        # This is not the same as an empty list.
        raise ValueError("no list of requests in it")  # noqa: TRY004 is how a reader says so
    if isinstance(document, dict):
        _refuse_failed(document)
    return HistoryPage.model_validate_json(answer.body).model_copy(update={"size": len(answer.body)})


def _refuse_failed(document: Mapping[str, Any]) -> None:
    """Refuse a list that comes with an error: what it does not show may be there."""
    failed = document.get("success") is False or document.get("status") == "error"
    if failed or document.get("error") or document.get("errors"):
        raise ValueError("it says that it failed")


def _read_generation(answer: Answer) -> Generation:
    """Read a v1 answer: the documentation says bytes with headers, the model pages' samples say JSON."""
    headers = answer.headers
    content_type = headers.get("content-type", "application/octet-stream").split(";")[0].strip().lower()
    if not answer.body:
        raise ValueError("the body is empty")
    facts: dict[str, Any] = {
        "request_id": headers.get("x-request-id"),
        "cost": headers.get("x-cost"),
        "remaining_credits": headers.get("x-remaining-credits"),
        "generation_time": headers.get("x-generation-time"),
        "seed": headers.get("x-seed-value"),
    }
    if content_type.startswith("text/"):
        raise ValueError(f"{content_type} in place of a file")
    if content_type != "application/json":
        return Generation(**facts, content_type=content_type, content=answer.body)
    document = _OBJECT.validate_json(answer.body)
    output = Result.model_validate({"status": "COMPLETED", **document})
    said = {
        "request_id": document.get("request_id"),
        "cost": output.metrics.cost,
        "remaining_credits": output.metrics.remaining_credits,
        "generation_time": output.metrics.inference_time,
        "seed": document.get("seed"),
    }
    facts = {name: said[name] if value is None else value for name, value in facts.items()}
    return Generation(**facts, content_type=content_type, urls=output.urls)
