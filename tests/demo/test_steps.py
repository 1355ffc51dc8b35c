"""What a run left behind is read from a database as Airflow 3.3 writes it, and as 2.11 does."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from demo.problems import DemoError
from demo.run_record import RunRecord
from demo.steps import STEPS, read_outcome

XCOMS = {
    ("submit_image", "return_value"): "3f2c",
    ("submit_image", "model"): "kling-o1",
    ("image", "return_value"): {"url": "https://images.segmind.com/x.png"},
    ("image", "url"): "https://images.segmind.com/x.png",
    ("image", "cost"): 0.035,
    ("image", "metrics"): {"cost": 0.035},
    ("keep_image", "return_value"): [{"path": "file:///out/1-image.png", "sidecar": "file:///out/1-image.json"}],
}


def make_record(folder, xcoms, encode=str, column="JSON"):
    file = folder / "airflow.db"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(f"CREATE TABLE xcom (task_id TEXT, key TEXT, value {column}, timestamp TEXT)")
        connection.execute("CREATE TABLE task_instance (task_id TEXT, state TEXT)")
        connection.execute("CREATE TABLE dag_run (state TEXT)")
        connection.execute("INSERT INTO dag_run VALUES ('success')")
        connection.execute("INSERT INTO task_instance VALUES ('image', 'success')")
        for (task, key), value in xcoms.items():
            stored = f"2026-11-20 10:00:0{5 if task == 'image' else 1}.500000"
            connection.execute("INSERT INTO xcom VALUES (?, ?, ?, ?)", (task, key, encode(json.dumps(value)), stored))
    return RunRecord(file)


@pytest.mark.parametrize(("encode", "column"), [(str, "JSON"), (str.encode, "BLOB")], ids=["airflow-3", "airflow-2"])
def test_a_step_is_read_from_the_database(tmp_path, encode, column):
    record = make_record(tmp_path, XCOMS, encode, column)

    outcome = read_outcome(record, STEPS[0])

    assert (outcome.model, outcome.request_id, outcome.cost) == ("kling-o1", "3f2c", 0.035)
    assert outcome.url == "https://images.segmind.com/x.png"
    assert outcome.seconds == 4.0
    assert (outcome.file, outcome.sidecar) == (Path("/out/1-image.png"), Path("/out/1-image.json"))
    assert record.run_state() == "success"
    assert record.states() == {"image": "success"}


def test_what_a_step_did_not_leave_is_named(tmp_path):
    record = make_record(tmp_path, {key: value for key, value in XCOMS.items() if key != ("image", "cost")})

    with pytest.raises(DemoError, match="Task image left no XCom cost"):
        read_outcome(record, STEPS[0])


def test_before_the_run_there_is_nothing_to_read(tmp_path):
    record = RunRecord(tmp_path / "airflow.db")

    assert record.states() == {}
    assert record.run_state() is None
    assert record.xcoms("image") == {}
