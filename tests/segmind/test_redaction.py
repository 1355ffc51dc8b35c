"""However a secret is written in a text, it is found there."""

from __future__ import annotations

import base64
import json
import time
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_kling.segmind import redaction
from airflow_provider_kling.segmind.errors import SegmindError
from airflow_provider_kling.segmind.sanitize import fit_body, fit_text, one_line

KEY = "SG_9f+e/tZ01\\23\"4'5"
BYTES = st.binary(max_size=40)


@pytest.fixture(autouse=True)
def known():
    redaction.add(KEY, "short")


def in_escapes(text):
    return "".join(f"\\u{ord(char):04x}" for char in text)


WRITTEN = {
    "as it is": KEY,
    "in the other case": KEY.swapcase(),
    "in escapes": in_escapes(KEY),
    "in escapes of Python": "".join(f"\\x{ord(char):02X}" for char in KEY),
    "in escapes of escapes": in_escapes(KEY).replace("\\", "\\\\\\\\"),
    "in some escapes": KEY[:5] + in_escapes(KEY[5:9]) + KEY[9:],
    "as JSON": json.dumps(json.dumps(KEY)),
    "percent-encoded": quote(KEY),
    "percent-encoded twice": quote(quote(KEY, safe="")),
    "percent-encoded throughout": "".join(f"%{ord(char):02x}" for char in KEY),
    "as HTML": "".join(f"&#{ord(char)};" for char in KEY),
    "as HTML in hex": "".join(f"&#x{ord(char):X};" for char in KEY),
    "in escaped base64": quote(base64.b64encode(KEY.encode()).decode()),
}


@pytest.mark.attack("A key is quoted escaped, percent-encoded or as HTML", "*** in its place")
@pytest.mark.parametrize("written", WRITTEN.values(), ids=WRITTEN)
def test_a_key_is_found_however_it_is_written(written):
    for text in (fit_text(f"key {written} is invalid"), fit_body(f"<p>key {written} is invalid".encode()).decode()):
        assert "***" in text
        assert KEY[3:9].lower() not in text.lower()
        assert written not in text


@pytest.mark.attack("A key is quoted in base64, with anything before and behind it", "*** in its place")
@given(BYTES, BYTES)
def test_a_key_is_found_in_base64_of_any_alignment_and_alphabet(before, after):
    whole = before + KEY.encode() + after
    for text in (base64.b64encode(whole).decode(), base64.urlsafe_b64encode(whole).decode()):
        told = fit_text(text)
        assert "***" in told
        for cut in (told.split("***")[0], told.split("***")[-1]):
            assert len(cut) <= len(text) - len(KEY) * 4 // 3 + 2


def test_half_a_key_that_a_line_is_cut_in_is_not_left():
    for length in range(280, 301):
        assert "SG_9" not in one_line("x" * length + KEY)
        assert "SG_9" not in str(SegmindError(one_line("x" * length + KEY)))


def test_json_stays_json():
    body = json.dumps({"a": [KEY, f"\t{KEY}\n\\{KEY}"], KEY: in_escapes(KEY)}).encode()
    assert json.loads(fit_body(body)) == {"a": ["***", "\t***\n\\***"], "***": "***"}
    redaction.add("tomato7")
    assert json.loads(fit_body(b'{"a": "\\tomato7 \\u0074omato7"}')) == {"a": "\tomato7 ***"}


def test_what_is_too_short_to_be_a_secret_garbles_nothing():
    assert fit_text("a short one") == "a short one"


@pytest.mark.attack("A text is made to be searched for a key for long", "it takes no time to speak of")
@pytest.mark.parametrize("piece", ["\\", "%25", "&amp;", "S", "\\u0053", "SG_", "&#0", "%", "\\\\'"])
def test_no_text_takes_long(piece):
    text = piece * (1_000_000 // len(piece))
    begun = time.thread_time()
    redaction.hide(text)
    secrets = len(redaction._known)  # other tests' too
    assert (time.thread_time() - begun) / secrets < 1
