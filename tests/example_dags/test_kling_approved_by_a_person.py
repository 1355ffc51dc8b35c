"""The picture that a person approves before the video is paid for; the answer goes the way of Airflow's own UI."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.conftest import AIRFLOW_3
from tests.example_dags.conftest import billed

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.skipif(not AIRFLOW_3, reason="asking a person came with Airflow 3.1")

NAME = "kling_approved_by_a_person"
HEAD = "/api/v2/dags"


@pytest.fixture
def person(airflow_db, sim, monkeypatch):
    """Return a function that looks under Required Actions, and answers the first request there, once there is one."""
    monkeypatch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS", "True")
    from airflow.api_fastapi.app import create_app
    from starlette.testclient import TestClient

    seen = []
    hands = []

    def look_and_answer(choice):
        with TestClient(create_app(apps="core")) as client:
            token = client.get("/auth/token").json()["access_token"]
            client.headers["Authorization"] = f"Bearer {token}"
            while not seen:
                asked = client.get(f"{HEAD}/{NAME}/dagRuns/~/hitlDetails?response_received=false&state=awaiting_input")
                seen.extend(asked.raise_for_status().json()["hitl_details"])
                time.sleep(0.2)
            seen.append(sim.ledger()["billed"])
            ti = seen[0]["task_instance"]
            client.patch(
                f"{HEAD}/{NAME}/dagRuns/{ti['dag_run_id']}/taskInstances/{ti['task_id']}/-1/hitlDetails",
                json={"chosen_options": [choice], "params_input": {}},
            ).raise_for_status()

    def start(choice):
        hands.append(threading.Thread(target=look_and_answer, args=(choice,), daemon=True))
        hands[0].start()
        return seen

    yield start
    hands[0].join(timeout=30)


@pytest.fixture
def answered(person, run_example, pictures) -> Callable:
    """Return a function that runs the example and answers it; it returns the run, the request and the bill by then."""

    def run(choice):
        seen = person(choice)
        done = run_example(NAME, {"figure_url": pictures[0], "place_url": pictures[1]})
        return done, *seen

    return run


def test_the_video_is_made_of_the_picture_that_a_person_has_seen_and_approved(sim, answered):
    run, request, billed_by_then = answered("Approve")
    assert run.state == "success"
    picture, video = billed(sim)
    assert request["body"] == f"![The storyboard]({picture['url']})"
    assert request["options"] == ["Approve", "Reject"]
    assert billed_by_then == picture["cost_billed"] == 0.035
    assert video["inputs"]["image_urls"] == [picture["url"]]


def test_after_a_rejection_nothing_more_is_paid(sim, answered):
    run, *_ = answered("Reject")
    assert run.state == "success"
    assert run.task_state("video") == "skipped"
    assert sim.ledger()["accepted"] == 1
    assert sim.ledger()["billed"] == 0.035
