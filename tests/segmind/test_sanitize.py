"""Whatever text Segmind answers with, what is made of it can be logged, stored and sent on."""

from __future__ import annotations

import json
import pickle
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_kling.segmind import protocol
from airflow_provider_kling.segmind.errors import SegmindError, SegmindResponseError
from airflow_provider_kling.segmind.failed_job import failure
from airflow_provider_kling.segmind.sanitize import LONGEST_LITERAL, MOST_VALUES, RESERVED, fit_body, fit_text
from airflow_provider_kling.submission.history_match import Sent, Window, matches

ANY_TEXT = st.text(st.characters(codec=None, categories=None))
ID = "2c7f59ea-13f1-402c-9353-915a2b5a2124"


def assert_fit(text):
    text.encode()
    assert not set(text) & {chr(code) for code in (*range(9), 11, 12, *range(14, 32), 127, 0x9B)}


@given(ANY_TEXT)
def test_any_text_of_a_failed_job_can_be_told(words):
    body = json.dumps({"status": "FAILED", "error": words, "metrics": {words: words}}).encode()
    error = failure(ID, protocol.status(ID).read(422, {}, body))
    assert_fit(str(error))
    assert_fit(json.dumps(error.to_dict(), ensure_ascii=False))
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301 is its own


@given(ANY_TEXT, st.sampled_from([400, 401, 404, 406, 429, 500, 502]))
def test_any_text_of_a_refusal_can_be_told(words, code):
    headers = {"x-rate-limit-reset-at-utc": words, "location": words}
    with pytest.raises(SegmindError) as caught:
        protocol.submit("kling-o1", {}).read(code, headers, json.dumps({"error": words}).encode())
    assert_fit(json.dumps(caught.value.to_dict(), ensure_ascii=False))


@given(ANY_TEXT)
def test_a_result_with_any_text_in_it_is_read(words):
    body = json.dumps({"status": "COMPLETED", "output": {"url": "https://e.com/a.mp4", "note": words}}).encode()
    result = protocol.result(ID).read(200, {}, body)
    assert result.url == "https://e.com/a.mp4"
    assert_fit(json.dumps(result.model_dump(mode="json"), ensure_ascii=False))


@given(ANY_TEXT)
def test_a_row_of_the_history_with_any_text_in_it_is_read(words):
    for body in (json.dumps({"prompt": words}), repr({"prompt": words})):
        page = json.dumps([{"request_id": ID, "request_body": body}]).encode()
        row = protocol.past_rows(ID).read(200, {}, page).rows[0]
        assert row.request_body is not None
        assert_fit(json.dumps(row.request_body, ensure_ascii=False))


@given(st.binary())
def test_what_is_no_json_stays_as_it_is(body):
    assert fit_body(b"\x89PNG" + body) == b"\x89PNG" + body


@given(st.text())
def test_whole_texts_stay_as_they_are(text):
    kept = fit_text(text)
    assert len(kept) == len(text)
    assert all(after in {before, "\ufffd"} for before, after in zip(text, kept, strict=True))
    assert fit_text("a fox 🦊\n\tcafé") == "a fox 🦊\n\tcafé"


@pytest.mark.attack(
    "Names that Airflow reserves, beside what one reader of JSON takes and the other does not", "no names"
)
@pytest.mark.parametrize(
    "beside", ["1" * 5000, "[" * 260 + "]" * 260, "[" + "1," * MOST_VALUES + "1]", '"\\ud83d"', "NaN"]
)
@pytest.mark.parametrize("name", sorted(RESERVED))
def test_no_reserved_name_is_read_whatever_stands_beside_it(name, beside):
    body = f'{{"status": "COMPLETED", "output": "https://e.com/a.mp4", "a": {{"{name}": "b"}}, "c": {beside}}}'
    told = None
    with suppress(SegmindResponseError):
        told = protocol.result(ID).read(200, {}, body.encode()).model_dump(mode="json")
    assert told is None or told["a"] == {name[1:]: "b"}


def test_a_reserved_name_that_was_sent_is_found_in_the_history():
    sent = {"prompt": "a fox", "more": {"__type": "x"}, "__id__": "y"}
    rows = [{"request_id": ID, "model_name": "m", "request_body": repr(sent), "created_at": "2026-01-01T00:00:00Z"}]
    page = protocol.past_rows(ID).read(200, {}, json.dumps(rows).encode())
    assert page.rows[0].request_body == {"prompt": "a fox", "more": {"_type": "x"}, "_id__": "y"}
    window = Window.after(datetime(2026, 1, 1, tzinfo=UTC), timedelta(minutes=1))
    assert len(matches(Sent("m", sent, [window]), page.rows).certain) == 1


def test_a_text_that_is_too_long_for_a_literal_makes_no_row_certain():
    sent = {"prompt": "a" * LONGEST_LITERAL}
    rows = [{"request_id": ID, "model_name": "m", "request_body": repr(sent), "created_at": "2026-01-01T00:00:00Z"}]
    page = protocol.past_rows(ID).read(200, {}, json.dumps(rows).encode())
    window = Window.after(datetime(2026, 1, 1, tzinfo=UTC), timedelta(minutes=1))
    found = matches(Sent("m", sent, [window]), page.rows)
    assert (len(found.certain), len(found.possible)) == (0, 1)
