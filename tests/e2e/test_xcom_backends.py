"""With XComs in object storage the chain hands on the same values, whichever process ends a wait."""

from __future__ import annotations

import os

import pytest

from tests.conftest import AIRFLOW_3_3, connection_json
from tests.e2e.airflow_processes import airflow
from tests.e2e.chains import GENERATES, PAIRS, assert_one_chain, dag_file
from tests.e2e.test_waits_without_workers import DAG_FILE, MODEL

#: In bytes: every value is stored as a file, or none is that small.
THRESHOLDS = {"every_value": 0, "large_values": 1024**2}
WAITS = ("image", "video", "edit")


@pytest.mark.parametrize("kept", THRESHOLDS)
def test_the_chain_and_each_wait_hand_on_the_same_through_object_storage(sim, tmp_path, kept):
    folder = tmp_path / "xcoms"
    settings = {
        "CORE__XCOM_BACKEND": "airflow.providers.common.io.xcom.backend.XComObjectStorageBackend",
        "COMMON_IO__XCOM_OBJECTSTORAGE_PATH": folder.as_uri(),
        "COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD": THRESHOLDS[kept],
    }
    with airflow(connection_json(sim, extra={"time_scale": 60}), settings=settings) as running:
        runs = [f"{kept}-{name}" for name in ("pairs", "generates", "workerless")]
        running.write_dags(
            {
                "pairs": dag_file(PAIRS, "pairs", sim),
                "generates": dag_file(GENERATES, "generates", sim),
                "workerless": DAG_FILE.format(model=MODEL, picture=""),
            }
        )
        for run_id in runs:
            running.trigger(run_id.rpartition("-")[2], run_id)
        states = {run_id: running.run_ends(run_id) for run_id in runs}
        assert set(states.values()) == {"success"}, f"{states}\n{running.last_words()}"
        for run_id in runs[:2]:
            assert_one_chain(sim, run_id)
        assert folder.exists() == (THRESHOLDS[kept] == 0)


#: Works in workers and in the API server, as one does whose credentials only these have.
BACKEND = """
import sys

from airflow.sdk.bases.xcom import BaseXCom


class NotInTheTriggerer(BaseXCom):
    @staticmethod
    def serialize_value(value, **where):
        if "triggerer" in sys.argv:
            raise PermissionError("no credentials here")
        return BaseXCom.serialize_value(value, **where)
"""


@pytest.mark.skipif(not AIRFLOW_3_3, reason="waits end in the triggerer from Airflow 3.3 on")
def test_where_the_triggerer_cannot_push_xcoms_workers_end_the_waits_and_the_log_says_so_once(
    sim, tmp_path, monkeypatch
):
    (tmp_path / "kling_e2e_backend.py").write_text(BACKEND)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    settings = {"CORE__XCOM_BACKEND": "kling_e2e_backend.NotInTheTriggerer"}
    with airflow(connection_json(sim, extra={"time_scale": 60}), settings=settings) as running:
        running.write_dag("pairs", dag_file(PAIRS, "pairs", sim))
        running.trigger("pairs", "cannot-push")
        assert running.run_ends("cannot-push") == "success", running.last_words()
        assert_one_chain(sim, "cannot-push")
        starts = [running.proxy.worker_starts.count(task["id"]) for task in running.tasks("cannot-push", *WAITS)]
        assert starts == [1] * len(WAITS)
        logs = "".join(log.read_text() for log in (running.home / "logs").rglob("*.log*"))
        assert logs.count("This triggerer cannot push XComs (PermissionError: no credentials here)") == 1
