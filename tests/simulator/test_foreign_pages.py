"""A page in a browser on this machine that is somebody else's, and machines that can reach it."""

from __future__ import annotations

import base64
import socket

import pytest
import requests

from airflow_provider_kling.simulator.settings import Settings
from tests.simulator.test_command_line import MODULE, done, started

ORDER = {"fault": {"kind": "respond", "status": 500}, "match": {"path": "/none"}}


@pytest.mark.attack(
    "Let a page of another origin order faults, move the clock, change the key", "403, and nothing is changed"
)
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.com"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=lambda headers: " ".join(*headers.items()),
)
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/simulator/faults", ORDER),
        ("DELETE", "/simulator/faults", None),
        ("POST", "/simulator/clock", {"advance": 1e9}),
        ("POST", "/simulator/key", {"api_key": "SG_evil"}),
        ("POST", "/simulator/history", {"own_ids": True}),
    ],
)
def test_a_page_of_another_origin_orders_nothing(client, headers, method, path, body, seen):
    sent = {"Content-Type": "text/plain", **headers}  # which a form can send without being asked
    answer = client.call(method, path, json=body, headers=sent)
    assert answer.status_code == 403
    seen(answer.json()["error"])
    assert client.get("/v1/get-user-credits").status_code == 200


@pytest.mark.parametrize("headers", [{}, {"Sec-Fetch-Site": "none"}, {"Sec-Fetch-Site": "same-origin"}])
def test_a_program_and_a_page_of_its_own_order_faults(client, headers):
    own = {**headers, "Origin": client.simulator.url} if headers else {}
    assert client.post("/simulator/faults", json=ORDER, headers=own).status_code == 200


@pytest.mark.attack("Point a name of one's own at the simulator (DNS rebinding)", "421, whatever is asked for")
@pytest.mark.parametrize("host", ["evil.com", "evil.com:8765", "localhost.evil.com", "127.0.0.1.evil.com"])
@pytest.mark.parametrize("path", ["/", "/simulator/ledger", "/simulator/requests", "/v1/get-user-credits"])
def test_under_a_public_name_nothing_is_told(client, host, path):
    assert client.get(path, headers={"Host": host}).status_code == 421


@pytest.mark.parametrize(
    "host", ["localhost:8765", "127.0.0.1", "[::1]:8765", "simulator:8765", "sim.default.svc.cluster.local"]
)
def test_under_the_names_that_programs_reach_it_by_it_answers(client, host):
    assert client.get("/simulator/health", headers={"Host": host}).status_code == 200


@pytest.mark.attack("Send the simulator half a Host, or none that can be read", "4xx")
@pytest.mark.parametrize("host", ["[::1", "a b", "127.0.0.1:99999", "é"])
def test_a_host_that_cannot_be_read_is_refused(shared, host):
    port = int(shared.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(f"GET /v1/get-user-credits HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 4") or connection.recv(1) == b""


@pytest.mark.attack("Upload a page or a drawing with scripts, and have it opened", "it is bytes, in a sandbox")
@pytest.mark.parametrize(
    ("said", "served"),
    [
        ("text/html", "application/octet-stream"),
        ("image/svg+xml", "application/octet-stream"),
        ("application/javascript", "application/octet-stream"),
        ("image/png\r\nX-Evil: 1", "application/octet-stream"),
        ("image/png; charset=utf-7", "image/png"),
        ("video/mp4", "video/mp4"),
    ],
)
def test_an_upload_is_never_a_page_of_the_simulator(client, said, served):
    coded = base64.b64encode(b"<script>alert(1)</script>").decode()
    (url,) = client.post("/upload-asset", json={"data_urls": [f"data:{said};base64,{coded}"]}).json()["file_urls"]
    answer = requests.get(url, timeout=5)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, served)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"].startswith("sandbox")
    assert "X-Evil" not in answer.headers


@pytest.mark.attack("Ask the simulator for files beside its own", "404")
@pytest.mark.parametrize("path", ["..%2f..%2fetc%2fpasswd", "%2fetc%2fpasswd", "%2e%2e%2f", "a%00.png", "%ff"])
@pytest.mark.parametrize("route", ["/assets/", "/generations/", "/simulator/inputs/"])
def test_no_path_leads_out_of_its_files(client, route, path):
    assert client.get(f"{route}{path}").status_code in {404, 405}


@pytest.mark.attack(
    "Find a simulator on a network, with the key that all know", "it does not start there with that key"
)
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "simulator.example"])  # noqa: S104 nothing is bound
def test_it_is_not_opened_to_others_with_the_usual_key(host, seen):
    with pytest.raises(ValueError, match=f"{host} can be reached by others") as error:
        Settings(host=host)
    seen(error.value)
    assert Settings(host=host, api_key="SG_1111").host == host


def test_the_command_says_so_and_warns_where_it_may_start():
    ended = done(*MODULE, "--port", "0", "--host", "0.0.0.0")  # noqa: S104 it does not come to that
    assert ended.returncode == 2
    assert "--api-key" in ended.stderr
    with started("--host", "0.0.0.0", "--api-key", "SG_1111") as process:  # noqa: S104 that is what is tried
        assert process.stdout.readline().startswith("Segmind simulator at ")
        process.terminate()
        assert "takes no key" in process.communicate(timeout=10)[1]


@pytest.mark.attack("Send the simulator texts, numbers and lists that no form has", "4xx, and it goes on")
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/simulator/clock", '{"advance": NaN}'),
        ("/simulator/clock", '{"advance": 1e999}'),
        ("/simulator/clock", '{"advance": 1e300}'),
        ("/simulator/faults", '{"fault": {"kind": []}}'),
        ("/simulator/faults", '{"fault": {"kind": "respond", "status": "x"}}'),
        ("/simulator/faults", '{"fault": {"kind": "respond", "status": 99999}}'),
        ("/simulator/faults", '{"fault": {"kind": "respond", "headers": [1]}}'),
        ("/simulator/faults", '{"fault": {"kind": "respond", "headers": {"a": "b\\n"}}}'),
        ("/simulator/faults", '{"fault": {"kind": "delay", "seconds": "x"}}'),
        ("/simulator/faults", '{"fault": {"kind": "respond"}, "match": {"path": 7}}'),
        ("/simulator/faults", "[" * 100_000),
        ("/simulator/history", "[" * 100_000),
        ("/simulator/history", '{"row_after": 1e999}'),
        ("/simulator/key", "[" * 100_000),
        ("/v2/kling-o1", "[" * 100_000),
        ("/v2/kling-o1", '{"prompt": ' + "1" * 5000 + "}"),
        ("/upload-asset", "[" * 100_000),
    ],
    ids=lambda text: text[:60],
)
def test_what_cannot_be_read_is_the_fault_of_who_sent_it(client, path, body):
    answer = client.post(path, data=body, headers={"Content-Type": "application/json"})
    assert 400 <= answer.status_code < 500
    assert client.get("/simulator/requests").status_code == 200


@pytest.mark.parametrize("query", ["to_date=0001-01-01", "from_date=9999-12-31", f"page={'9' * 5000}", "status=%ff"])
def test_a_query_of_the_history_that_means_nothing_is_answered(client, query):
    assert client.get(f"/inference-request/request-history?{query}").status_code < 500
