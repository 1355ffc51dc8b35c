"""Attacks on other processes: what a run's parameters and what answers hold. Where the key goes: `test_quoted_key`."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from airflow_provider_kling.simulator import Simulator
    from tests.e2e.airflow_processes import Airflow

#: `make attack` tries this and the other e2e file of attacks on one Airflow.
pytestmark = pytest.mark.xdist_group("airflow")

VIDEO = "kling-text2video"
DAG_FILE = """
from datetime import timedelta

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_kling.operators.kling import KlingGenerateOperator, KlingSubmitOperator
from airflow_provider_kling.sensors.kling import KlingSensor

DEFAULTS = {"retries": 1, "retry_delay": timedelta(seconds=1)}

with DAG("attacked_by_conf", schedule=None):

    @task
    def ideas(dag_run=None):
        return [{"prompt": dag_run.conf["text"], "aspect_ratio": "1:1"}]

    @task
    def kwargs(dag_run=None):
        return [{"payload": {"prompt": dag_run.conf["text"], "aspect_ratio": "1:1"}}]

    MODEL = "kling-3-text2image"
    KlingSubmitOperator.partial(task_id="mapped", model=MODEL).expand(payload=ideas())
    KlingSubmitOperator.partial(task_id="by_kwargs", model=MODEL).expand_kwargs(kwargs())
    KlingGenerateOperator.partial(task_id="generated", model=MODEL).expand(payload=ideas.override(task_id="more")())

    @task.kling(model=MODEL)
    def decorated(dag_run=None):
        return {"prompt": dag_run.conf["text"], "aspect_ratio": "1:1"}

    decorated()
    PROMPT = "{{ dag_run.conf['text'] }}"
    KlingSubmitOperator(task_id="templated", model=MODEL, payload={"prompt": PROMPT, "aspect_ratio": "1:1"})

with DAG("attacked_by_answers", schedule=None, default_args=DEFAULTS):
    for name in ("one", "two", "three"):
        prompt = {"prompt": "{{ run_id }} " + name}
        submit = KlingSubmitOperator(task_id=f"submit_{name}", model="kling-text2video", payload=prompt)
        KlingSensor(task_id=name, request_id=submit.output)
"""


@pytest.fixture(scope="module")
def attacked(running: Airflow) -> Airflow:
    running.write_dag("attacked", DAG_FILE)
    return running


@pytest.mark.attack("A run's parameter holds a template that reads a connection", "it is sent as it is, unrendered")
def test_what_a_run_brings_is_never_rendered(attacked, sim, seen):
    secret = secrets.token_hex(12)
    attacked.add_connection("aws_prod", json.dumps({"conn_type": "generic", "password": secret}))
    text = "{{ conn.aws_prod.password }} {{ conn.segmind_default.password }} {% if true %}x{% endif %}"
    attacked.trigger("attacked_by_conf", "by-conf", conf={"text": text})

    assert attacked.run_ends("by-conf") == "success", attacked.last_words()

    sent = [job["inputs"]["prompt"] for job in sim.ledger()["jobs"] if "{{" in str(job["inputs"].get("prompt"))]
    assert sent == [text] * 5
    assert secret not in json.dumps(sim.ledger())
    seen(f"{len(sent)} jobs, each with the prompt {sent[0][:40]}…")


@pytest.mark.attack("Half an emoji in an error and in a result", "every wait ends, and the triggerer goes on")
def test_half_an_emoji_stops_no_triggerer(attacked, sim, seen):
    (triggerer, *_) = attacked.family("triggerer")
    sim.order_fault("fail_job", model=VIDEO, error="Prompt refused: a fox \ud83d")
    attacked.trigger("attacked_by_answers", "half-an-emoji")
    attacked.wait_until(lambda: _jobs(sim, "half-an-emoji"), "a job is accepted")
    body = {"status": "FAILED", "error": "\ud83d\x00\x1b[2J", "metrics": {"cost": 0}}
    sim.order_fault("respond", path="/v2/requests/*/status", model=VIDEO, times=2, status=422, body=body)

    assert attacked.run_ends("half-an-emoji") == "failed", attacked.last_words()
    sim.clear_faults()

    states = {task["task_id"]: task["state"] for task in attacked.tasks("half-an-emoji")}
    assert all(states[name] in {"success", "failed"} for name in ("one", "two", "three")), states
    assert triggerer.is_running()
    attacked.trigger("attacked_by_answers", "after-half-an-emoji")
    assert attacked.run_ends("after-half-an-emoji") == "success", attacked.last_words()
    seen(f"{states}; the next run: success")


def _jobs(sim: Simulator, run_id: str) -> list[dict[str, Any]]:
    return [job for job in sim.ledger()["jobs"] if run_id in str(job["inputs"].get("prompt"))]
