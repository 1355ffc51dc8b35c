"""The environment's proxies get what is for them, and nobody gets to read their passwords."""

from __future__ import annotations

import asyncio
import base64
import pickle

import pytest

from airflow_provider_kling.hooks.segmind import SegmindHook
from airflow_provider_kling.hooks.segmind_async import SegmindAsyncHook
from airflow_provider_kling.segmind.errors import SegmindError
from tests.hostile import hostile

REQUEST_ID = "2c7f59ea-13f1-402c-9353-915a2b5a2124"
PASSWORD = "hunter-%s-2"
ANSWER = b'HTTP/1.1 200 OK\r\n\r\n{"status": "COMPLETED", "credits": 3.5}'


@pytest.fixture(autouse=True)
def _no_exceptions(monkeypatch):
    for name in ("no_proxy", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


async def read(conn_id):
    async with SegmindAsyncHook(conn_id) as hook:
        return await hook.get_status(REQUEST_ID)


WAYS = pytest.mark.parametrize(
    "way",
    [lambda conn_id: SegmindHook(conn_id).test_connection(), lambda conn_id: asyncio.run(read(conn_id))],
    ids=["worker", "triggerer"],
)


@WAYS
def test_the_environment_names_the_proxy_and_its_exceptions(set_connection, monkeypatch, way):
    conn_id = set_connection(host="http://segmind.invalid", extra={"allow_http": True})
    with hostile(ANSWER) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        assert way(conn_id)
        assert proxy.asked[0].split(b" ")[1].startswith(b"http://segmind.invalid/v")
        monkeypatch.setenv("no_proxy", "segmind.invalid")
        try:
            accepted, _ = way(conn_id)
        except SegmindError:
            accepted = False
    assert not accepted
    assert proxy.connections == 1


@pytest.mark.attack("A proxy of the environment would get the key for a service on this machine", "it is never asked")
@WAYS
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2"])
def test_what_is_on_this_machine_is_reached_without_a_proxy(set_connection, monkeypatch, way, host):
    with hostile(ANSWER) as proxy, hostile(ANSWER, host="127.0.0.2" if host == "127.0.0.2" else "127.0.0.1") as service:
        for name in ("http_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        assert way(set_connection(host=f"http://{host}:{service.port}"))
    assert proxy.connections == 0
    assert service.connections == 1


def quoting(asked):
    """Answer as a proxy that quotes what it was sent."""
    (sent,) = [line for line in asked.split(b"\r\n") if line.lower().startswith(b"proxy-authorization")]
    return b"HTTP/1.1 407 %s\r\nLocation: /%s\r\n\r\n<p>%s, that is %s" % (
        sent,
        sent,
        sent,
        base64.b64decode(sent.split(b" ")[2]),
    )


@pytest.mark.attack("A proxy's address is wrong, or it quotes its password", "*** in the password's place")
@WAYS
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("address", ["http://me:{}@127.0.0.1:{}", "http://me:{}@[::1:{}", "http://me:{}@127.0.0.1:x{}"])
def test_a_proxys_password_is_in_no_error(set_connection, monkeypatch, scheme, address, way, request):
    password = PASSWORD % abs(hash(request.node.name))
    with hostile(quoting) as proxy:
        monkeypatch.setenv(f"{scheme}_proxy", address.format(password, proxy.port))
        conn_id = set_connection(host=f"{scheme}://segmind.invalid", extra={"allow_http": True})
        try:
            told = str(way(conn_id))
        except SegmindError as error:
            told = f"{error} {vars(error)} {pickle.dumps(error)!r}"
    assert password[:12] not in told
    assert base64.b64encode(f"me:{password}".encode()).decode()[4:20] not in told
