"""What a seventeenth tester, who wrote no fix, broke."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta

import pytest
import requests

from airflow_provider_kling.hooks.segmind import SegmindHook
from airflow_provider_kling.hooks.segmind_async import SegmindAsyncHook
from airflow_provider_kling.triggers.kling import KlingTrigger

MAKE = """
from airflow_provider_kling.operators.kling import KlingGenerateOperator
from airflow_provider_kling.storage.store import Store

KlingGenerateOperator(
    task_id="make", payload=O1Image(prompt={prompt!r}, image_urls=PICTURES), reuse="completed", retries=0, {more}
)
"""
#: The author lets a run say which result is kept: `result` is open to data.
KEEP = """
from airflow_provider_kling.transfers.segmind_to_object_storage import SegmindToObjectStorageOperator

@task
def form(dag_run=None):
    return dag_run.conf["result"]

SegmindToObjectStorageOperator(task_id="keep", result={result}, destination="{folder}", retries=0)
"""
EIGHT_DAYS = 8 * 86400


def make(prompt="@Image1", more=""):
    return MAKE.format(prompt=prompt, more=more)


def keep(folder, result="form()"):
    return KEEP.format(result=result, folder=folder)


def digest(url):
    return hashlib.sha256(requests.get(url, timeout=5).content).hexdigest()


def billed(sim):
    return len(sim.ledger()["jobs"])


@pytest.fixture
def foreign(sim):
    """Return the address of a larger picture that is no job's."""
    return f"{sim.url}/simulator/inputs/beach.png"


@pytest.mark.attack(
    "A run's parameters name another DAG's job, with links of their own, for a task that saves results",
    "once the job's own link is dead, its own file is handed on, or it is made again",
)
@pytest.mark.parametrize("authors_copy", [False, True], ids=["not saved", "saved by its author later"])
def test_who_triggers_a_run_says_not_what_anothers_job_has_made(
    ledger, sim, conn_id, run_dag, tmp_path, foreign, authors_copy
):
    job = run_dag(make()).xcom("make")
    told = {"result": {"request_id": job["request_id"], "urls": [foreign]}}
    assert run_dag(keep(tmp_path / "drop"), run_conf=told).state == "success"
    if authors_copy:
        assert run_dag(keep(tmp_path / "own", repr(job["request_id"]))).state == "success"
    sim.advance(EIGHT_DAYS)
    # The stranger's file is larger than this, and stops nobody.
    made = run_dag(make(more=f'store=Store("{tmp_path}/b", max_bytes=100_000)')).xcom("make")["files"][0]
    assert made["sha256"] != digest(foreign)
    assert billed(sim) == (1 if authors_copy else 2)


@pytest.mark.attack("The same, and a chain goes on from the saved file", "no step is paid on the stranger's picture")
def test_a_chain_is_not_paid_on_a_strangers_picture(ledger, sim, conn_id, run_dag, tmp_path, foreign):
    job = run_dag(make()).xcom("make")
    run_dag(keep(tmp_path / "drop"), run_conf={"result": {"request_id": job["request_id"], "urls": [foreign]}})
    sim.advance(EIGHT_DAYS)
    chain = (
        make(more=f'store="{tmp_path}/a"').replace("KlingGenerateOperator(\n", "picture = KlingGenerateOperator(\n")
        + 'KlingGenerateOperator(task_id="edit", reuse="completed", '
        'payload=O1Image(prompt="@Image1 at noon", image_urls=[picture.output["url"]]))\n'
    )
    assert run_dag(chain).state == "success"
    assert digest(sim.ledger()["jobs"][-1]["inputs"]["image_urls"][0]) != digest(foreign)


@pytest.mark.attack(
    "A result that a template renders to text, with a ledger", "the file is saved, and the task succeeds"
)
def test_a_result_as_text_is_saved_with_a_ledger_too(ledger, sim, conn_id, run_dag, tmp_path):
    saving = keep(tmp_path / "t", "\"{{ ti.xcom_pull('make') }}\"").replace("SegmindTo", "made >> SegmindTo", 2)
    text = make().replace("KlingGenerateOperator(\n", "made = KlingGenerateOperator(\n") + saving.replace(
        "import made >> ", "import "
    )
    assert run_dag(text).state == "success"


LOOK = """
@task
def form(dag_run=None):
    return dag_run.conf["id"]

KlingSensor(task_id="look", request_id=form(), mode="poke", poll_interval=0.1, retries=0)
"""


@pytest.mark.attack(
    "A run's parameters name a running job by another form of its id, which neither the API nor the history knows yet",
    "the job is not given up; nobody sends it again",
)
def test_a_look_at_a_young_job_gives_it_up_for_nobody(ledger, sim, conn_id, run_dag):
    sim.order_fault("late_row", row_after=12_000)
    job = run_dag(make(more="wait_for_completion=False")).xcom("make").replace("-", "")
    odd = f"{job[:5]}-{job[5:]}"
    sim.order_fault("respond", status=404, method="GET", path=f"*{odd}*", times=50)
    run_dag(LOOK, run_conf={"id": odd})
    assert run_dag(make()).state == "success"
    assert billed(sim) == 1


@pytest.mark.attack(
    "Data names one finished job, and another model, for a hundred waits", "the triggerer learns from that job once"
)
def test_one_job_teaches_a_triggerer_once(sim, conn_id, pictures, airflow_db):
    job = SegmindHook().submit("kling-o1", {"prompt": "@Image1", "image_urls": pictures}).request_id
    deadline = (datetime.now(tz=UTC) + timedelta(minutes=1)).isoformat()

    async def waits():
        async with SegmindAsyncHook() as hook:
            for _ in range(100):
                async for _ in KlingTrigger(job, deadline, model="kling-quick", usual_latency=5.0).run():
                    pass
            return hook.pool.durations.expect("kling-quick", 5.0).median

    assert asyncio.run(waits()) < 8
