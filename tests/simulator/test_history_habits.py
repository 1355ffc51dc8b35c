"""A history that behaves otherwise than this project assumes, on order."""

from __future__ import annotations

import ast
import time
import uuid
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest
import requests

from airflow_provider_kling.simulator.settings import DEFAULT_API_KEY
from tests.simulator.test_command_line import MODULE, done, started

HISTORY = "/inference-request/request-history"
MODEL = "kling-3-text2image"


def rows(client, **query):
    answer = client.get(HISTORY, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def made(client, count=1, **inputs):
    return [client.submit(MODEL, **{"prompt": f"p{number}", **inputs}).json()["request_id"] for number in range(count)]


def test_rows_come_late(start):
    client = start(history={"row_after": 900})
    (request_id,) = made(client)
    assert rows(client) == []
    assert client.get(f"{HISTORY}/{request_id}").status_code == 404
    client.simulator.advance(901)
    assert len(rows(client)) == 1


@pytest.mark.parametrize(
    ("order", "seen"), [("as_asked", "2 1 0"), ("oldest_first", "0 1 2"), ("mixed_pages", "1 0 2")]
)
def test_rows_come_in_another_order(start, order, seen):
    client = start(history={"order": order})
    ids = [request_id.replace("-", "") for request_id in made(client, 3)]
    found = [row["request_id"] for page in (1, 2) for row in rows(client, page=page, per_page=2)]
    assert " ".join(str(ids.index(request_id)) for request_id in found) == seen


def test_a_span_stops_before_its_last_day(start):
    client = start(history={"includes_last_day": False})
    made(client)
    today = datetime.now(tz=UTC).date()
    span = {"from_date": today.isoformat()}
    assert rows(client, **span, to_date=today.isoformat()) == []
    assert len(rows(client, **span, to_date=(today + timedelta(days=1)).isoformat())) == 1


def test_days_are_those_of_another_zone(start):
    client = start(history={"day_zone": 1440})
    made(client)
    today = datetime.now(tz=UTC).date()
    for day, count in ((today, 0), (today + timedelta(days=1), 1)):
        assert len(rows(client, from_date=day.isoformat(), to_date=day.isoformat())) == count


def test_rows_are_stamped_in_a_local_time_that_names_no_zone(start):
    client = start(history={"stamp_zone": 330})
    made(client)
    stamp = datetime.fromisoformat(rows(client)[0]["model_created"])
    assert stamp.tzinfo is None
    ahead = stamp.replace(tzinfo=UTC) - datetime.now(tz=UTC)
    assert ahead.total_seconds() == pytest.approx(5.5 * 3600, abs=30)


def test_rows_have_ids_of_their_own(start):
    client = start(history={"own_ids": True})
    (request_id,) = made(client)
    (row,) = rows(client)
    assert uuid.UUID(row["request_id"]) != uuid.UUID(request_id)
    assert client.get(f"{HISTORY}/{request_id}").status_code == 404
    assert client.get(f"{HISTORY}/{uuid.UUID(row['request_id'])}").json()["request_id"] == row["request_id"]


@pytest.mark.parametrize(
    ("habit", "told"),
    [
        ({"strips_text": True}, {"prompt": "a pebble", "seed": 7, "shots": [{"weight": 0.5}], "watermark": True}),
        ({"cuts_text_at": 4}, {"prompt": " a p", "seed": 7, "shots": [{"weight": 0.5}], "watermark": True}),
        (
            {"numbers_as_text": True},
            {"prompt": " a pebble ", "seed": "7", "shots": [{"weight": "0.5"}], "watermark": True},
        ),
        (
            {"adds_defaults": True},
            {
                "prompt": " a pebble ",
                "seed": 7,
                "shots": [{"weight": 0.5}],
                "watermark": True,
                "aspect_ratio": "16:9",
                "output_format": "png",
                "resolution": "1K",
            },
        ),
    ],
)
def test_inputs_are_told_otherwise_than_they_were_sent(start, habit, told):
    client = start(history=habit)
    made(client, prompt=" a pebble ", seed=7, shots=[{"weight": 0.5}], watermark=True)
    assert ast.literal_eval(rows(client)[0]["request_body"]) == told


def test_a_history_changes_while_it_runs(start):
    client = start()
    client.simulator.change_history(row_after=900)
    made(client)
    assert rows(client) == []
    assert client.post("/simulator/history", json={}).json()["row_after"] == 0
    made(client)
    assert len(rows(client)) == 1


@pytest.mark.parametrize(
    "habits",
    [
        [],
        {"colour": "red"},
        {"row_after": -1},
        {"row_after": True},
        {"order": "random"},
        {"day_zone": 0.5},
        {"day_zone": None},
        {"stamp_zone": 99_999},
        {"own_ids": 1},
        {"cuts_text_at": "9"},
    ],
)
def test_habits_that_mean_nothing_are_refused(client, habits):
    answer = client.post("/simulator/history", json=habits)
    assert answer.status_code == 400
    assert "history" in answer.json()["error"]


def test_a_process_takes_them_from_its_command_line():
    with started("--history", '{"row_after": 900}') as process:
        url = process.stdout.readline().split()[-1]
        headers = {"x-api-key": DEFAULT_API_KEY}
        assert requests.post(f"{url}/v2/{MODEL}", json={"prompt": "p"}, headers=headers, timeout=10).ok
        found = requests.get(url + HISTORY, headers=headers, timeout=10).json()["data"]
        process.terminate()
    assert found == []


def test_a_command_line_that_means_nothing_is_a_usage_error():
    ended = done(*MODULE, "--port", "0", "--history", '{"row_after": "late"}')
    assert ended.returncode == 2
    assert "'late' is no row_after" in ended.stderr


def test_every_answer_is_headed_with_the_time_of_the_simulators_own_clock(start):
    client = start()
    client.simulator.advance(300)
    told = parsedate_to_datetime(client.get("/v1/get-user-credits").headers["Date"]).timestamp()
    assert told - time.time() == pytest.approx(300, abs=5)
