"""Trouble on order, on real sockets; what tells the kinds apart is counted in the ledger."""

from __future__ import annotations

import time

import pytest
import requests

from airflow_provider_kling.simulator import Simulator

PROMPT = {"prompt": "A slow flight over misty hills", "duration": "3"}
MODEL = "kling-o3-text2video"


def accepted(client):
    return client.simulator.ledger()["accepted"]


@pytest.fixture
def jobs_left(client):
    """Count the jobs a test leaves behind."""
    before = accepted(client)
    return lambda: accepted(client) - before


@pytest.mark.parametrize("status", [400, 401, 403, 404, 406, 410, 429, 500, 502, 503, 504])
def test_any_status_can_be_ordered_and_leaves_no_job(client, jobs_left, status):
    reset_at = {"x-rate-limit-reset-at-utc": "2030-01-01T00:00:00Z"}
    client.simulator.order_fault("respond", status=status, body={"error": "on order"}, headers=reset_at)
    answer = client.submit(MODEL, **PROMPT)
    assert answer.status_code == status
    assert answer.json() == {"error": "on order"}
    assert answer.headers["x-rate-limit-reset-at-utc"] == "2030-01-01T00:00:00Z"
    assert jobs_left() == 0
    assert client.submit(MODEL, **PROMPT).status_code == 200


def test_an_ordered_body_can_be_anything(client):
    client.simulator.order_fault("respond", status=502, body="<html>Bad Gateway</html>")
    answer = client.submit(MODEL, **PROMPT)
    assert answer.headers["content-type"] == "text/html"
    assert answer.text == "<html>Bad Gateway</html>"


@pytest.mark.parametrize("kind", ["refuse", "reset_before"])
def test_a_reset_before_acceptance_leaves_no_job(client, jobs_left, kind):
    client.simulator.order_fault(kind)
    # A client cut off in the middle of sending may learn of the reset as a broken pipe.
    with pytest.raises(requests.ConnectionError, match="Connection aborted"):
        client.submit(MODEL, **PROMPT)
    assert jobs_left() == 0
    seen = client.simulator.requests()[-1]
    assert seen["status"] is None
    # Only the latter has read what was sent.
    assert seen["body"] == (None if kind == "refuse" else PROMPT)


def test_a_reset_after_acceptance_leaves_a_job_that_is_billed(start):
    client = start()
    client.simulator.order_fault("reset_after")
    with pytest.raises(requests.ConnectionError, match="reset by peer"):
        client.submit(MODEL, **PROMPT)
    (job,) = client.simulator.ledger()["jobs"]
    client.finished(job["request_id"])
    assert client.simulator.ledger()["billed"] == 0.63


def test_a_held_request_is_never_taken_when_no_time_is_given(client, jobs_left):
    client.simulator.order_fault("hold")
    with pytest.raises(requests.Timeout):
        client.post(f"/v2/{MODEL}", json=PROMPT, timeout=0.2)
    time.sleep(0.1)
    assert jobs_left() == 0


def test_a_request_held_for_a_time_is_taken_even_if_the_client_has_gone(client, jobs_left):
    client.simulator.order_fault("hold", seconds=2)
    with pytest.raises(requests.Timeout):
        client.post(f"/v2/{MODEL}", json=PROMPT, timeout=0.1)
    assert jobs_left() == 0
    deadline = time.monotonic() + 10
    while not jobs_left() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert jobs_left() == 1


def test_an_answer_held_after_acceptance_leaves_a_job(client, jobs_left):
    client.simulator.order_fault("hold_after")
    with pytest.raises(requests.Timeout):
        client.post(f"/v2/{MODEL}", json=PROMPT, timeout=1)
    assert jobs_left() == 1


@pytest.mark.parametrize("kind", ["hold", "hold_after", "delay"])
def test_a_late_answer_is_whole(client, jobs_left, kind):
    client.simulator.order_fault(kind, seconds=0.2)
    begun = time.monotonic()
    assert client.submit(MODEL, **PROMPT).json()["status"] == "QUEUED"
    assert time.monotonic() - begun >= 0.2
    assert jobs_left() == 1


def test_a_truncated_receipt_leaves_a_job(client, jobs_left):
    client.simulator.order_fault("truncate")
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
        client.submit(MODEL, **PROMPT)
    assert jobs_left() == 1


def test_a_download_can_be_truncated(client):
    url = client.run(MODEL, **PROMPT).json()["output"]
    client.simulator.order_fault("truncate", path="/generations/*")
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
        client.get(url)
    assert client.get(url).content[4:8] == b"ftyp"


def test_the_rest_of_a_truncated_download_can_be_asked_for(client):
    url = client.run(MODEL, **PROMPT).json()["output"]
    client.simulator.order_fault("truncate", path="/generations/*")
    with client.get(url, stream=True) as broken:
        half = broken.raw.read(1000)
    rest = client.get(url, headers={"Range": "bytes=1000-", "If-Range": broken.headers["ETag"]})
    whole = client.get(url)
    assert rest.status_code == 206
    assert rest.headers["ETag"] == broken.headers["ETag"] == whole.headers["ETag"]
    assert half + rest.content == whole.content


def test_an_answer_replaced_after_acceptance_leaves_a_job(client, jobs_left):
    client.simulator.order_fault("replace_after", status=504, body={"error": "Request timed out"})
    assert client.submit(MODEL, **PROMPT).status_code == 504
    assert jobs_left() == 1


def test_a_job_can_be_ordered_to_fail(client):
    client.simulator.order_fault("fail_job", error="Blocked by content rules")
    answer = client.run(MODEL, **PROMPT)
    assert answer.status_code == 422
    assert answer.json()["error"] == "Blocked by content rules"
    assert client.run(MODEL, **PROMPT).json()["status"] == "COMPLETED"


def test_an_order_to_fail_a_job_is_not_used_up_by_a_poll(client):
    request_id = client.submit(MODEL, **PROMPT).json()["request_id"]
    client.simulator.order_fault("fail_job")
    client.finished(request_id)
    assert client.run(MODEL, **PROMPT).json()["error"] == "Generation failed"


def test_a_fault_strikes_as_often_as_ordered_and_only_what_it_matches(client):
    client.simulator.order_fault("respond", method="GET", path="/v2/requests/*", model=MODEL, times=2, status=503)
    other = client.submit("kling-3-text2image", prompt="p").json()["request_id"]
    ours = client.submit(MODEL, **PROMPT).json()["request_id"]
    assert client.get(f"/v2/requests/{other}/status").status_code != 503
    polls = [client.get(f"/v2/requests/{ours}/status").status_code for _ in range(3)]
    assert [status == 503 for status in polls] == [True, True, False]


def test_orders_go_through_http_and_can_be_withdrawn(client):
    order = {
        "match": {"method": "GET", "path": "/v1/get-user-credits"},
        "times": 9,
        "fault": {"kind": "respond", "status": 404, "body": {"error": "No credits found for the user"}},
    }
    assert client.post("/simulator/faults", json=order).json() == {"ordered": True}
    assert client.get("/v1/get-user-credits").status_code == 404
    assert client.call("DELETE", "/simulator/faults").json() == {"cleared": True}
    assert client.get("/v1/get-user-credits").status_code == 200


@pytest.mark.parametrize(
    "order",
    [
        [],
        {},
        {"fault": {}},
        {"fault": {"kind": "explode"}},
        {"fault": {"kind": "respond", "colour": "red"}},
        {"fault": {"kind": "respond"}, "times": 0},
        {"fault": {"kind": "respond"}, "match": {"slug": "kling-2"}},
        {"fault": {"kind": "respond"}, "match": "kling-2"},
    ],
)
def test_an_order_that_means_nothing_is_refused(client, order):
    answer = client.post("/simulator/faults", json=order)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_a_simulator_stops_although_requests_are_held():
    with Simulator(time_scale=1000, height=72) as simulator:
        simulator.order_fault("hold", path="/v1/get-user-credits")
        with pytest.raises(requests.Timeout):
            requests.get(f"{simulator.url}/v1/get-user-credits", timeout=0.1)
        begun = time.monotonic()
    assert time.monotonic() - begun < 10
    assert simulator.ledger()["accepted"] == 0


def test_a_simulator_stops_although_jobs_are_about_to_fetch_their_inputs_from_it():
    begun = time.monotonic()
    for _ in range(20):
        with Simulator(time_scale=1000, height=72) as simulator:
            robot = f"{simulator.url}/simulator/inputs/robot.png"
            inputs = {"prompt": "@Image1", "image_urls": [robot]}
            headers = {"x-api-key": simulator.api_key}
            assert requests.post(f"{simulator.url}/v2/kling-o1", json=inputs, headers=headers, timeout=10).ok
    assert time.monotonic() - begun < 25
