"""Uploads, history, the model list, and the simulator's own pages."""

from __future__ import annotations

import ast
import base64
import hashlib
from datetime import UTC, datetime, timedelta

import pytest

PROMPT = {"prompt": "It's a slow flight", "duration": "3"}
MODEL = "kling-o3-text2video"
HISTORY = "/inference-request/request-history"


def day(offset=0):
    return (datetime.now(UTC) + timedelta(days=offset)).date().isoformat()


def test_an_upload_gets_a_public_url(client):
    picture = client.get("/simulator/inputs/beach.png").content
    data_url = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
    answer = client.post("/upload-asset", json={"data_urls": [data_url, data_url]}).json()
    assert len(answer["file_urls"]) == 2
    assert answer["message"]
    fetched = client.get(answer["file_urls"][0], headers={"x-api-key": None})
    assert fetched.headers["content-type"] == "image/png"
    assert fetched.content == picture
    uploads = client.get("/simulator/uploads").json()["uploads"]
    uploads = [upload for upload in uploads if upload["url"] in answer["file_urls"]]  # others are of other tests
    assert [upload["url"] for upload in uploads] == answer["file_urls"]
    assert {upload["sha256"] for upload in uploads} == {hashlib.sha256(picture).hexdigest()}
    assert {upload["size"] for upload in uploads} == {len(picture)}


def test_an_upload_can_be_answered_in_the_other_published_style(start):
    answer = start(upload_key="urls").post("/upload-asset", json={"data_urls": ["data:text/plain;base64,aGk="]})
    assert answer.json()["urls"][0].rpartition(".")[2] == "txt"


@pytest.mark.parametrize("body", [{}, [], {"data_urls": "x"}, {"data_urls": ["http://x"]}, {"data_urls": [1]}])
def test_an_upload_of_something_else_is_a_400(client, body):
    assert client.post("/upload-asset", json=body).status_code == 400


def test_uploads_and_history_need_the_key(client):
    for method, path in (("POST", "/upload-asset"), ("GET", HISTORY), ("GET", "/inference-request/generations")):
        assert client.call(method, path, headers={"x-api-key": None}).status_code == 401


def test_a_history_row_tells_what_was_sent_made_and_charged(start):
    client = start()
    body = client.run(MODEL, **PROMPT).json()
    (row,) = client.get(HISTORY).json()["data"]
    assert row["request_id"] == body["request_id"].replace("-", "")
    assert row["model_name"] == MODEL
    assert row["model_status"] == "COMPLETED"
    assert row["credits_deduction"] == 0.63
    assert ast.literal_eval(row["request_body"]) == PROMPT
    assert row["generation_url"] == body["output"]
    assert row["latency_ms"] == round(body["metrics"]["total_time"] * 1000)
    assert row["error"] is None
    made = datetime.fromisoformat(row["model_created"])
    assert abs((datetime.now(UTC) - made).total_seconds()) < 60
    for request_id in (row["request_id"], body["request_id"]):
        assert client.get(f"{HISTORY}/{request_id}").json() == row


def test_history_has_failed_and_running_requests_as_well(start):
    client = start(time_scale=1)
    client.submit(MODEL, **PROMPT)
    client.simulator.order_fault("fail_job", error="Blocked")
    failed = client.submit(MODEL, **PROMPT).json()["request_id"]
    client.simulator.advance(3)
    client.finished(failed)
    rows = client.get(HISTORY).json()["data"]
    assert [(row["model_status"], row["error"], row["latency_ms"] is None) for row in rows] == [
        ("FAILED", "Blocked", False),
        ("PENDING", None, True),
    ]
    assert [row["model_status"] for row in client.get(HISTORY, params={"status": "PENDING"}).json()["data"]] == [
        "PENDING"
    ]


def test_a_row_can_be_ordered_to_appear_late(start):
    client = start()
    client.simulator.order_fault("late_row", row_after=300)
    request_id = client.submit(MODEL, **PROMPT).json()["request_id"]
    client.simulator.order_fault("replace_after", status=502, body="", row_after=300)
    assert client.submit(MODEL, **PROMPT).status_code == 502
    client.simulator.advance(299)
    assert client.get(HISTORY).json()["data"] == []
    assert client.get(f"{HISTORY}/{request_id}").status_code == 404
    client.simulator.advance(1)
    assert len(client.get(HISTORY).json()["data"]) == 2
    assert client.get(f"{HISTORY}/{request_id}").status_code == 200


def test_history_is_filtered_sorted_and_paged(start):
    client = start(time_scale=1)
    for model in (MODEL, "kling-3-text2image", MODEL):
        client.submit(model, prompt="p")

    def models(**params):
        return [row["model_name"] for row in client.get(HISTORY, params=params).json()["data"]]

    assert models(model_name="text2im") == ["kling-3-text2image"]
    assert models(sort_by="model_name", sort_order="asc") == ["kling-3-text2image", MODEL, MODEL]
    assert models(per_page=2) == [MODEL, "kling-3-text2image"]
    assert models(per_page=2, page=2) == [MODEL]
    assert models(per_page=2, page=3) == []
    assert len(models(from_date=day(), to_date=day())) == 3
    assert models(from_date=day(-3), to_date=day(-1)) == []


def test_history_goes_back_a_week_unless_asked_further(start):
    client = start()
    client.submit("kling-3-text2image", prompt="p")
    client.simulator.advance(8 * 24 * 3600)
    assert client.get(HISTORY).json()["data"] == []
    assert len(client.get(HISTORY, params={"from_date": day(-1), "to_date": day(8)}).json()["data"]) == 1


@pytest.mark.parametrize(
    "params",
    [
        {"per_page": 101},
        {"per_page": 0},
        {"page": "one"},
        {"from_date": day(-32), "to_date": day()},
        {"from_date": day(), "to_date": day(-1)},
        {"from_date": "yesterday"},
        {"sort_by": "colour"},
    ],
)
def test_history_refuses_what_it_cannot_answer(client, params):
    assert client.get(HISTORY, params=params).status_code == 400


def test_an_unknown_request_has_no_history(client):
    assert client.get(f"{HISTORY}/5708ee2c54894941661597cd38eb68af").status_code == 404
    assert client.get(f"{HISTORY}/..%2Fsecrets").status_code == 404


def test_generations_list_what_was_made_only(start):
    client = start()
    body = client.run(MODEL, **PROMPT).json()
    client.run("kling-o1", prompt="p", image_urls=[])
    for path, params in (("generations", {}), ("recent-generations", {"model_name": MODEL})):
        (row,) = client.get(f"/inference-request/{path}", params=params).json()["data"]
        assert row["generation_url"] == body["output"]
        assert row["parameters"] == PROMPT
        assert row["status"] == "COMPLETED"


def test_the_model_list_is_open_to_anyone(client):
    listed = client.get("/inference-model-information/list", headers={"x-api-key": None}).json()
    rows = {row["slug"]: row for row in listed["Inference Segmind Model Information List With Details"]}
    assert len(rows) == 38
    schema = rows[MODEL]["parameters_schema"]
    assert rows[MODEL]["is_depreciated"] is False
    assert schema["required"] == ["prompt"]
    assert schema["properties"]["mode"] == {"type": "string", "default": "pro", "enum": ["std", "pro"]}


def test_the_journal_tells_what_was_sent_but_not_the_key(start):
    client = start()
    client.submit(MODEL, **PROMPT)
    client.get("/v1/get-user-credits", params={"a": "b"}, headers={"x-api-key": "SG_ffffffffffffffff"})
    client.get("/v1/get-user-credits", headers={"x-api-key": None})
    submitted, wrong, absent = client.simulator.requests()
    assert (submitted["method"], submitted["path"], submitted["body"]) == ("POST", f"/v2/{MODEL}", PROMPT)
    assert submitted["headers"]["content-type"] == "application/json"
    assert (wrong["query"], wrong["status"]) == ({"a": "b"}, 401)
    assert [entry["key"] for entry in (submitted, wrong, absent)] == ["valid", "wrong", "absent"]
    assert client.simulator.api_key not in str(client.simulator.requests())
    assert "SG_ffffffffffffffff" not in str(client.simulator.requests())


def test_downloads_are_noted_apart_from_calls(start):
    client = start()
    url = client.run(MODEL, **PROMPT).json()["output"]
    calls = len(client.simulator.requests())
    client.get(url, headers={"x-api-key": None})
    (download,) = client.simulator.downloads()
    assert (download["path"], download["key"]) == (url.removeprefix(client.simulator.url), "absent")
    assert len(client.simulator.requests()) == calls


def test_the_ledger_is_the_same_over_http(start):
    client = start()
    client.run(MODEL, **PROMPT)
    assert client.get("/simulator/ledger").json() == client.simulator.ledger()
    (job,) = client.simulator.ledger()["jobs"]
    assert (job["model"], job["status"], job["cost_reserved"], job["cost_billed"]) == (MODEL, "COMPLETED", 0, 0.63)
    assert job["submitted_at"] < job["finished_at"]
    assert len(client.get("/simulator/requests").json()["requests"]) == len(client.simulator.requests())


def test_the_clock_moves_over_http_and_not_backwards(start):
    client = start()
    body = client.run("kling-3-text2image", prompt="p").json()
    assert client.post("/simulator/clock", json={"advance": 3600}).status_code == 200
    assert client.get(f"/v2/requests/{body['request_id']}").status_code == 404
    for order in ({"advance": -1}, {"advance": "soon"}, {}, []):
        assert client.post("/simulator/clock", json=order).status_code == 400


def test_a_rotated_key_is_the_same_account_and_the_old_one_is_refused(start):
    client = start()
    body = client.run(MODEL, **PROMPT).json()
    assert client.post("/simulator/key", json={"api_key": "SG_1111"}).status_code == 200
    status = f"/v2/requests/{body['request_id']}/status"
    assert client.get(status).status_code == 401
    assert client.get(status, headers={"x-api-key": "SG_1111"}).status_code == 200
    assert client.post("/simulator/key", json=["SG_1111"]).status_code == 400
    client.simulator.rotate_key("SG_2222")
    assert client.get(status, headers={"x-api-key": client.simulator.api_key}).status_code == 200


def test_the_home_page_shows_a_person_what_was_made(start):
    client = start()
    body = client.run("kling-3-text2image", prompt="<b>bold</b> & plain").json()
    page = client.get("/", headers={"x-api-key": None}).text
    assert body["output"] in page
    assert "&lt;b&gt;bold&lt;/b&gt; &amp; plain" in page
    assert client.get("/simulator/health").json() == {"ok": True, "time_scale": 20_000}


def test_an_unknown_route_is_a_json_404(client):
    answer = client.get("/v3/anything")
    assert answer.status_code == 404
    assert "error" in answer.json()
