"""Whatever Segmind, a proxy or somebody between answers: errors of the one tree, or what all later steps can bear."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from airflow_provider_kling.budget.costs import bill_of
from airflow_provider_kling.hooks.response_body import Body, BodyError
from airflow_provider_kling.polling.balance_wait import BalanceWait
from airflow_provider_kling.polling.job_wait import Done, JobWait, summary
from airflow_provider_kling.polling.wait import GiveUp
from airflow_provider_kling.segmind import clock as clocks
from airflow_provider_kling.segmind import protocol
from airflow_provider_kling.segmind.addresses import is_link
from airflow_provider_kling.segmind.clock import rate_limit_reset
from airflow_provider_kling.segmind.errors import SegmindError, SegmindRateLimitError
from airflow_provider_kling.segmind.history import HistoryPage
from airflow_provider_kling.segmind.identifiers import is_request_id
from airflow_provider_kling.segmind.schemas import Credits, Generation, ModelList, Receipt, Result, Status, Uploaded
from airflow_provider_kling.submission.policy import resumes_at
from airflow_provider_kling.xcoms import bill_of_failure, of_result
from tests.fuzz.harness import fuzz
from tests.fuzz.invariants import assert_amount, assert_fit, assert_told
from tests.fuzz.strategies import ID, LINK, bodies, header_values, headers, statuses

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)
STATUS = {
    "status": "COMPLETED",
    "request_id": ID,
    "error": None,
    "metrics": {"cost": 0.56, "inference_time": 63.9, "queue_time": 0.1, "total_time": 64.0, "remaining_credits": 9.4},
}
FAILED = {**STATUS, "status": "FAILED", "error": "Your content was blocked"}
RESULT = {**STATUS, "output": LINK, "video": {"url": LINK, "content_type": "video/mp4"}, "images": [{"url": LINK}]}
ERROR = {"error": "Insufficient credits. Available balance: 0.1, required: 0.5", "detail": [{"loc": ["body"]}]}
ROW = {
    "request_id": ID.replace("-", ""),
    "model_name": "kling-o1",
    "model_status": "COMPLETED",
    "credits_deduction": 0.56,
    "request_body": "{'prompt': 'a fox', 'duration': '5'}",
    "generation_url": LINK,
    "model_created": "2026-11-21T10:00:00Z",
}
MODELS = {"List": [{"slug": "kling-o1", "is_depreciated": False, "parameters_schema": {"properties": {"prompt": {}}}}]}
CREDITS = {"credits": 12.5, "free-credits": 1.0}


def read(call, code, sent_headers, body):
    """Return what an answer is read as, or None where it is an error, which has to be one of ours."""
    try:
        answer = call.read(code, sent_headers, body)
    except SegmindError as error:
        refused = error
    else:
        assert_fit(answer.model_dump(mode="json", exclude={"content"}))
        return answer
    assert_told(refused)
    assert refused.request_id in {None, ID}
    resumes_at(refused, NOW, chance=0.5)
    return None


@fuzz(code=statuses, sent=headers, body=bodies({"request_id": ID, "status": "QUEUED", "poll_url": LINK}, ERROR))
def test_the_answer_to_a_submit(code, sent, body):
    receipt = read(protocol.submit("kling-o1", {}), code, sent, body)
    assert receipt is None or (isinstance(receipt, Receipt) and is_request_id(receipt.request_id))


@fuzz(code=statuses, sent=headers, body=bodies(STATUS, FAILED, ERROR))
def test_the_answer_to_a_poll(code, sent, body):
    state = read(protocol.status(ID), code, sent, body)
    assert state is None or isinstance(state, Status)
    if state is not None:
        ended(state)


@fuzz(code=statuses, sent=headers, body=bodies(RESULT, FAILED, ERROR))
def test_a_result(code, sent, body):
    result = read(protocol.result(ID), code, sent, body)
    assert result is None or isinstance(result, Result)
    if result is not None:
        ended(result)


@fuzz(code=statuses, sent=headers, body=bodies([ROW], {"data": [ROW, ROW]}, ROW, ERROR))
def test_a_job_of_the_past(code, sent, body):
    result = read(protocol.past_request(ID), code, sent, body)
    assert result is None or isinstance(result, Result)
    if result is not None:
        ended(result)


@fuzz(code=statuses, sent=headers, body=bodies({"data": [ROW, ROW]}, [ROW], ERROR))
def test_a_page_of_the_history(code, sent, body):
    page = read(protocol.history(model="kling-o1", since=NOW, until=NOW), code, sent, body)
    assert page is None or isinstance(page, HistoryPage)
    for row in page.rows if page else ():
        assert row.request_id == "" or is_request_id(row.request_id)
        assert_amount(row.cost)


@fuzz(code=statuses, sent=headers, body=st.one_of(bodies(RESULT, ERROR), st.binary(max_size=60)))
def test_the_answer_to_a_blocking_call(code, sent, body):
    generation = read(protocol.generate("kling-o1", {}), code, sent, body)
    assert generation is None or (isinstance(generation, Generation) and all(map(is_link, generation.urls)))
    if generation is not None:
        assert_amount(generation.cost)


@fuzz(code=statuses, sent=headers, body=bodies(CREDITS, ERROR), wanted=st.floats(0.01, 1e6))
def test_a_balance(code, sent, body, wanted):
    balance = read(protocol.credit_balance(), code, sent, body)
    assert balance is None or isinstance(balance, Credits)
    if balance is not None:
        assert abs(balance.total) < 1e12
        waiting = BalanceWait(min_credits=wanted, deadline=NOW, interval=1.0)
        waiting.begun()
        decision = waiting.after_answer(balance, now=NOW)
        if isinstance(decision, GiveUp):
            assert_told(decision.error)


@fuzz(code=statuses, sent=headers, body=bodies({"file_urls": [LINK]}, {"urls": [LINK, LINK]}, ERROR))
def test_the_answer_to_an_upload(code, sent, body):
    uploaded = read(protocol.upload(["data:image/png;base64,"]), code, sent, body)
    assert uploaded is None or (isinstance(uploaded, Uploaded) and uploaded.urls and all(map(is_link, uploaded.urls)))


@fuzz(code=statuses, sent=headers, body=bodies(MODELS, ERROR))
def test_the_list_of_models(code, sent, body):
    models = read(protocol.model_list(), code, sent, body)
    assert models is None or isinstance(models, ModelList)
    for model in models.models if models else ():
        assert model.parameter_names is None or isinstance(model.parameter_names, set)


@fuzz(value=header_values)
def test_the_headers_that_tell_a_time(value):
    reset_at = rate_limit_reset({"x-rate-limit-reset-at-utc": value})
    error = SegmindRateLimitError("too many", reset_at=reset_at.isoformat() if reset_at else None)
    moment = resumes_at(error, NOW, chance=1.0)
    assert moment is None or NOW < moment <= NOW + timedelta(minutes=2)
    apart = clocks.ahead({"Date": value}, NOW)
    clocks.difference(apart)
    try:
        clocks.check(apart)
    except SegmindError as error:
        assert_told(error)


@fuzz(
    encoding=st.one_of(header_values, st.sampled_from(["gzip", "deflate", "identity", "br", " GZIP "])),
    chunks=st.lists(st.binary(max_size=50), max_size=4),
    largest=st.integers(0, 100),
)
def test_the_bytes_of_a_body(encoding, chunks, largest):
    try:
        body = Body({"Content-Encoding": encoding}, largest)
        for chunk in chunks:
            body.add(chunk)
    except BodyError:
        return
    assert len(body.whole()) <= largest


def ended(state):
    """Go on from a status as every wait does."""
    assert_amount(state.metrics.cost)
    wait = JobWait(request_id=ID, deadline=NOW + timedelta(hours=1), pause=lambda _: 1.0, model="kling-o1")
    wait.poll()
    decision = wait.after_answer(state, now=NOW)
    wait.begun()
    assert_amount(bill_of(ID, "kling-o1", state).cost)
    if isinstance(decision, GiveUp):
        assert_told(decision.error)
        assert_fit(bill_of_failure(SegmindError.from_dict(decision.error.to_dict()), "kling-o1"))
    if isinstance(decision, Done):
        handed_on = of_result(ID, "kling-o1", decision.result)
        assert_fit(handed_on)
        assert handed_on["return_value"]["request_id"] == ID
        assert_amount(handed_on["cost"])
        assert all(map(is_link, decision.result.urls))
        summary(ID, decision.result)
        # What a trigger tells a worker.
        event = json.loads(json.dumps(decision.result.model_dump(mode="json")))
        assert of_result(ID, "kling-o1", Result.model_validate(event)) == handed_on
