"""What clearing a task does to the file that it saved, on a running Airflow."""

from __future__ import annotations

import json

import pytest

from tests.conftest import AIRFLOW_3_4
from tests.e2e.bills import request_ids

MODEL = "kling-text2video"
LOOP_FILE = """
from airflow.sdk import DAG, task_group

from airflow_provider_kling.operators.kling import KlingGenerateOperator

with DAG("looped_files", schedule=None):

    @task_group
    def rounds():
        KlingGenerateOperator(
            task_id="clip", model={model!r}, payload={{"prompt": "{{{{ run_id }}}}"}}, store={folder!r}
        )

    rounds.loop(max_iterations=2)
"""
DAG_FILE = """
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_kling.operators.kling import KlingGenerateOperator

with DAG("cleared_files", schedule=None):
    KlingGenerateOperator(
        task_id="clip", model={model!r}, payload={{"prompt": "{{{{ run_id }}}}"}}, store={folder!r}, retries=2
    )
"""


def test_a_cleared_task_replaces_its_own_file_and_pays_once_more(running, sim, tmp_path):
    running.write_dag("cleared_files", DAG_FILE.format(model=MODEL, folder=str(tmp_path)))
    running.trigger("cleared_files", "cleared-files-1")
    assert running.run_ends("cleared-files-1") == "success", running.last_words()
    (before,) = tmp_path.rglob("*.json")

    running.clear("cleared_files", "cleared-files-1")
    assert running.run_ends("cleared-files-1") == "success", running.last_words()

    paid = request_ids(sim, "cleared-files-1")
    (after,) = tmp_path.rglob("*.json")
    assert len(paid) == 2
    assert after == before
    assert json.loads(after.read_text())["request_id"] == paid[1]
    assert len(list(tmp_path.rglob("*.mp4"))) == 1


@pytest.mark.skipif(not AIRFLOW_3_4, reason="loops came with Airflow 3.4")
def test_each_iteration_of_a_loop_has_a_file_of_its_own(running, sim, tmp_path):
    running.write_dag("looped_files", LOOP_FILE.format(model=MODEL, folder=str(tmp_path)))
    running.trigger("looped_files", "looped-files")
    assert running.run_ends("looped-files") == "success", running.last_words()
    told = {json.loads(file.read_text())["request_id"] for file in tmp_path.rglob("*.json")}
    assert told == set(request_ids(sim, "looped-files"))
    assert sorted(file.name for file in tmp_path.rglob("*.mp4")) == [
        "rounds.clip-loop-0-0-0.mp4",
        "rounds.clip-loop-1-0-0.mp4",
    ]
