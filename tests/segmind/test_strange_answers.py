"""Answers and records that nobody would send who means well."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_kling.budget.costs import read_bills, tally
from airflow_provider_kling.segmind import clock as clocks
from airflow_provider_kling.segmind import protocol
from airflow_provider_kling.segmind.errors import (
    SegmindAmbiguousSubmitError,
    SegmindClockError,
    SegmindError,
    SegmindInputError,
    SegmindResponseError,
)
from airflow_provider_kling.submission.history_match import Sent, Window, matches
from airflow_provider_kling.submission.record import read_claims, read_record
from airflow_provider_kling.xcoms import of_result

ID = "2c7f59ea-13f1-402c-9353-915a2b5a2124"
NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)
RECORD = {"fingerprint": "f", "model": "kling-o1", "intended_at": NOW.isoformat()}


def history(*rows):
    page = json.dumps({"data": [{"model_created": "2026-11-21T10:00:00Z", **row} for row in rows]})
    return protocol.history(model="kling-o1", since=NOW, until=NOW).read(200, {}, page.encode()).rows


@pytest.mark.attack(
    "Answer a history row whose inputs are bytes, complex, endless or 300 deep", "it is never taken for a job"
)
@pytest.mark.parametrize(
    "inputs",
    [
        "{'prompt': b'a fox'}",
        "{'prompt': 1+2j}",
        "{'prompt': {1, 2}}",
        "{'prompt': ...}",
        "{'prompt': 0x" + "f" * 2000 + "}",
        '{"prompt": 1' + "0" * 400 + "}",
        '{"prompt": ' + "[" * 300 + "]" * 300 + "}",
        '{"prompt": "&#' + "1" * 5000 + ';"}',
        "(" * 5000,
    ],
    ids=lambda text: text[:24],
)
def test_inputs_that_are_no_json_make_no_row_certain(inputs):
    rows = history({"request_id": ID, "model_name": "kling-o1", "request_body": inputs})
    found = matches(Sent("kling-o1", {"prompt": "a fox"}, [Window.after(NOW, timedelta(minutes=10))]), rows)
    assert not found.certain


@pytest.mark.attack("Answer a row of the year 1 or 9999, or of a job whose id is a path", "it has no time, and no id")
@pytest.mark.parametrize("created", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"])
def test_a_row_at_the_end_of_the_calendar_has_no_time(created):
    (row,) = history({"request_id": "../../v1/get-user-credits", "model_created": created})
    assert (row.created_at, row.request_id) == (None, "")


@pytest.mark.attack("Answer a paid submit with a Date of the year 10^14", "the answer is read: there is no date")
@pytest.mark.parametrize(
    "date", ["Mon, 99999999999999 Nov 2026 00:00:00 GMT", "Mon, 01 Nov 2026 00:00:00 +99999999999999"]
)
def test_a_date_that_no_calendar_has_is_none(date):
    assert clocks.ahead({"Date": date}, NOW) == timedelta()
    with pytest.raises(SegmindClockError):
        clocks.check(clocks.ahead({"Date": "Fri, 31 Dec 9999 23:59:59 GMT"}, NOW))


@pytest.mark.attack("Answer a submit with an id that is a path", "the job is looked up in the history")
@pytest.mark.parametrize("request_id", ["../x", "a b", "", "x" * 300, "\u0000"])
def test_an_id_that_cannot_be_asked_for_is_no_receipt(request_id, seen):
    with pytest.raises(SegmindAmbiguousSubmitError) as error:
        protocol.submit("kling-o1", {}).read(200, {}, json.dumps({"request_id": request_id}).encode())
    seen(error.value)


@pytest.mark.attack("Answer with NaN, Infinity and numbers of 400 digits", "what is handed on can be stored")
def test_numbers_that_json_does_not_have_are_left_out_and_long_ones_are_text():
    body = b'{"status": "COMPLETED", "output": {"url": "https://e.com/a.mp4", "score": NaN, "seed": 1' + b"0" * 400
    result = protocol.result(ID).read(200, {}, body + b'}, "metrics": {"cost": 1e999, "retry_count": 1e300}}')
    handed_on = of_result(ID, "kling-o1", result)
    json.dumps(handed_on, allow_nan=False)
    assert handed_on["return_value"]["output"]["score"] is None
    assert handed_on["return_value"]["output"]["seed"] == "1" + "0" * 400
    assert handed_on["cost"] is None


@pytest.mark.attack("Tell costs of -1000, NaN, Infinity and 1e308 in an answer, a row and a bill", "no cost is told")
@pytest.mark.parametrize("cost", [-1000, float("nan"), float("inf"), 1e308, "-0.01"])
def test_a_cost_that_is_no_amount_is_not_known(cost):
    answer = json.dumps({"status": "COMPLETED", "metrics": {"cost": cost}}).encode()
    assert protocol.status(ID).read(200, {}, answer).metrics.cost is None
    assert history({"request_id": ID, "credits_deduction": cost})[0].cost is None
    assert [bill for bill in read_bills([{"request_id": ID, "cost": cost}]).values() if bill.cost is not None] == []


@pytest.mark.attack("Show a claim that has cost -1000", "it is no claim: the budget is not raised by it")
@pytest.mark.parametrize("field", ["high", "cost", "former_cost"])
def test_a_claim_with_a_negative_amount_is_none(field):
    assert read_claims([{"task": "x", "record": {**RECORD, field: -1000}}]) == []
    assert tally(read_claims([{"task": "x", "record": {**RECORD, field: 0.5}}]), {}, {"kling-o1": 1.0}).total > 0
    with pytest.raises(SegmindInputError, match=r"record cannot be read .*-1000"):
        read_record({**RECORD, field: -1000})


@pytest.mark.attack("Answer with a balance of Infinity", "no budget counts on it")
@pytest.mark.parametrize("balance", [float("inf"), float("nan"), 1e308])
def test_a_balance_without_an_end_cannot_be_read(balance):
    with pytest.raises(SegmindResponseError, match="credits"):
        protocol.credit_balance().read(200, {}, json.dumps({"credits": balance}).encode())


@pytest.mark.attack(
    "Answer links with spaces, line breaks, half a bracket, Markdown or JavaScript", "they are no links"
)
@pytest.mark.parametrize(
    "link",
    [
        "http://[::1",
        "https://e.com:x/a.mp4",
        "https://e.com/a.png) ![](https://evil.com/b.png",
        "https://e.com/a\n# heading",
        'https://e.com/"onclick="alert(1)',
        "https://e.com/<script>",
        "https:///a.mp4",
        "javascript:alert(1)//https://",
        "data:text/html,https://e.com",
    ],
)
def test_what_is_no_address_on_the_web_is_no_file_of_a_job(link):
    body = json.dumps({"status": "COMPLETED", "output": link, "video": {"url": link}}).encode()
    result = protocol.result(ID).read(200, {}, body)
    assert (result.urls, result.output) == ((), link)
    with pytest.raises(SegmindResponseError, match="no address"):
        protocol.upload(["data:"]).read(200, {}, json.dumps({"file_urls": [link]}).encode())


@pytest.mark.attack("Hand a trigger's event on with a number that Airflow cannot carry", "it is text")
def test_an_error_can_be_carried_whatever_is_in_it():
    error = SegmindError.from_dict({"class": [1], "request_id": -(2**63) - 1, "body": "\ud800"})
    assert error.to_dict()["request_id"] == str(-(2**63) - 1)
    json.dumps(error.to_dict(), ensure_ascii=False).encode()


@pytest.mark.attack("Answer with the provider's own XComs as keys, which multiple_outputs pushes", "they are left out")
@pytest.mark.parametrize("name", ["files", "return_value", "kling_bill", "kling_files", "kling_submission"])
def test_an_answer_tells_nothing_in_the_providers_place(name):
    body = json.dumps({"status": "COMPLETED", "output": "https://e.com/a.mp4", name: {"cost": 0}, "seed": 5}).encode()
    whole = of_result(ID, "kling-o1", protocol.result(ID).read(200, {}, body))["return_value"]
    assert whole["seed"] == 5
    assert name not in whole
