from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

import pytest

from airflow_provider_kling.segmind import errors, protocol
from airflow_provider_kling.segmind.clock import rate_limit_reset
from airflow_provider_kling.segmind.failed_job import failure

SUBMIT = protocol.submit("kling-o1", {"prompt": "x"})
STATUS = protocol.status("2c7f59ea")
RESULT = protocol.result("2c7f59ea")
CREDITS = protocol.credit_balance()
UPLOAD = protocol.upload(["data:image/png;base64,AA=="])
HTML = b"<!doctype html><title>405 Method Not Allowed</title>"


def said(text):
    return json.dumps({"error": text}).encode()


@pytest.mark.parametrize(
    ("call", "code", "body", "error_class", "retryable"),
    [
        (SUBMIT, 400, said("prompt is required"), errors.SegmindBadRequestError, False),
        (SUBMIT, 401, said("Unauthorized. API key is invalid"), errors.SegmindAuthenticationError, False),
        (STATUS, 401, said("Missing Authorization"), errors.SegmindAuthenticationError, False),
        (SUBMIT, 403, said("not for this team"), errors.SegmindPermissionError, False),
        (SUBMIT, 404, said("no such model"), errors.SegmindModelNotFoundError, False),
        (STATUS, 404, said("Request 2c7f59ea not found"), errors.SegmindRequestNotFoundError, False),
        (CREDITS, 404, said("No credits found for the user"), errors.SegmindInsufficientCreditsError, False),
        (UPLOAD, 404, b"nginx", errors.SegmindResponseError, True),
        (SUBMIT, 405, HTML, errors.SegmindBadRequestError, False),
        (SUBMIT, 406, said("Invalid content type"), errors.SegmindBadRequestError, False),
        (SUBMIT, 406, said("duration must be one of 5, 10"), errors.SegmindBadRequestError, False),
        (SUBMIT, 406, said("Insufficient credits"), errors.SegmindInsufficientCreditsError, False),
        (SUBMIT, 406, said("Team spend limit reached"), errors.SegmindInsufficientCreditsError, False),
        (SUBMIT, 410, said("deprecated"), errors.SegmindModelRetiredError, False),
        (SUBMIT, 422, said("Validation Error"), errors.SegmindBadRequestError, False),
        (STATUS, 422, said("Validation Error"), errors.SegmindBadRequestError, False),
        (SUBMIT, 429, said("rate_limit_exceeded"), errors.SegmindRateLimitError, True),
        (SUBMIT, 500, said("Internal"), errors.SegmindServerError, True),
        (SUBMIT, 503, said("busy"), errors.SegmindServerError, True),
        *((SUBMIT, code, b"", errors.SegmindAmbiguousSubmitError, True) for code in (408, 409, 425, 499, 500, 503)),
        (SUBMIT, 408, said("request timeout"), errors.SegmindAmbiguousSubmitError, True),
        (SUBMIT, 500, HTML, errors.SegmindAmbiguousSubmitError, True),
        (STATUS, 408, b"", errors.SegmindServerError, True),
        (STATUS, 503, b"", errors.SegmindServerError, True),
        (SUBMIT, 502, b"bad gateway", errors.SegmindAmbiguousSubmitError, True),
        (SUBMIT, 504, b"", errors.SegmindAmbiguousSubmitError, True),
        (SUBMIT, 520, b"", errors.SegmindAmbiguousSubmitError, True),
        (STATUS, 502, b"bad gateway", errors.SegmindServerError, True),
        (STATUS, 504, b"", errors.SegmindServerError, True),
        (SUBMIT, 301, b"", errors.SegmindResponseError, True),
        (SUBMIT, 308, b"", errors.SegmindResponseError, True),
        (SUBMIT, 302, b"", errors.SegmindAmbiguousSubmitError, True),
        (SUBMIT, 303, b"", errors.SegmindAmbiguousSubmitError, True),
        (STATUS, 307, b"", errors.SegmindResponseError, True),
        (SUBMIT, 200, b"", errors.SegmindAmbiguousSubmitError, True),
        (SUBMIT, 200, b'{"request_id": "2c7f', errors.SegmindAmbiguousSubmitError, True),
        (SUBMIT, 200, b'["2c7f59ea"]', errors.SegmindAmbiguousSubmitError, True),
        (SUBMIT, 200, b'{"status": "QUEUED"}', errors.SegmindAmbiguousSubmitError, True),
        (SUBMIT, 200, b'{"request_id": ""}', errors.SegmindAmbiguousSubmitError, True),
        (SUBMIT, 200, HTML, errors.SegmindAmbiguousSubmitError, True),
        (STATUS, 200, b"", errors.SegmindResponseError, True),
        (STATUS, 200, b'{"status": "QUE', errors.SegmindResponseError, True),
        (STATUS, 200, b'[{"status": "QUEUED"}]', errors.SegmindResponseError, True),
        (STATUS, 200, b'{"status": "DREAMING"}', errors.SegmindResponseError, True),
        (STATUS, 200, HTML, errors.SegmindResponseError, True),
        (STATUS, 200, b"\xff\xfe", errors.SegmindResponseError, True),
        (STATUS, 200, b"[" * 100_000, errors.SegmindResponseError, True),
        (STATUS, 500, b"[" * 100_000, errors.SegmindServerError, True),
    ],
)
def test_each_row_of_the_error_table_is_read_from_status_and_body(call, code, body, error_class, retryable):
    with pytest.raises(errors.SegmindError) as caught:
        call.read(code, {"Content-Type": "application/json"}, body)
    error = caught.value
    assert type(error) is error_class
    assert error.retryable is retryable
    assert error.status_code == code
    assert "\n" not in str(error)
    words = body[:12].decode("ascii", errors="ignore").strip()
    if words.isascii() and words.isprintable():
        assert words in error.body, "the first part of the body is in the error"
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None, "no traceback of json behind it"


def test_a_poll_error_names_the_job():
    with pytest.raises(errors.SegmindRequestNotFoundError) as caught:
        STATUS.read(404, {}, said("gone"))
    assert caught.value.request_id == "2c7f59ea"


def test_a_406_tells_balance_and_need_in_either_order():
    for text in (
        "Insufficient credits. Balance: 0.02, required: 1.35",
        "Insufficient credits: this call needs 1.35 but you have 0.02",
    ):
        with pytest.raises(errors.SegmindInsufficientCreditsError) as caught:
            SUBMIT.read(406, {}, said(text))
        assert (caught.value.balance, caught.value.needed) == (0.02, 1.35)


@pytest.mark.parametrize("code", [200, 202, 422])
def test_a_job_is_judged_by_the_status_in_the_body(code):
    body = b'{"status": "FAILED", "error": "Prompt is mandatory", "metrics": {"inference_time": 0.007}}'
    for call in (STATUS, RESULT):
        state = call.read(code, {}, body)
        assert state.status.is_terminal
        assert state.error == "Prompt is mandatory"


@pytest.mark.parametrize(
    ("answer", "urls"),
    [
        ({"output": "https://i/1.mp4"}, ["https://i/1.mp4"]),
        ({"output": ["https://i/1.mp4", "https://i/2.mp4"]}, ["https://i/1.mp4", "https://i/2.mp4"]),
        ({"output": [{"url": "https://i/1.png"}]}, ["https://i/1.png"]),
        ({"output": {"url": "https://i/1.mp4"}}, ["https://i/1.mp4"]),
        ({"output": {"video_url": "https://i/1.mp4"}}, ["https://i/1.mp4"]),
        ({"output": '{"video": {"url": "https://i/1.mp4"}}'}, ["https://i/1.mp4"]),
        ({"output": '[{"keyname": "k", "value": {"data": "https://i/1.mp4"}}]'}, ["https://i/1.mp4"]),
        ({"output": "https://i/1.mp4", "video": {"url": "https://i/1.mp4"}}, ["https://i/1.mp4"]),
        ({"video": {"url": "https://i/1.mp4", "file_size": "12"}}, ["https://i/1.mp4"]),
        ({"images": [{"url": "https://i/1.png"}, {"url": "https://i/2.png"}]}, ["https://i/1.png", "https://i/2.png"]),
        ({"output": "a text"}, []),
        ({"output": None}, []),
        ({"output": {"weird": 1}, "urls": {"get": "x"}}, []),
    ],
)
def test_an_output_of_every_shape_becomes_one_list_of_addresses(answer, urls):
    result = RESULT.read(200, {}, json.dumps({"status": "COMPLETED", **answer}).encode())
    assert list(result.urls) == urls
    assert result.url == (urls[0] if urls else None)
    again = type(result).model_validate(json.loads(result.model_dump_json()))
    assert again.urls == result.urls, "it survives the trigger's event"


def test_metrics_that_cannot_be_read_do_not_cost_the_result():
    body = {"status": "COMPLETED", "output": "https://i/1.mp4", "metrics": {"cost": "0.42", "queue_time": "soon"}}
    result = RESULT.read(200, {}, json.dumps(body).encode())
    assert result.metrics.cost == 0.42
    assert result.metrics.queue_time is None
    assert RESULT.read(200, {}, b'{"status": "COMPLETED", "metrics": null}').metrics.cost is None


def test_the_blocking_call_is_read_as_bytes_with_headers():
    headers = {
        "Content-Type": "video/mp4",
        "X-Cost": "0.42",
        "x-remaining-credits": "12.3",
        "x-request-id": "r-1",
        "x-generation-time": "190.4",
        "x-seed-value": "7",
    }
    made = protocol.generate("kling-o1", {}).read(200, headers, b"\0\0\0\x18ftyp")
    assert (made.content, made.content_type, made.cost) == (b"\0\0\0\x18ftyp", "video/mp4", 0.42)
    assert (made.request_id, made.seed, made.generation_time, made.urls) == ("r-1", "7", 190.4, ())


def test_the_blocking_call_is_read_as_json_too():
    body = {"output": "https://i/1.mp4", "metrics": {"cost": 0.42}, "seed": "7"}
    made = protocol.generate("kling-o1", {}).read(
        200, {"content-type": "application/json; charset=utf-8"}, json.dumps(body).encode()
    )
    assert (made.content, made.urls, made.cost, made.seed) == (None, ("https://i/1.mp4",), 0.42, "7")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [("text/html", HTML), ("application/json", b"[]"), ("application/json", b"{"), ("video/mp4", b"")],
)
def test_a_blocking_answer_that_is_no_file_is_an_unclear_outcome(content_type, body):
    with pytest.raises(errors.SegmindAmbiguousSubmitError):
        protocol.generate("kling-o1", {}).read(200, {"content-type": content_type}, body)


def test_the_balance_has_a_hyphen_in_its_second_name():
    balance = CREDITS.read(200, {}, b'{"credits": 1.5, "free-credits": 0.25}')
    assert balance.total == 1.75


def test_uploads_are_read_under_both_documented_names():
    for name in ("urls", "file_urls"):
        assert UPLOAD.read(200, {}, json.dumps({name: ["https://i/a"]}).encode()).urls == ("https://i/a",)


def test_history_rows_are_read_with_bodies_in_json_and_in_python():
    since = datetime(2026, 11, 20, tzinfo=UTC)
    call = protocol.history(model="kling-o1", since=since, until=since)
    # A server may end its days elsewhere, or leave out the last one.
    assert (call.query["from_date"], call.query["to_date"]) == ("2026-11-19", "2026-11-22")
    rows = [
        {"request_id": "a", "request_body": "{'prompt': 'x', 'keep_audio': False}", "credits_deduction": "0.03"},
        {
            "request_id": "b",
            "request_body": '{"prompt": "x", "keep_audio": false}',
            "model_created": "2026-11-20T10:00",
        },
        {"request_id": "c", "request_body": "__import__('os')", "error": {"code": 1}},
    ]
    page = call.read(200, {}, json.dumps({"data": rows}).encode())
    assert [row.request_body for row in page.rows] == [{"prompt": "x", "keep_audio": False}] * 2 + [None]
    assert page.rows[0].cost == 0.03
    assert page.rows[1].created_at.year == 2026


@pytest.mark.parametrize("model", ["", "a/b", "../v1", "a..b", "kling o1", "kling-o1?x=1", "kling-o1#", None, 7, "ä"])
def test_a_slug_that_would_call_another_address_is_refused_before_anything_is_sent(model):
    with pytest.raises(errors.SegmindInputError, match="model:"):
        protocol.submit(model, {})


@pytest.mark.parametrize("request_id", ["", " ", "None", None, "a/b", "..", "a?b", "a b", 7])
def test_a_request_id_that_is_none_is_refused_before_anything_is_sent(request_id):
    for ask in (protocol.status, protocol.result):
        with pytest.raises(errors.SegmindInputError, match="request_id:"):
            ask(request_id)


def test_the_ids_of_a_mapped_submit_are_told_from_one_id():
    with pytest.raises(errors.SegmindInputError, match=r"holds 2 ids.*expand\(request_id=submit\.output\)"):
        protocol.status(["2c7f59ea", "3d8f60fb"])


def test_a_payload_that_is_no_json_is_refused_before_anything_is_sent():
    for value in (object(), float("nan"), {1, 2}):
        with pytest.raises(errors.KlingPayloadError, match=r"payload: prompt: is (a|nan)"):
            protocol.submit("kling-o1", {"prompt": value}).encoded_body()


@pytest.mark.parametrize(
    "value",
    ["2026-11-21T10:00:00Z", "2026-11-21 10:00:00", "1795255200", "1795255200000", "Sat, 21 Nov 2026 10:00:00 GMT"],
)
def test_the_reset_time_is_read_in_every_likely_format(value):
    assert rate_limit_reset({"x-rate-limit-reset-at-utc": value}) == datetime(2026, 11, 21, 10, tzinfo=UTC)


@pytest.mark.parametrize("value", ["", "soon", "nan", "1e300", "99999-99-99"])
def test_a_reset_time_that_cannot_be_read_counts_as_not_given(value):
    assert rate_limit_reset({"x-rate-limit-reset-at-utc": value}) is None


def test_a_rate_limit_error_carries_its_reset_time():
    with pytest.raises(errors.SegmindRateLimitError, match="2026-11-21 10:00:00 UTC") as caught:
        STATUS.read(429, {"X-Rate-Limit-Reset-At-UTC": "2026-11-21T10:00:00Z"}, said("rate_limit_exceeded"))
    assert caught.value.reset_at == "2026-11-21T10:00:00+00:00"


@pytest.mark.parametrize(
    ("text", "blocked"),
    [
        ("Content policy violation", True),
        ("Failure: risk control triggered", True),
        ("The input was flagged by moderation", True),
        ("Prompt is Mandatory and must be string", False),
        ("could not download https://x/y.png", False),
    ],
)
def test_a_failed_job_says_whether_content_rules_blocked_it(text, blocked):
    state = STATUS.read(422, {}, json.dumps({"status": "FAILED", "error": text}).encode())
    error = failure("r-1", state, "kling-o1")
    assert error.blocked is blocked
    assert error.detail == text
    assert "does not charge" in str(error)
    assert ("blocked again" in str(error)) is blocked


def test_a_failed_job_that_was_charged_says_what_it_cost():
    state = STATUS.read(422, {}, json.dumps({"status": "FAILED", "error": "x", "metrics": {"cost": 0.42}}).encode())
    told = str(failure("r-1", state, "kling-o1"))
    assert "It cost $0.420." in told
    assert "does not charge" not in told


def test_only_what_costs_nothing_or_never_left_may_be_sent_again():
    passing = [errors.SegmindServerError("x"), errors.SegmindRateLimitError("x"), STATUS.no_answer("reset")]
    assert all(STATUS.may_repeat_after(error) for error in passing)
    assert not any(SUBMIT.may_repeat_after(error) for error in passing)
    assert SUBMIT.may_repeat_after(SUBMIT.never_sent("refused"))
    assert not SUBMIT.may_repeat_after(SUBMIT.no_answer("reset"))
    assert not UPLOAD.may_repeat_after(UPLOAD.no_answer("reset"))
    assert not STATUS.may_repeat_after(errors.SegmindAuthenticationError("x"))


@pytest.mark.parametrize("lengths", [[], [1], [2], [3], [4, 5], [1, 1, 1, 1], [1024, 1, 7]])
def test_the_body_of_one_upload_is_the_same_json_whatever_the_blocks(lengths):
    blocks = [bytes(range(length % 256)) + bytes(length - length % 256) for length in lengths]
    body = protocol.upload_file("image/png", blocks).encoded_body()
    coded = base64.b64encode(b"".join(blocks)).decode()
    assert json.loads(body) == protocol.upload([f"data:image/png;base64,{coded}"]).json_body
