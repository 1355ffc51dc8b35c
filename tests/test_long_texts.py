"""Texts of 200 kB that are made to take the square of their length: whatever reads them takes a moment."""

from __future__ import annotations

import json
import time
from contextlib import suppress

import pytest

from airflow_provider_kling.payloads.addresses import check_media, is_base64
from airflow_provider_kling.payloads.request import check_rendered
from airflow_provider_kling.segmind import protocol
from airflow_provider_kling.segmind.addresses import is_link
from airflow_provider_kling.segmind.clock import rate_limit_reset
from airflow_provider_kling.segmind.errors import SegmindError
from airflow_provider_kling.segmind.history import HistoryRow
from airflow_provider_kling.segmind.sanitize import fit_body
from airflow_provider_kling.segmind.schemas import Result
from airflow_provider_kling.storage.lineage import _links
from airflow_provider_kling.storage.names import check_template
from airflow_provider_kling.storage.sidecar import bare
from airflow_provider_kling.submission.history_match import _agrees

LENGTH = 200_000
#: Seconds of a processor; what takes the square takes minutes.
A_MOMENT = 6.0
MARKS = "a\u0301\u0316\u0f73\u0f73"

READERS = {
    "a file's name": (check_template, ["{{", "{%", "{#", "{{ x }}", "{"]),
    "base64": (lambda text: is_base64("A" + text + "!"), [" ", "A ", "\n"]),
    "a picture": (lambda text: check_media("https://" + text), [MARKS, "[", "@", "a:"]),
    "a file": (check_media, ["/ ", "a", "s3://", "a@"]),
    "a link of a result": (lambda text: is_link("https://" + text), [MARKS, "[", ":", "@", "/"]),
    "a link of a description": (lambda text: bare("https://" + text), [MARKS, "[", "?", "#"]),
    "links in a payload": (lambda text: list(_links({"a": text, "b": json.dumps([text])})), ["http://", MARKS, "["]),
    "a reset": (lambda text: rate_limit_reset({"x-rate-limit-reset-at-utc": text}), ["1.1.", "1:", "P1", "W"]),
    "a text as it was sent": (
        lambda text: _agrees(text + "x", text),
        [MARKS[1:], "\u0f73", "&#1", "&amp;", "%25"],
    ),
    "inputs of a row": (lambda text: HistoryRow(request_body=text, created_at=text), ["{", "[", "(", "'a'", "1", "-"]),
    "an answer": (lambda text: fit_body(json.dumps({"a": text}).encode()), ["\ud800", "\x00", "[", "\\"]),
    "an output": (
        lambda text: Result.model_validate({"status": "COMPLETED", "output": text}),
        ["[", "{", "http://", '["'],
    ),
    "a refusal": (
        lambda text: protocol.submit("kling-o1", {}).read(
            406, {"location": text}, json.dumps({"error": text}).encode()
        ),
        ["spend_", "spend ", "no ", "balance", "need", "content ", "\n"],
    ),
    "a payload": (
        lambda text: check_rendered({"prompt": text, "image_urls": ["https://e.com/a"], text: text}, "kling-o1"),
        ["@Image1", "@", "1", "{{", MARKS],
    ),
    "a payload as text": (lambda text: check_rendered(text, "kling-o1"), ["[", "{", '{"a":', "1"]),
}
CASES = [(name, unit) for name, (_, units) in READERS.items() for unit in units]


@pytest.mark.attack("Send texts of 200 kB that take some readers the square of their length", "a moment")
@pytest.mark.parametrize(("name", "unit"), CASES, ids=[f"{name} of {unit!r}"[:60] for name, unit in CASES])
def test_a_long_text_takes_a_moment(name, unit, seen):
    text = unit * (LENGTH // len(unit))
    begun = time.process_time()
    with suppress(SegmindError, ValueError):
        READERS[name][0](text)
    taken = time.process_time() - begun
    assert taken < A_MOMENT
    seen("a moment")
