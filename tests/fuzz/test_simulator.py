"""Whatever is sent to the simulator, it answers, and never with an error of its own."""

from __future__ import annotations

import functools
import http.client
from urllib.parse import urlsplit

from hypothesis import strategies as st

from airflow_provider_kling.simulator import Simulator
from tests.fuzz.harness import RUNNING, fuzz
from tests.fuzz.strategies import ID, LINK, any_text, bodies, encoded, nearly
from tests.fuzz.test_payloads import WORKING

ROUTES = [
    *["/v2/kling-o1", "/v2/kling-3-text2image", "/v2/kling-nothing", f"/v2/requests/{ID}", f"/v2/requests/{ID}/status"],
    *[f"/v1/requests/{ID}", "/v1/get-user-credits", "/upload-asset", "/inference-request/request-history"],
    *[f"/inference-request/request-history/{ID}", "/inference-request/generations", "/generations/a.mp4"],
    *["/inference-model-information/list", "/assets/a.png", "/simulator/inputs/robot.png", "/simulator/inputs/..", "/"],
    *["/simulator/faults", "/simulator/history", "/simulator/clock", "/simulator/ledger", "/simulator/requests"],
]
QUERIES = [
    "from_date=0001-01-01",
    "to_date=9999-12-31",
    "page=-1",
    "per_page=x",
    "page=" + "9" * 5000,
    "sort_by=%00",
    "%ff",
]
paths = st.one_of(
    st.sampled_from(ROUTES),
    st.builds("{}?{}".format, st.sampled_from(ROUTES), st.lists(st.sampled_from(QUERIES), max_size=3).map("&".join)),
    st.builds(
        "{}/{}".format, st.sampled_from(ROUTES), st.sampled_from(["..%2f..%2fetc%2fpasswd", "%00", "%ff", "a" * 3000])
    ),
)
FAULT = {"match": {"method": "PUT", "path": "/none"}, "times": 1, "fault": {"kind": "respond", "status": 500}}
#: What some routes take.
TAKEN = [
    ("/v2/kling-o1", WORKING),
    ("/v1/kling-3-text2image", WORKING),
    ("/upload-asset", {"data_urls": ["data:image/png;base64,aGk=", "data:text/html;base64,aGk="]}),
    ("/simulator/clock", {"advance": 0}),
    ("/simulator/history", {"row_after": 1, "order": "as_asked"}),
    ("/simulator/faults", FAULT),
]
METHODS = ["GET", "POST", "DELETE", "PUT", "HEAD", "OPTIONS"]
asked = st.one_of(
    st.tuples(st.sampled_from(METHODS), paths, bodies(*[document for _, document in TAKEN])),
    st.sampled_from(TAKEN).flatmap(lambda taken: st.tuples(st.just("POST"), st.just(taken[0]), bodies(taken[1]))),
)


@functools.cache
def simulator():
    return RUNNING.enter_context(Simulator(time_scale=20_000, requests_per_minute=0, height=72, credits=0))


def answered(method, path, body, headers):
    """Return the status of an answer."""
    where = urlsplit(simulator().url)
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=20)
    try:
        connection.request(method, path, body=body, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


header_texts = any_text.map(lambda text: "".join(sign for sign in text if sign.isprintable() and ord(sign) < 256))


@fuzz(
    request=asked,
    key=st.sampled_from(["SG_0000000000000000", "SG_0000000000000000", "SG_wrong"]),
    kind=st.one_of(st.just("application/json"), st.just("application/json"), header_texts),
    host=st.one_of(
        st.none(), st.none(), st.sampled_from(["localhost", "evil.com", "[::1", "127.0.0.1:9", "a b"]), header_texts
    ),
)
def test_a_request(request, key, kind, host):
    method, path, body = request
    sent = {"x-api-key": key, "Content-Type": kind, **({} if host is None else {"Host": host})}
    assert 200 <= answered(method, path, body, sent) < 500
    simulator().clear_faults()
    simulator().change_history()


@fuzz(order=nearly(FAULT))
def test_an_order_of_a_fault(order):
    sent = {"x-api-key": "SG_0000000000000000", "Content-Type": "application/json"}
    status = answered("POST", "/simulator/faults", encoded(order), sent)
    assert status in {200, 400}
    if status == 200:  # then it strikes as ordered, which is no error of the simulator's
        assert answered("GET", "/simulator/requests", None, sent) == 200
    simulator().clear_faults()


@fuzz(url=st.one_of(any_text, st.just(LINK)))
def test_an_upload(url):
    sent = {"x-api-key": "SG_0000000000000000", "Content-Type": "application/json"}
    before = len(simulator().uploads())
    for data in (url, f"data:{url};base64,aGk="):
        assert answered("POST", "/upload-asset", encoded({"data_urls": [data]}), sent) in {200, 400}
    for upload in simulator().uploads()[before:]:
        assert answered("GET", urlsplit(upload["url"]).path, None, {}) == 200
