"""A key that a run wrote down is found wherever it stands; a clean run is called clean."""

import json
import sqlite3
from contextlib import closing

from demo.leaks import find_leaks
from demo.target import random_key

KEY = random_key()


def make_database(file, *values):
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE xcom (key TEXT, value)")
        connection.executemany("INSERT INTO xcom VALUES ('return_value', ?)", [(value,) for value in values])
    return file


def test_a_run_that_kept_its_secret_is_clean(tmp_path):
    make_database(tmp_path / "airflow.db", json.dumps({"url": "https://images.segmind.com/x.png"}))
    (tmp_path / "airflow.log").write_text("submitted 3f2c")

    assert find_leaks(KEY, tmp_path) == []


def test_a_key_in_a_log_below_the_folder_is_found(tmp_path):
    log = tmp_path / "logs" / "dag_id=x" / "attempt=1.log"
    log.parent.mkdir(parents=True)
    log.write_text(f"POST with x-api-key: {KEY}\n")

    assert find_leaks(KEY, tmp_path) == [log]


def test_a_key_in_a_database_row_is_found(tmp_path):
    database = make_database(tmp_path / "airflow.db", json.dumps({"headers": {"x-api-key": KEY}}))

    assert find_leaks(KEY, tmp_path) == [database]


def test_a_key_that_lies_across_two_pages_of_a_database_is_found(tmp_path):
    for before in range(0, 9000, len(KEY) // 2):
        value = "x" * before + KEY + "x" * (9000 - before)
        database = make_database(tmp_path / f"{before}.db", value)
        if KEY.encode() not in database.read_bytes():
            break
        database.unlink()

    assert find_leaks(KEY, tmp_path) == [database]
    assert KEY.encode() not in database.read_bytes()


def test_a_key_in_a_binary_column_is_found(tmp_path):
    database = make_database(tmp_path / "airflow.db", b"x" * 4000 + KEY.encode() + b"x" * 9000)

    assert find_leaks(KEY, tmp_path) == [database]


def test_every_folder_is_searched(tmp_path):
    for name in ("home", "output"):
        (tmp_path / name).mkdir()
    summary = tmp_path / "output" / "summary.json"
    summary.write_text(json.dumps({"key": KEY}))

    assert find_leaks(KEY, tmp_path / "home", tmp_path / "output") == [summary]
