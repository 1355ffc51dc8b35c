"""What a step's tasks handed on becomes its outcome; what is missing is named."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from demo.airflow_api import XCom
from demo.problems import DemoError
from demo.steps import STEPS, read_outcome

START = datetime(2026, 11, 20, 10, tzinfo=UTC)
STORED = {"path": "file:///out/1-image.png", "sidecar": "file:///out/1-image.json"}


def handed_on():
    return {
        "submit_image": {
            "return_value": XCom("3f2c", START + timedelta(seconds=1.5)),
            "model": XCom("kling-o1", START),
        },
        "image": {
            "return_value": XCom({"url": "https://images.segmind.com/x.png"}, START + timedelta(seconds=5.5)),
            "url": XCom("https://images.segmind.com/x.png", START),
            "cost": XCom(0.035, START),
            "metrics": XCom({"cost": 0.035}, START),
        },
        "keep_image": {"return_value": XCom([STORED], START)},
    }


def test_a_step_is_read_from_the_xcoms_of_its_tasks():
    outcome = read_outcome(STEPS[0], handed_on())

    assert (outcome.model, outcome.request_id, outcome.cost) == ("kling-o1", "3f2c", 0.035)
    assert outcome.url == "https://images.segmind.com/x.png"
    assert outcome.seconds == 4.0
    assert (outcome.file, outcome.sidecar) == (Path("/out/1-image.png"), Path("/out/1-image.json"))


def test_what_a_step_did_not_leave_is_named():
    xcoms = handed_on()
    del xcoms["image"]["cost"]

    with pytest.raises(DemoError, match="Task image left no XCom cost"):
        read_outcome(STEPS[0], xcoms)
