"""Whatever Segmind or a gateway quotes of what it was sent, no error, log line, pickle or repr holds the key."""

from __future__ import annotations

import asyncio
import base64
import copy
import json
import logging
import pickle

import pytest

from airflow_provider_kling.hooks.segmind import SegmindHook
from airflow_provider_kling.hooks.segmind_async import SegmindAsyncHook
from airflow_provider_kling.segmind.errors import SegmindError
from tests.conftest import AIRFLOW_3
from tests.hostile import hostile

KEY = "SG_5f2b9c0d7e1a4f36"
IN_BASE64 = base64.b64encode(f"x-api-key: {KEY}".encode())
ESCAPED = "".join(f"\\u{ord(char):04x}" for char in KEY).encode()
REQUEST_ID = "2c7f59ea-13f1-402c-9353-915a2b5a2124"

ANSWERS = {
    "status line": b"HTTP/1.1 401 bad key %(key)s\r\n\r\n{}",
    "bad status line": b"HTTP/one %(key)s\r\n\r\n",
    "bad status": b"HTTP/1.1 %(key)s oh\r\n\r\n",
    "location": b"HTTP/1.1 301 Moved\r\nLocation: https://e.example/%(key)s?k=%(base64)s\r\nContent-Length: 0\r\n\r\n",
    "cut location": b"HTTP/1.1 301 Moved\r\nLocation: /" + b"x" * 189 + b"%(key)s\r\nContent-Length: 0\r\n\r\n",
    "header": b"HTTP/1.1 200 OK\r\n%(key)s\r\nContent-Length: two\r\n\r\n",
    "cookie": b"HTTP/1.1 200 OK\r\nSet-Cookie: [%(key)s,]=1; Expires=%(key)s; Domain=%(key)s\r\n\r\n",
    "encoding": b"HTTP/1.1 200 OK\r\nContent-Encoding: %(key)s\r\n\r\nx",
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: %(key)s\r\n\r\nx",
    "chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%(key)s\r\nx\r\n0\r\n\r\n",
    "text": b"HTTP/1.1 502 Bad\r\n\r\n<p>%(key)s %(base64)s",
    "escapes": b'HTTP/1.1 401 No\r\n\r\n{"error": "%(escaped)s"}',
    "base64": b'HTTP/1.1 400 No\r\n\r\n{"error": "%(base64)s"}',
    "name": b'HTTP/1.1 200 OK\r\n\r\n{"%(key)s": 1, "credits": "%(key)s", "status": "%(escaped)s"}',
    "cut text": b'HTTP/1.1 404 No\r\n\r\n{"error": "' + b"x" * 290 + b'%(key)s"}',
    "failed": b'HTTP/1.1 422 No\r\n\r\n{"status": "FAILED", "error": "%(escaped)s", "metrics": {"%(key)s": "%(key)s"}}',
    "no utf-8": b"HTTP/1.1 500 No\r\n\r\n\xff\xfe%(key)s",
}


def parts_of_the_key():
    """Return what must not be found: halves of the key, and of what base64 makes of it."""
    return [KEY[:9], KEY[9:], IN_BASE64.decode()[18:28], KEY[:9].lower()]


async def read(conn_id):
    async with SegmindAsyncHook(conn_id) as hook:
        return await hook.get_status(REQUEST_ID)


WAYS = {
    "submit": lambda conn_id: SegmindHook(conn_id).submit("kling-o1", {"prompt": "a"}),
    "upload": lambda conn_id: SegmindHook(conn_id)._send(_upload(), attempts=1),
    "test": lambda conn_id: _raise(*SegmindHook(conn_id).test_connection()),
    "trigger": lambda conn_id: asyncio.run(read(conn_id)),
}


def _upload():
    from airflow_provider_kling.segmind import protocol

    return protocol.upload(["data:image/png;base64,AAAA"])


def _raise(_, words):
    raise SegmindError(words)


@pytest.mark.attack(
    "Segmind or a gateway quotes the key: anywhere in its answer, escaped or in base64", "*** in its place"
)
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_a_key_that_is_quoted_is_in_no_error_and_no_log(set_connection, caplog, capfd, answer, way):
    caplog.set_level(logging.DEBUG)
    whole = answer % {b"key": KEY.encode(), b"base64": IN_BASE64, b"escaped": ESCAPED}
    with hostile(whole) as server:
        conn_id = set_connection(host=server.url, password=f" {KEY}\n")
        told = ""
        try:
            told = str(way(conn_id))
        except SegmindError as error:
            told = f"{error} {error!r} {vars(error)} {json.dumps(error.to_dict())} {pickle.dumps(error)!r}"
    assert KEY in server.asked[0].decode()
    everything = told + caplog.text + "".join(capfd.readouterr())
    assert told
    assert not [part for part in parts_of_the_key() if part in everything]


def test_no_hook_and_no_copy_of_one_holds_the_key(sim, conn_id):
    hook = SegmindHook(conn_id)
    hook.get_credits()
    again = pickle.loads(pickle.dumps(hook))  # noqa: S301 is its own
    assert sim.api_key.encode() not in pickle.dumps(hook)
    assert sim.api_key not in f"{hook!r} {vars(again)} {hook.settings!r} {hook.get_conn()!r}"
    assert "settings" not in vars(copy.deepcopy(hook))
    assert again.get_credits().total == hook.get_credits().total


def redacted(text):
    if AIRFLOW_3:
        from airflow.sdk.log import redact
    else:
        from airflow.utils.log.secrets_masker import redact
    return redact(text)


@pytest.mark.attack(
    "Another library logs the key, or base64 of it", "Airflow's masker knows it, in worker and triggerer"
)
@pytest.mark.parametrize("way", ["worker", "triggerer"])
def test_airflows_masker_knows_the_key_in_each_process_that_reads_it(sim, set_connection, way, seen):
    key = f"SG_of_the_{way}"
    text = f"key {key}, {base64.b64encode(f'x-api-key: {key}'.encode()).decode()}"
    assert redacted(text) == text
    conn_id = set_connection(password=f" {key}\n")
    with pytest.raises(SegmindError):
        SegmindHook(conn_id).get_credits() if way == "worker" else asyncio.run(read(conn_id))
    seen(redacted(text))
    assert redacted(text).count("***") == 2
    assert key not in redacted(text)
