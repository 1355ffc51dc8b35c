"""What clearing a task does to the file that it saved, on a running Airflow."""

from __future__ import annotations

import json

MODEL = "kling-text2video"
DAG_FILE = """
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_kling.operators.kling import KlingGenerateOperator

with DAG("cleared_files", schedule=None):
    KlingGenerateOperator(
        task_id="clip", model={model!r}, payload={{"prompt": "{{{{ run_id }}}}"}}, store={folder!r}, retries=2
    )
"""


def jobs(sim, run_id):
    return [job["request_id"] for job in sim.ledger()["jobs"] if job["inputs"]["prompt"] == run_id]


def test_a_cleared_task_replaces_its_own_file_and_pays_once_more(running, sim, tmp_path):
    running.write_dag("cleared_files", DAG_FILE.format(model=MODEL, folder=str(tmp_path)))
    running.trigger("cleared_files", "cleared-files-1")
    assert running.run_ends("cleared-files-1") == "success", running.last_words()
    (before,) = tmp_path.rglob("*.json")

    running.clear("cleared_files", "cleared-files-1")
    assert running.run_ends("cleared-files-1") == "success", running.last_words()

    paid = jobs(sim, "cleared-files-1")
    (after,) = tmp_path.rglob("*.json")
    assert len(paid) == 2
    assert after == before
    assert json.loads(after.read_text())["request_id"] == paid[1]
    assert len(list(tmp_path.rglob("*.mp4"))) == 1
