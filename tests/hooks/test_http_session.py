"""A request of a worker ends within its time, wherever its server keeps it waiting."""

from __future__ import annotations

import socket
import time
from contextlib import suppress

import pytest
import requests
from urllib3.exceptions import HTTPError

from airflow_provider_kling.hooks.http_session import WatchedSession
from tests.hostile import hostile

TLS_RECORD = b"\x16\x03\x03\x3f\xff\x02\x00\x3f\xfb\x03\x03"  # 16 KiB of a server's first words, of which few come
OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.attack(
    "A server trickles its TLS handshake, its status line, its headers or its body", "ends at the deadline"
)
@pytest.mark.parametrize(
    ("scheme", "start", "piece"),
    [
        ("https", TLS_RECORD, b"\x00"),
        ("http", b"", b"H"),
        ("http", OK, b"X"),
        ("http", OK, b"X: y\r\n"),
        ("http", b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        ("http", OK + b"Content-Length: 9999\r\n\r\n", b"X"),
        ("http", OK + b"Connection: close\r\n\r\n", b"X"),
        ("http", OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
        ("http", OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"Trailer: x\r\n"),
    ],
)
def test_whatever_trickles_ends_at_the_deadline(scheme, start, piece):
    begun = time.monotonic()
    with hostile(start, *[piece] * 1000, every=0.03) as server, WatchedSession() as session:
        with session.within(0.3) as deadline, suppress(requests.RequestException, HTTPError, OSError):
            session.get(server.url.replace("http", scheme), timeout=5, stream=True).raw.read()
        assert deadline.has_passed
    assert time.monotonic() - begun < 3


def test_the_time_for_a_connection_is_shared_by_all_addresses_of_a_name(monkeypatch):
    """An address that nobody answers at, and fifty times the same: as a hostile name server may tell them."""
    silent = socket.create_server(("127.0.0.1", 0), backlog=0)
    port = silent.getsockname()[1]
    fill = [socket.create_connection(("127.0.0.1", port))]  # its queue is full now: a connection waits
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.{number}", port)) for number in [1] * 2]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    begun = time.monotonic()
    with silent, fill[0], WatchedSession() as session, pytest.raises(requests.RequestException):
        session.get(f"http://many.example:{port}", timeout=(0.5, 0.5))
    assert time.monotonic() - begun < 2
