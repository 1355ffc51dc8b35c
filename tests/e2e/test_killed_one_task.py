"""The one task that submits, waits and keeps the file dies at each of its steps; it makes one picture and one file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import requests

from tests.e2e.airflow_processes import sigkill
from tests.e2e.kills import Stage
from tests.e2e.ours import GRACE, before_record

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.kills import Standstill

MODEL = "kling-3-text2image"
DAG_FILE = """
from datetime import timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_kling.operators.kling import KlingGenerateOperator
from airflow_provider_kling.storage.store import Store

with DAG("one_task", schedule=None, default_args={"retries": 9, "retry_delay": timedelta(seconds=2)}):
    KlingGenerateOperator(
        task_id="picture",
        model="%(model)s",
        payload={"prompt": "{{ run_id }}"},
        store=Store("%(folder)s/{{ run_id }}", name="picture.{ext}"),
        poll_interval=1,
        orphan_grace=%(grace)s,
        history_timeout=4,
    )
"""


def post_held(stage: Stage) -> Standstill:
    stage.sim.order_fault("hold", method="POST", model=MODEL)
    return lambda: stage.wait(stage.posted)


def reply_held(stage: Stage) -> Standstill:
    stage.sim.order_fault("hold_after", method="POST", model=MODEL)
    return lambda: stage.wait(stage.accepted)


def file_held(stage: Stage) -> Standstill:
    before = len(stage.sim.downloads())
    stage.sim.order_fault("hold", method="GET", path="/generations/*")
    return lambda: stage.wait(lambda: len(stage.sim.downloads()) > before)


def end_held(stage: Stage) -> Standstill:
    """Stand still as it says that it has succeeded, after its file was kept."""
    return stage.hold("PATCH", "/task-instances/[^/]+/state$", lambda body: body["state"] == "success")


@pytest.mark.parametrize(
    ("moment", "fetched"), [(post_held, 1), (reply_held, 1), (before_record, 1), (file_held, 2), (end_held, 1)]
)
def test_whenever_its_process_is_killed_there_is_one_job_one_whole_file_and_nothing_else(
    running, sim, moment: Callable[[Stage], Standstill], fetched
):
    kept = running.home / "kept"
    if not kept.exists():
        kept.mkdir()
        running.write_dag("one_task", DAG_FILE % {"model": MODEL, "folder": kept, "grace": GRACE})
    run_id = moment.__name__
    stage = Stage(running, sim, "one_task", MODEL, run_id)
    downloads = len(sim.downloads())
    reached = moment(stage)
    running.trigger("one_task", run_id)
    hold = reached()
    assert sigkill(running.task_process(run_id, "picture"))
    assert not [file for file in files(kept / run_id) if file.name == "picture.png"] or moment is end_held
    if hold is not None:
        hold.let_go.set()
    assert running.run_ends(run_id) == "success", running.last_words()
    (job,) = [job for job in sim.ledger()["jobs"] if job["inputs"]["prompt"] == run_id]
    assert [file.name for file in files(kept / run_id)] == ["picture.json", "picture.png"]
    assert (kept / run_id / "picture.png").read_bytes() == requests.get(job["url"], timeout=60).content
    assert len(sim.downloads()) - downloads - 1 == fetched  # one was this test's


def files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file())
