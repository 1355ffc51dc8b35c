"""Attacks on other processes: what a run's parameters hold, what answers hold, and where the key goes."""

from __future__ import annotations

import base64
import json
import secrets
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_kling.simulator import Simulator
from tests.conftest import AIRFLOW_3, connection_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.airflow_processes import Airflow

TEXT, VIDEO = "kling-3-text2image", "kling-text2video"
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

with DAG("attacked_by_echoes", schedule=None, default_args=DEFAULTS):
    CONN = {"segmind_conn_id": "segmind_secret"}
    submit = KlingSubmitOperator(task_id="submit", model="kling-text2video", payload={"prompt": "{{ run_id }}"}, **CONN)
    KlingSensor(task_id="wait", request_id=submit.output, **CONN)
    KlingGenerateOperator(task_id="generate", model="kling-3-text2image", payload={"prompt": "{{ run_id }} g"}, **CONN)
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

    states = {task["task_id"]: task["state"] for task in attacked.tasks("half-an-emoji")}
    assert all(states[name] in {"success", "failed"} for name in ("one", "two", "three")), states
    assert triggerer.is_running()
    attacked.trigger("attacked_by_answers", "after-half-an-emoji")
    assert attacked.run_ends("after-half-an-emoji") == "success", attacked.last_words()
    seen(f"{states}; the next run: success")


def _jobs(sim: Simulator, run_id: str) -> list[dict[str, Any]]:
    return [job for job in sim.ledger()["jobs"] if run_id in str(job["inputs"].get("prompt"))]


@pytest.fixture
def secretive(attacked: Airflow) -> Iterator[Simulator]:
    """Yield a Segmind whose key stands nowhere else, with a connection to it."""
    with Simulator(time_scale=60, requests_per_minute=0, height=72, api_key=secrets.token_hex(16)) as simulator:
        attacked.add_connection("segmind_secret", connection_json(simulator, extra={"time_scale": 60}))
        yield simulator


def _escaped(key: str) -> str:
    return "".join(f"\\u{ord(char):04x}" for char in key)


ECHOES: dict[str, Callable[[str], dict[str, Any]]] = {
    "in a body": lambda key: {"status": 403, "body": {"error": f"key {key} may not"}},
    "escaped": lambda key: {"status": 403, "body": f'{{"error": "key {_escaped(key)} may not"}}'},
    "in base64": lambda key: {"status": 403, "body": {"error": base64.b64encode(key.encode()).decode()}},
    "where it leads": lambda key: {"status": 302, "headers": {"Location": f"/login?key={key}"}, "body": ""},
    "in a state": lambda key: {"status": 422, "body": {"status": "FAILED", "error": f"{key} of {key}"}},
}


@pytest.mark.attack("Segmind answers with the key", "it stands in no log and no XCom")
@pytest.mark.parametrize("path", ["/v2/kling-*", "/v2/requests/*"], ids=["of a worker", "of a trigger"])
def test_the_key_comes_into_no_log_and_no_xcom(attacked, secretive, path, seen):
    key = secretive.api_key
    texts = []
    for number, (name, echo) in enumerate(ECHOES.items()):
        run_id = f"echo-{len(path)}-{number}"
        secretive.order_fault("respond", path=path, times=4, **echo(key))
        attacked.trigger("attacked_by_echoes", run_id)
        attacked.run_ends(run_id)
        secretive.clear_faults()
        texts.append((name, attacked.task_logs(run_id)))
        texts.append((name, json.dumps(list(_xcoms(attacked, run_id)))))
    texts += [(log.name, log.read_text(errors="replace")) for log in attacked.home.glob("*.log")]

    forms = {key, _escaped(key), json.dumps(_escaped(key))[1:-1], base64.b64encode(key.encode()).decode()}
    assert [(where, form) for where, text in texts for form in forms if form in text] == []
    seen(f"{len(texts)} logs and lists of XComs, {sum(len(text) for _, text in texts):,} characters, none with the key")


def _xcoms(airflow: Airflow, run_id: str) -> Iterator[Any]:
    for task in airflow.tasks(run_id):
        path = f"dags/attacked_by_echoes/dagRuns/{run_id}/taskInstances/{task['task_id']}/xcomEntries"
        for entry in airflow.api.get(path)["xcom_entries"]:
            yield airflow.api.get(f"{path}/{entry['key']}", **({"deserialize": True} if AIRFLOW_3 else {}))
