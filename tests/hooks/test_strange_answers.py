"""Whatever stands in the head of an answer, what comes of it is an answer or an error of the tree."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_kling.hooks.segmind import SegmindHook
from airflow_provider_kling.hooks.segmind_async import SegmindAsyncHook
from airflow_provider_kling.segmind.clock import ahead, rate_limit_reset
from airflow_provider_kling.segmind.errors import SegmindError
from tests.hostile import hostile

REQUEST_ID = "2c7f59ea-13f1-402c-9353-915a2b5a2124"
DONE = b'{"status": "COMPLETED", "credits": 3.5, "request_id": "2c7f59ea"}'
LINES = [
    b"Content-Length: \xb2",
    b"Content-Length: -1",
    b"Content-Length: " + b"9" * 5000,
    b"Content-Length: 1, 2",
    b"Content-Length: 1\r\nContent-Length: 2",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nContent-Length: 3",
    b"Content-Encoding: gzip",
    b"Content-Encoding: \xff",
    b"Content-Type: \x00/\xff",
    b"Date: Thu, 01 Jan 0001 00:00:00 +9999",
    b"Date: Thu, 01 Jan 2026 00:00:00 +" + b"9" * 30,
    b"Date: 31 Feb 99999 99:99:99 GMT",
    b"Date: \xb2\xb2, \xb2 \xb2 \xb2",
    b"Set-Cookie: a=b; Expires=\xff; Domain=[::1",
    b"X-Request-Id: \x00",
    b"no colon",
    b": no name",
    b"\xff\xfe: \x80",
]
MOVED = [
    b"http://[::1",
    b"//[",
    b"http://\xff\xfe/",
    b"http://a:99999/",
    b"\x00\x01",
    b"http://" + b"a" * 70 + b".com",
    b"",
]
ENDED = [
    b"",
    b"\x00",
    b"HTTP/1.1\r\n\r\n",
    b"HTTP/1.1 \xb2\xb2\xb2 OK\r\n\r\n",
    b"HTTP/1.1 -20 OK\r\n\r\n",
    b"HTTP/1.1 999999999999 OK\r\n\r\n",
    b"HTTP/9.9 200 OK\r\n\r\n{}",
    b"HTTP/1.1 200 " + b"x" * 70_000 + b"\r\n\r\n{}",
    b"HTTP/1.1 100 Continue\r\n\r\n" * 3,
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    b"HTTP/1.1 204 None\r\n\r\n",
]
HEADS = [
    *(b"HTTP/1.1 200 OK\r\n%s\r\n\r\n%s" % (line, DONE) for line in LINES),
    *(b"HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % place for place in MOVED),
    *ENDED,
]


async def read(conn_id):
    async with SegmindAsyncHook(conn_id) as hook:
        return await hook.get_status(REQUEST_ID)


@pytest.mark.attack("The head of an answer is not HTTP, or its lengths, dates and addresses are none", "SegmindError")
@pytest.mark.parametrize("head", HEADS, ids=lambda head: repr(head[:60]))
def test_a_strange_head_is_an_answer_or_an_error_of_the_tree(set_connection, head):
    with hostile(head) as server:
        conn_id = set_connection(host=server.url)
        with suppress(SegmindError):
            SegmindHook(conn_id).submit("kling-o1", {"prompt": "a"})
        SegmindHook(conn_id).test_connection()
        with suppress(SegmindError):
            asyncio.run(read(conn_id))
    assert server.connections >= 3


@pytest.mark.attack("An answer has headers without an end", "given up, in little memory")
@pytest.mark.parametrize(
    "piece", [b"X-Header: %s\r\n" % (b"x" * 1000), b"x" * 65_000, b"HTTP/1.1 100 Continue\r\n\r\n"]
)
def test_headers_without_an_end_are_given_up(set_connection, piece, seen):
    with hostile(b"HTTP/1.1 200 OK\r\n", piece * 20, endless=True) as server:
        conn_id = set_connection(host=server.url, extra={"timeout": 0.5})
        accepted, words = SegmindHook(conn_id).test_connection()
        seen(words)
        assert not accepted
        with pytest.raises(SegmindError):
            asyncio.run(read(conn_id))


@pytest.mark.attack("The clock's or the rate limit's header holds anything", "read, or as if it were not there")
@given(st.text(max_size=60) | st.from_regex(r"[A-Z][a-z]{2}, \d{1,3} [A-Z][a-z]{2} \d{1,6} \d+:\d+:\d+ [+-]?\d*"))
@example("Thu, 01 Jan 2026 00:00:00 +99999999999999999999")
@example("Thu, 01 Jan 0001 00:00:00 +2359")
@example("Fri, 31 Dec 9999 23:59:59 -2359")
@example("\u00b2")
@example("nan")
@example("-1e400")
def test_a_time_is_read_or_counts_as_none(value):
    now = datetime.now(tz=UTC)
    assert isinstance(ahead({"Date": value}, now), timedelta)
    reset = rate_limit_reset({"x-rate-limit-reset-at-utc": value})
    assert reset is None or reset.utcoffset() == timedelta()
