"""Answers that never end, or are written out to gigabytes, end as errors in little memory and within their time."""

from __future__ import annotations

import asyncio
import gzip
import time
import tracemalloc
from contextlib import ExitStack
from threading import Thread

import pytest

from airflow_provider_kling.hooks.segmind import SegmindHook
from airflow_provider_kling.hooks.segmind_async import SegmindAsyncHook
from airflow_provider_kling.segmind.errors import SegmindAmbiguousSubmitError, SegmindConnectionError
from tests.conftest import connection_json
from tests.hostile import hostile

BOMB = gzip.compress(bytes(1024**3), compresslevel=9)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
MOVED = HEAD.replace(b"200 OK", b"302 Found\r\nLocation: /elsewhere")
REQUEST_ID = "2c7f59ea-13f1-402c-9353-915a2b5a2124"


def asks(conn_id):
    """Return what asks through either hook."""

    async def poll():
        async with SegmindAsyncHook(conn_id) as hook:
            await hook.get_status(REQUEST_ID)

    return {
        "submit": lambda: SegmindHook(conn_id).submit("kling-o1", {"prompt": "a"}),
        "poll": lambda: asyncio.run(poll()),
    }


@pytest.fixture
def ask(set_connection):
    """Return a function that asks a host through either hook, and returns the error and the peak of memory, in MiB."""

    def ask(url, way, timeout=5):
        conn_id = set_connection(host=url, extra={"timeout": timeout, "requests_per_minute": 10_000})

        tracemalloc.start()
        try:
            with pytest.raises((SegmindConnectionError, SegmindAmbiguousSubmitError)) as caught:
                asks(conn_id)[way]()
            return caught.value, tracemalloc.get_traced_memory()[1] / 1024**2
        finally:
            tracemalloc.stop()

    return ask


WAYS = pytest.mark.parametrize("way", ["submit", "poll"])


@pytest.mark.attack("A small answer or redirect is written out to a gigabyte", "given up at 256 KiB")
@WAYS
@pytest.mark.parametrize("head", [HEAD, MOVED], ids=["answer", "redirect"])
def test_an_answer_that_is_written_out_to_a_gigabyte_is_not(ask, way, head):
    with hostile(head % len(BOMB) + BOMB) as server:
        error, peak = ask(server.url, way)
    assert "larger than 256 KiB" in str(error)
    assert peak < 60


@pytest.mark.attack("An answer has no end", "given up at 256 KiB")
@WAYS
def test_a_body_without_an_end_is_given_up(ask, way):
    with hostile(b"HTTP/1.1 200 OK\r\n\r\n", bytes(1024**2), endless=True) as server:
        error, peak = ask(server.url, way)
    assert "larger than 256 KiB" in str(error)
    assert peak < 60


@pytest.mark.attack("An answer comes at a byte a moment", "given up after its timeout, in worker and triggerer")
def test_an_answer_that_trickles_in_keeps_nobody_beyond_the_timeout(sim, monkeypatch):
    """Each way, whether it trickles from the first line on, in the head or in the body: all at the same time."""
    starts = [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\n\r\n"]
    seconds = {}

    def ends(way, number):
        begun = time.monotonic()
        with pytest.raises((SegmindConnectionError, SegmindAmbiguousSubmitError)):
            asks(f"segmind_{number}")[way]()
        seconds[way, number] = time.monotonic() - begun

    with ExitStack() as servers:
        for number, start in enumerate(starts):
            url = servers.enter_context(hostile(start, *[b"X"] * 1000, every=0.2)).url
            monkeypatch.setenv(f"AIRFLOW_CONN_SEGMIND_{number}", connection_json(sim, host=url, extra={"timeout": 1}))
        threads = [
            Thread(target=ends, args=(way, number)) for way in ("submit", "poll") for number in range(len(starts))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(seconds) == len(threads)
    assert max(seconds.values()) < 30  # ten for the connection, one for the answer, and what a busy machine adds


@pytest.mark.attack("An answer is compressed in a way that was not asked for", "an error that names it")
@WAYS
def test_an_answer_in_a_compression_that_was_not_asked_for_is_named(ask, way):
    with hostile(HEAD.replace(b"gzip", b"br") % 3 + b"abc") as server:
        error, _ = ask(server.url, way)
    assert "compressed as 'br'" in str(error)


def test_a_compressed_answer_is_read(set_connection):
    body = gzip.compress(b'{"credits": 3.5}')
    with hostile(HEAD % len(body) + body) as server:
        assert SegmindHook(set_connection(host=server.url)).get_credits().total == 3.5
