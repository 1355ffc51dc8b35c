"""
Airflow 2 fails or retries a task that has succeeded, for a failure before its success.

A scheduler that finds a task process dead has the DAG processor handle it when that next reads the DAG file, and it may
find it dead twice. What comes late is done here by Airflow's own code, in a process of its own, when the task is done.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import AIRFLOW_3
from tests.e2e.bills import request_ids

pytestmark = pytest.mark.skipif(AIRFLOW_3, reason="Airflow 3 asks for the task's state before it fails it")

DAG_FILE = """
from datetime import timedelta

from pathlib import Path

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_kling.operators.kling import KlingGenerateOperator, KlingSubmitOperator

PAYLOAD = {"prompt": "{{ run_id }}"}


@task.sensor(poke_interval=1)
def run_goes_on(run_id=None):
    return (Path(%(folder)r) / f"{run_id}.over").exists()


for retries in 0, 1:
    common = {"schedule": None, "default_args": {"retries": retries, "retry_delay": timedelta(seconds=1)}}
    with DAG(f"undone_submit_{retries}", **common):
        KlingSubmitOperator(task_id="task", model="kling-1.6-text2video", payload=PAYLOAD)
        run_goes_on()
    with DAG(f"undone_generate_{retries}", **common):
        KlingGenerateOperator(task_id="task", model="kling-text2video", payload=PAYLOAD, poll_interval=1)
        run_goes_on()
"""
HANDLE_A_LATE_REPORT = """
import logging
import sys

import airflow.providers.fab.auth_manager.models  # its tables are referred to
from airflow.callbacks.callback_requests import TaskCallbackRequest
from airflow.dag_processing.processor import DagFileProcessor
from airflow.models.dagbag import DagBag
from airflow.models.taskinstance import SimpleTaskInstance, TaskInstance
from airflow.utils.session import create_session

dag_id, run_id = sys.argv[1:]
with create_session() as session:
    ti = TaskInstance.get_task_instance(dag_id, run_id, "task", -1, session=session)
    simple = SimpleTaskInstance.from_ti(ti)
    request = TaskCallbackRequest(full_filepath="", simple_task_instance=simple, msg="found dead")
    processor = DagFileProcessor(dag_ids=None, dag_directory="", log=logging.getLogger("processor"))
    processor.execute_callbacks(DagBag(include_examples=False), [request], False, session)
"""


def undo(running, dag_id):
    command = [sys.executable, "-c", HANDLE_A_LATE_REPORT, dag_id, dag_id]
    done = subprocess.run(command, env=running.env, check=False, capture_output=True, text=True)  # noqa: S603 our own
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr


def comes_to(running, run_id, state, tries):
    running.wait_until(
        lambda: [(task["state"], task["try_number"]) for task in running.tasks(run_id, "task")] == [(state, tries)],
        f"the task of {run_id} is at try {tries}: {state}",
    )


@pytest.mark.parametrize("kind", ["submit", "generate"])
def test_a_job_whose_success_airflow_takes_back_is_delivered_once_more_and_not_paid_again(running, sim, kind):
    running.write_dag("undone", DAG_FILE % {"folder": str(running.home)})
    failed, retried = (f"undone_{kind}_{retries}" for retries in (0, 1))
    results = {}
    for dag_id in failed, retried:
        running.trigger(dag_id, dag_id)
    for dag_id in failed, retried:
        comes_to(running, dag_id, "success", 1)
        results[dag_id] = running.xcom(dag_id, "task")

    undo(running, failed)
    assert running.states(failed, "task") == ["failed"]
    running.clear(failed, failed, "task")
    undo(running, retried)
    for dag_id in failed, retried:
        comes_to(running, dag_id, "success", 2)
        assert len(request_ids(sim, dag_id)) == 1
        assert running.xcom(dag_id, "task") == results[dag_id]

    for dag_id in failed, retried:
        running.clear(dag_id, dag_id, "task")
        comes_to(running, dag_id, "success", 3)
        assert len(request_ids(sim, dag_id)) == 2, "who clears a success wants another one"
        assert running.xcom(dag_id, "task") != results[dag_id]
        (running.home / f"{dag_id}.over").touch()
        assert running.run_ends(dag_id) == "success"
