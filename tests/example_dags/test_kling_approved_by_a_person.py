"""The picture that a person approves before the video is paid for; the answer goes the way of Airflow's own UI."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conftest import AIRFLOW_3_1
from tests.example_dags.conftest import billed

pytestmark = pytest.mark.skipif(not AIRFLOW_3_1, reason="asking a person came with Airflow 3.1")

NAME = "kling_approved_by_a_person"
RUNS = f"dags/{NAME}/dagRuns"


@pytest.fixture
def answered(run_example, api, sim, pictures):
    """Return a function that runs the example and answers it: it returns states, request and bill by then."""

    def answer(choice):
        request = _the_request(api)
        bill = sim.ledger()["billed"]
        run_id = request["task_instance"]["dag_run_id"]
        hitl = f"{RUNS}/{run_id}/taskInstances/approval/-1/hitlDetails"
        api.patch(hitl, json={"chosen_options": [choice]}).raise_for_status()
        return request, bill

    def run(choice):
        with ThreadPoolExecutor() as pool:
            answering = pool.submit(answer, choice)
            finished = run_example(NAME, {"figure_url": pictures[0], "place_url": pictures[1]})
            request, bill = answering.result()
        states = {ti.task_id: str(ti.state) for ti in finished.dag_run.get_task_instances()}
        return {"run": finished.state, **states}, request, bill

    return run


def _the_request(api):
    """Return what stands under Required Actions, once something does; else end the run, which would wait for ever."""
    until = time.monotonic() + 180
    while time.monotonic() < until:
        found = api.get(f"{RUNS}/~/hitlDetails", params={"response_received": False, "state": "awaiting_input"})
        if details := found.raise_for_status().json()["hitl_details"]:
            return details[0]
        time.sleep(0.2)
    for run in api.get(RUNS, params={"state": "running"}).raise_for_status().json()["dag_runs"]:
        api.patch(f"{RUNS}/{run['dag_run_id']}", json={"state": "failed"}).raise_for_status()
    raise TimeoutError("nothing stands under Required Actions")


def test_the_video_is_made_of_the_picture_that_a_person_has_seen_and_approved(sim, answered):
    states, request, billed_by_then = answered("Approve")
    assert set(states.values()) == {"success"}
    picture, video = billed(sim)
    assert request["body"] == f"![The storyboard](<{picture['url']}>)"
    assert request["options"] == ["Approve", "Reject"]
    assert billed_by_then == picture["cost_billed"] == 0.035
    assert video["inputs"]["image_urls"] == [picture["url"]]


def test_after_a_rejection_nothing_more_is_paid(sim, answered):
    states, *_ = answered("Reject")
    assert states == {"run": "success", "storyboard": "success", "approval": "success", "video": "skipped"}
    assert sim.ledger()["accepted"] == 1
    assert sim.ledger()["billed"] == 0.035
