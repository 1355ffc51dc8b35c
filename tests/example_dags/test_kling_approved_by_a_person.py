"""The picture that a person approves before the video is paid for; the answer goes the way of Airflow's own UI."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import AIRFLOW_3_1
from tests.example_dags.conftest import EXAMPLES, billed

pytestmark = pytest.mark.skipif(not AIRFLOW_3_1, reason="asking a person came with Airflow 3.1")

NAME = "kling_approved_by_a_person"
RUNS = f"dags/{NAME}/dagRuns"


@pytest.fixture
def answered(airflow_db, conn_id, api, sim, pictures):
    """Return a function that runs the example and answers it: it returns states, request and bill by then."""
    file = shutil.copy(EXAMPLES / f"{NAME}.py", Path(airflow_db, "dags"))
    conf = json.dumps({"figure_url": pictures[0], "place_url": pictures[1]})
    command = [sys.executable, "-m", "airflow", "dags", "test", NAME, "--conf", conf]

    def run(choice):
        # A process of its own, which can be ended: what nobody answers waits for ever.
        running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603 Airflow's
        try:
            request = _the_request(api, running)
            bill = sim.ledger()["billed"]
            path = f"{RUNS}/{request['task_instance']['dag_run_id']}"
            answer = {"chosen_options": [choice]}
            api.patch(f"{path}/taskInstances/approval/-1/hitlDetails", json=answer).raise_for_status()
            running.wait(timeout=60)
        finally:
            running.kill()
            running.wait()
        tasks = api.get(f"{path}/taskInstances").json()["task_instances"]
        return {"run": api.get(path).json()["state"], **{ti["task_id"]: ti["state"] for ti in tasks}}, request, bill

    yield run
    Path(file).unlink()


def _the_request(api, running):
    """Return what stands under Required Actions, once something does."""
    until = time.monotonic() + 60
    while time.monotonic() < until and running.poll() is None:
        found = api.get(f"{RUNS}/~/hitlDetails", params={"response_received": False, "state": "awaiting_input"})
        if details := found.raise_for_status().json()["hitl_details"]:
            return details[0]
        time.sleep(0.2)
    raise TimeoutError("nothing stands under Required Actions")


def test_the_video_is_made_of_the_picture_that_a_person_has_seen_and_approved(sim, answered):
    states, request, billed_by_then = answered("Approve")
    assert set(states.values()) == {"success"}
    picture, video = billed(sim)
    assert request["body"] == f"![The storyboard]({picture['url']})"
    assert request["options"] == ["Approve", "Reject"]
    assert billed_by_then == picture["cost_billed"] == 0.035
    assert video["inputs"]["image_urls"] == [picture["url"]]


def test_after_a_rejection_nothing_more_is_paid(sim, answered):
    states, *_ = answered("Reject")
    assert states == {"run": "success", "storyboard": "success", "approval": "success", "video": "skipped"}
    assert sim.ledger()["accepted"] == 1
    assert sim.ledger()["billed"] == 0.035
