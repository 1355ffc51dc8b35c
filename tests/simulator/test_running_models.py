"""Submitting, polling, fetching and expiring, over a real socket."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import pytest

PROMPT = {"prompt": "A slow flight over misty hills"}
TEXT_TO_VIDEO = "kling-o3-text2video"


def test_a_submission_is_answered_with_a_queued_receipt(client):
    answer = client.submit(TEXT_TO_VIDEO, **PROMPT)
    receipt = answer.json()
    base = client.simulator.url
    assert answer.status_code == 200
    assert uuid.UUID(receipt["request_id"]).version == 4
    assert receipt == {
        "request_id": receipt["request_id"],
        "status": "QUEUED",
        "poll_url": f"{base}/v1/requests/{receipt['request_id']}",
        "status_url": f"{base}/v2/requests/{receipt['request_id']}/status",
        "response_url": f"{base}/v2/requests/{receipt['request_id']}",
    }


def test_a_job_in_progress_has_a_status_and_no_output(start):
    client = start(time_scale=1)
    request_id = client.submit(TEXT_TO_VIDEO, **PROMPT).json()["request_id"]
    for path in (f"/v2/requests/{request_id}/status", f"/v2/requests/{request_id}", f"/v1/requests/{request_id}"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert answer.json()["status"] in ("QUEUED", "PROCESSING")
        assert answer.json()["metrics"] == {}
        assert "output" not in answer.json()


def test_a_job_passes_through_every_state(start):
    client = start(time_scale=1)
    request_id = client.submit(TEXT_TO_VIDEO, **PROMPT).json()["request_id"]

    def state():
        return client.get(f"/v2/requests/{request_id}/status").json()["status"]

    seen = [state()]
    client.simulator.advance(5)
    seen.append(state())
    client.simulator.advance(300)
    seen.append(client.finished(request_id).json()["status"])
    assert seen == ["QUEUED", "PROCESSING", "COMPLETED"]


def test_a_film_comes_as_a_bare_url_and_as_an_object(client):
    body = client.run(TEXT_TO_VIDEO, duration="3", **PROMPT).json()
    size = len(client.get(body["output"]).content)
    assert body["status"] == "COMPLETED"
    assert body["error"] is None
    assert body["video"] == {
        "url": body["output"],
        "content_type": "video/mp4",
        "file_name": body["output"].rpartition("/")[2],
        "file_size": str(size),
    }
    metrics = body["metrics"]
    assert set(metrics) == {"cost", "remaining_credits", "inference_time", "queue_time", "total_time"}
    assert metrics["cost"] == 0.63
    # Not what passed on this machine: what would have passed there.
    assert 80 < metrics["inference_time"] < 100
    assert metrics["total_time"] == pytest.approx(metrics["inference_time"] + metrics["queue_time"], abs=0.002)


def test_a_picture_comes_with_its_seed_as_a_string(client):
    body = client.run("kling-3-text2image", **PROMPT).json()
    assert body["images"] == [{"url": body["output"], "content_type": "image/png"}]
    assert body["seed"].isdigit()
    assert "video" not in body


def test_a_voice_has_an_output_and_no_file(client):
    body = client.run("kling-create-voice").json()
    assert body["output"].startswith("voice_")


def test_a_failed_job_is_a_422_on_every_url_and_costs_nothing(client):
    request_id = client.submit("kling-o1", image_urls=[], **PROMPT).json()["request_id"]
    client.finished(request_id)
    for path in (f"/v2/requests/{request_id}/status", f"/v2/requests/{request_id}", f"/v1/requests/{request_id}"):
        answer = client.get(path)
        body = answer.json()
        assert answer.status_code == 422
        assert body["status"] == "FAILED"
        assert body["error"] == "image_urls is mandatory and must not be empty"
        assert body["request_id"] == request_id
        assert set(body["metrics"]) == {"inference_time", "queue_time", "total_time"}


def test_a_record_expires_an_hour_after_submission_and_the_file_a_week_after(start):
    client = start()
    body = client.run("kling-3-text2image", **PROMPT).json()
    client.simulator.advance(3600)
    for path in ("/v2/requests/{}/status", "/v2/requests/{}", "/v1/requests/{}"):
        answer = client.get(path.format(body["request_id"]))
        assert answer.status_code == 404
        assert answer.json() == {"error": f"Request {body['request_id']} not found"}
    assert client.get(body["output"]).status_code == 200
    client.simulator.advance(7 * 24 * 3600)
    assert client.get(body["output"]).status_code == 404
    row = client.get(f"/inference-request/request-history/{body['request_id']}").json()
    assert row["generation_url"] == body["output"]


def test_an_unknown_request_is_not_found(client):
    answer = client.get(f"/v2/requests/{uuid.UUID(int=0)}/status")
    assert answer.status_code == 404
    assert answer.json() == {"error": "Request 00000000-0000-0000-0000-000000000000 not found"}


def test_the_blocking_call_answers_with_the_bytes_and_says_the_rest_in_headers(client):
    answer = client.post(f"/v1/{TEXT_TO_VIDEO}", json=PROMPT)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.content[4:8] == b"ftyp"
    assert answer.headers["x-cost"] == "1.4"
    assert float(answer.headers["x-remaining-credits"]) > 0
    assert uuid.UUID(answer.headers["x-request-id"])
    assert float(answer.headers["x-generation-time"]) > 80
    assert answer.headers["x-seed-value"].isdigit()
    assert datetime.fromisoformat(answer.headers["x-rate-limit-reset-at-utc"]).tzinfo == UTC


def test_the_blocking_call_answers_with_json_to_a_client_that_asks_for_it(client):
    answer = client.post(f"/v1/{TEXT_TO_VIDEO}", json=PROMPT, headers={"Accept": "application/json"})
    assert answer.json()["video"]["content_type"] == "video/mp4"


def test_a_failed_blocking_call_is_a_500(client):
    answer = client.post("/v1/kling-o1", json={"image_urls": [], **PROMPT})
    assert answer.status_code == 500
    assert answer.json() == {"error": "image_urls is mandatory and must not be empty"}


def test_no_key_and_a_wrong_key_are_told_apart(client):
    for headers, text in (
        ({"x-api-key": None}, "Missing Authorization or x-api-key in header"),
        ({"x-api-key": "SG_ffffffffffffffff"}, "Unauthorized. API key is invalid or may have expired..."),
        (
            {"x-api-key": None, "Authorization": f"Bearer {client.simulator.api_key}"},
            "Unauthorized. API key is invalid or may have expired...",
        ),
    ):
        answer = client.post(f"/v2/{TEXT_TO_VIDEO}", json=PROMPT, headers=headers)
        assert answer.status_code == 401
        assert answer.json() == {"error": text}


def test_an_unknown_model_is_not_found(client):
    answer = client.submit("kling-9", **PROMPT)
    assert answer.status_code == 404
    assert "error" in answer.json()


def test_a_retired_model_is_gone(start):
    client = start(retired=["kling-2"])
    assert client.submit("kling-2", **PROMPT).status_code == 410
    assert client.submit("kling-2.6", **PROMPT).status_code == 200


def test_a_wrong_verb_is_answered_in_html(client):
    answer = client.get(f"/v2/{TEXT_TO_VIDEO}")
    assert answer.status_code == 405
    assert answer.headers["content-type"].startswith("text/html")
    assert "<html>" in answer.text


@pytest.mark.parametrize("content_type", [None, "text/plain"])
def test_a_body_that_is_not_called_json_is_refused(client, content_type):
    answer = client.post(f"/v2/{TEXT_TO_VIDEO}", data=b'{"prompt": "p"}', headers={"Content-Type": content_type})
    assert answer.status_code == 406
    assert answer.json() == {"error": "Invalid content type"}


@pytest.mark.parametrize("body", [b'{"prompt": ', b"[]", b'"prompt"', b"{}", b'{"prompt": null}', b"\xff"])
def test_a_body_that_is_no_request_is_a_400(client, body):
    accepted = client.simulator.ledger()["accepted"]
    answer = client.post(f"/v2/{TEXT_TO_VIDEO}", data=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert "error" in answer.json()
    assert client.simulator.ledger()["accepted"] == accepted


def test_a_value_outside_a_fixed_set_is_refused_before_the_run(client):
    accepted = client.simulator.ledger()["accepted"]
    answer = client.submit(TEXT_TO_VIDEO, mode="ultra", **PROMPT)
    assert answer.status_code == 406
    assert "mode" in answer.json()["error"]
    assert "std, pro" in answer.json()["error"]
    assert client.simulator.ledger()["accepted"] == accepted


def test_a_call_the_balance_does_not_cover_is_refused(start):
    client = start(credits=1)
    answer = client.submit(TEXT_TO_VIDEO, **PROMPT)
    assert answer.status_code == 406
    assert answer.json() == {"error": "Insufficient credits. Available balance: 1.0000, required: 1.4000"}


def test_credits_are_reserved_while_a_job_runs_and_spent_when_it_completes(start):
    client = start(time_scale=1, credits=5)
    request_id = client.submit(TEXT_TO_VIDEO, **PROMPT).json()["request_id"]
    running = client.simulator.ledger()
    assert (running["billed"], running["reserved"]) == (0, 1.4)
    assert client.get("/v1/get-user-credits").json() == {"credits": 3.6, "free-credits": 0.0}
    client.simulator.advance(300)
    client.finished(request_id)
    done = client.simulator.ledger()
    assert (done["billed"], done["reserved"], done["remaining_credits"]) == (1.4, 0, 3.6)


def test_credits_of_a_failed_job_come_back(start):
    client = start(credits=5)
    client.simulator.order_fault("fail_job", error="Blocked by content rules")
    assert client.run(TEXT_TO_VIDEO, **PROMPT).json()["error"] == "Blocked by content rules"
    ledger = client.simulator.ledger()
    assert (ledger["billed"], ledger["reserved"], ledger["remaining_credits"]) == (0, 0, 5)


def test_polls_count_against_the_rate_limit_and_the_answer_says_when_it_ends(start):
    client = start(requests_per_minute=3)
    request_id = client.submit(TEXT_TO_VIDEO, **PROMPT).json()["request_id"]
    poll = f"/v2/requests/{request_id}/status"
    assert client.get(poll).status_code != 429
    assert client.get("/v1/get-user-credits").status_code == 200
    limited = client.get(poll)
    assert limited.status_code == 429
    assert limited.json() == {"error": "rate_limit_exceeded"}
    reset_at = datetime.fromisoformat(limited.headers["x-rate-limit-reset-at-utc"])
    assert 50 < (reset_at - datetime.now(UTC)).total_seconds() <= 60
    client.simulator.advance(60)
    assert client.get(poll).status_code != 429


def test_public_files_and_the_model_list_are_not_limited(start):
    client = start(requests_per_minute=1)
    assert client.get("/v1/get-user-credits").status_code == 200
    assert client.get("/inference-model-information/list").status_code == 200
    assert client.get("/simulator/inputs/robot.png").status_code == 200
    assert client.get("/v1/get-user-credits").status_code == 429
