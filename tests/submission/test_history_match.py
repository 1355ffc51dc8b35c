from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_kling.segmind.history import HistoryRow
from airflow_provider_kling.segmind.identifiers import canonical_id, id_forms
from airflow_provider_kling.segmind.placeholders import filled_in, placeholder
from airflow_provider_kling.submission.history_match import Sent, Window, matches
from airflow_provider_kling.submission.policy import ORPHAN_GRACE

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)
PAYLOAD = {"prompt": "a fox", "duration": 5, "keep_audio": True, "elements": [{"frontal_image_url": "https://x/y"}]}
SENT = Sent("kling-o1", PAYLOAD, [Window.after(NOW, ORPHAN_GRACE)])
DASHED, PLAIN = "2c7f59ea-13f1-402c-9353-915a2b5a2124", "2c7f59ea13f1402c9353915a2b5a2124"


def row(**fields):
    told = {"request_id": PLAIN, "model_name": "kling-o1", "model_created": NOW.isoformat(), "request_body": PAYLOAD}
    return HistoryRow.model_validate({**told, **fields})


def verdict(found):
    there = matches(SENT, [found])
    return "certain" if there.certain else "possible" if there.possible else "other"


@pytest.mark.parametrize(
    "body",
    [
        PAYLOAD,
        json.dumps(PAYLOAD),
        repr(PAYLOAD),
        {**PAYLOAD, "duration": "5"},
        {**PAYLOAD, "duration": 5.0},
        {**PAYLOAD, "keep_audio": "true"},
        {**PAYLOAD, "elements": json.dumps(PAYLOAD["elements"])},
        {**PAYLOAD, "elements": str(PAYLOAD["elements"])},
        {**PAYLOAD, "end_image_url": None},
    ],
)
def test_the_same_inputs_are_the_same_however_they_are_written(body):
    assert verdict(row(request_body=body)) == "certain"


@pytest.mark.parametrize(
    "fields",
    [
        {"model_name": "kling-o1-image-to-video"},
        {"request_body": {**PAYLOAD, "prompt": "an owl"}},
        {"request_body": {**PAYLOAD, "duration": 10}},
        {"request_body": {"prompt": "an owl"}},
        {"model_created": (NOW - timedelta(minutes=5, seconds=1)).isoformat()},
        {"model_created": (NOW + timedelta(minutes=15, seconds=1)).isoformat()},
        {"model_created": "2026-11-22 00:20:00"},
        {"model_created": "2026-11-20 21:50:00"},
        {"request_body": {**PAYLOAD, "prompt": "a fox and an owl"}},
    ],
)
def test_what_differs_in_model_time_or_a_value_is_another_job(fields):
    assert verdict(row(**fields)) == "other"


@pytest.mark.parametrize(
    "fields",
    [
        {"request_body": None},
        {"model_name": None},
        {"request_body": "cut off: {'prompt"},
        {"request_body": {"prompt": "a fox"}},
        {"request_body": {**PAYLOAD, "mode": "pro"}},
        {"model_created": None},
        # a time without a zone that fits as a local one: UTC+05:30, +14 and -12
        {"model_created": "2026-11-21 15:30:05"},
        {"model_created": "2026-11-22 00:10:00"},
        {"model_created": "2026-11-20 22:00:05"},
        # a text that is kept a little otherwise
        {"request_body": {**PAYLOAD, "prompt": "A  fox."}},
        {"request_body": {**PAYLOAD, "prompt": "a&nbsp;fox"}},
        {"request_body": {**PAYLOAD, "elements": [{"frontal_image_url": "https%3A%2F%2Fx/y"}]}},
        # a list as a text that is cut, or written in another way, and a part of a list's part
        {"request_body": {**PAYLOAD, "elements": json.dumps(PAYLOAD["elements"])[:20]}},
        {"request_body": {**PAYLOAD, "elements": "frontal_image_url=https://x/y"}},
        {"request_body": {**PAYLOAD, "elements": [{}]}},
    ],
)
def test_what_cannot_be_read_whole_may_be_it(fields):
    assert verdict(row(**fields)) == "possible"


def test_a_text_that_came_back_cut_may_be_it_unless_little_is_left():
    prompt = "a fox in the snow, from behind, walking away from the camera"
    sent = Sent("kling-o1", {"prompt": prompt}, [Window.after(NOW, ORPHAN_GRACE)])
    for length, count in ((len(prompt) - 1, 1), (45, 1), (20, 0)):
        assert len(matches(sent, [row(request_body={"prompt": prompt[:length]})]).possible) == count


def test_a_text_whose_signs_were_replaced_by_question_marks_may_be_it():
    sent = Sent("kling-o1", {"prompt": "一只 fox 狐狸!"}, [Window.after(NOW, ORPHAN_GRACE)])
    for prompt, count in (("?? fox ??!", 1), ("\ufffd fox \ufffd!", 1), ("?????? fox ??????!", 1), ("?? owl ??!", 0)):
        assert len(matches(sent, [row(request_body={"prompt": prompt})]).possible) == count


def test_the_window_follows_the_grace_where_that_is_longer():
    late = row(model_created=(NOW + timedelta(minutes=17)).isoformat())
    windows = {minutes: Window.after(NOW, timedelta(minutes=minutes)) for minutes in (1, 60)}
    found = {minutes: matches(Sent("kling-o1", PAYLOAD, [window]), [late]) for minutes, window in windows.items()}
    assert (len(found[1].certain), len(found[60].certain)) == (0, 1)


def test_a_job_with_several_outputs_counts_once_and_the_oldest_comes_first():
    older = row(request_id="0" * 32, model_created=(NOW - timedelta(seconds=30)).isoformat())
    there = matches(SENT, [row(), row(), older])
    assert [found.request_id for found in there.certain] == ["0" * 32, PLAIN]


def test_a_time_without_a_zone_is_utc():
    assert verdict(row(model_created="2026-11-21 10:00:05")) == "certain"


def test_an_id_has_two_forms():
    assert canonical_id(PLAIN) == canonical_id(DASHED) == DASHED
    assert canonical_id("r-1") == "r-1"
    assert id_forms(DASHED) == (DASHED, PLAIN)
    assert id_forms(PLAIN) == (PLAIN, DASHED)
    assert id_forms("r1") == ("r1",)


MUG = placeholder("a" * 64)
WITH_FILES = {"prompt": "a fox", "image_urls": [MUG, "https://x/y"], "elements": [{"frontal_image_url": MUG}]}


def verdict_on_files(body, addresses):
    sent = Sent("kling-o1", filled_in(WITH_FILES, addresses), [Window.after(NOW, ORPHAN_GRACE)])
    there = matches(sent, [row(request_body=body)])
    return "certain" if there.certain else "possible" if there.possible else "other"


@pytest.mark.parametrize(
    ("change", "known", "unknown"),
    [
        ({}, "certain", "possible"),
        ({"elements": '[{"frontal_image_url": "https://s/1.png"}]'}, "certain", "possible"),
        ({"image_urls": ["https://s/2.png", "https://x/y"]}, "other", "possible"),
        ({"image_urls": ["https://s/1.png", "https://x/other"]}, "other", "other"),
        ({"image_urls": ["https://s/1.png"]}, "possible", "possible"),
        ({"image_urls": ["https://s/1.png", "https://x/y", "https://z"]}, "other", "other"),
        ({"image_urls": [7, "https://x/y"]}, "other", "other"),
        ({"elements": [{"frontal_image_url": "https://s/1.png", "reference_image_urls": []}]}, "possible", "possible"),
        ({"prompt": "an owl"}, "other", "other"),
    ],
)
def test_a_file_whose_address_is_not_known_neither_confirms_nor_contradicts(change, known, unknown):
    body = {**filled_in(WITH_FILES, {"a" * 64: "https://s/1.png"}), **change}
    assert verdict_on_files(body, {"a" * 64: "https://s/1.png"}) == known
    assert verdict_on_files(body, {}) == unknown


@pytest.mark.parametrize("request_id", [None, "", 7])
def test_a_row_without_an_id_may_be_the_job_and_hides_no_other(request_id):
    there = matches(SENT, [row(request_id=request_id), row(request_id=request_id), row()])
    assert [found.request_id for found in there.certain] == [PLAIN]
    assert len(there.possible) == 2
    assert verdict(row(request_id=request_id, model_name="kling-o3")) == "other"
