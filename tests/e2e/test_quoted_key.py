"""Segmind quotes the key wherever it can: no log and no row of Airflow's database holds it, whoever wrote them."""

from __future__ import annotations

import base64
from contextlib import closing
from typing import TYPE_CHECKING

import psycopg2
import pytest

from airflow_provider_kling.segmind import redaction

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.xdist_group("airflow")

REFUSED, MOVED, FAILED, DONE, LOST = (
    "kling-text2video",
    "kling-1.6-text2video",
    "kling-3-pro-text2video",
    "kling-o3-text2video",
    "kling-3-standard-text2video",
)
DAG_FILE = f"""
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_kling.operators.kling import KlingGenerateOperator, KlingSubmitOperator
from airflow_provider_kling.sensors.kling import KlingSensor

with DAG("quoted", schedule=None):
    for name, model in {{"refused": {REFUSED!r}, "moved": {MOVED!r}}}.items():
        KlingSubmitOperator(task_id=name, model=model, payload={{"prompt": "a robot", "duration": "5"}})
    for name, model in {{"failed": {FAILED!r}, "done": {DONE!r}}}.items():
        KlingGenerateOperator(task_id=name, model=model, payload={{"prompt": "a robot", "duration": "5"}})
    submit = KlingSubmitOperator(task_id="submit", model={LOST!r}, payload={{"prompt": "a robot", "duration": "5"}})
    KlingSensor(task_id="lost", request_id=submit.output, timeout=5, poll_interval=1)
"""


def rows(database: str) -> Iterator[str]:
    """Yield every row of every table, as text."""
    host, _, name = database.partition("/")
    address, _, port = host.partition(":")
    with closing(psycopg2.connect(host=address, port=port, dbname=name, user="airflow")) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
        for (table,) in cursor.fetchall():
            cursor.execute(f'SELECT t::text FROM "{table}" t')  # noqa: S608 a name of Airflow's own
            yield from (f"{table}: {row}" for (row,) in cursor.fetchall())


@pytest.mark.attack(
    "Segmind quotes the key to workers and the triggerer", "in no task log, no XCom, no row, no process's log"
)
def test_a_key_that_is_quoted_is_in_no_log_and_no_row(running, sim):
    key = sim.api_key
    escaped = "".join(f"\\u{ord(char):04x}" for char in key)
    in_base64 = base64.b64encode(f"x-api-key: {key}".encode()).decode()
    json = {"headers": {"Content-Type": "application/json"}}
    sim.order_fault("respond", method="POST", model=REFUSED, status=401, body=f'{{"error": "{escaped}"}}', **json)
    sim.order_fault(
        "respond", method="POST", model=MOVED, status=301, headers={"Location": f"https://{key}.e/{in_base64}"}, body=""
    )
    quoted = f'"error": "{escaped} {in_base64} {key}", "metrics": {{"{escaped}": "{key}"}}'
    sim.order_fault(
        "respond", method="GET", model=FAILED, times=99, status=422, body=f'{{"status": "FAILED", {quoted}}}', **json
    )
    output = f'"output": {{"url": "https://e.example/{key}.mp4?{in_base64}", "{escaped}": ["{escaped}"]}}'
    sim.order_fault(
        "respond", method="GET", model=DONE, times=99, status=200, body=f'{{"status": "COMPLETED", {output}}}', **json
    )
    sim.order_fault("respond", method="GET", model=LOST, times=9999, status=502, body=f"<p>{key} {in_base64}")
    try:
        running.write_dag("quoted", DAG_FILE)
        running.trigger("quoted", "quoted-1")
        assert running.run_ends("quoted-1") == "failed"
    finally:
        sim.clear_faults()
    assert running.states("quoted-1", "done") == ["success"]
    assert "***" in running.xcom("quoted-1", "done", "url")
    logs = running.task_logs("quoted-1")
    for task_id in ("refused", "moved", "failed", "lost"):
        assert "***" in "".join(part for part in logs.split("--- ") if f"task_id={task_id}/" in part), task_id
    places = [("a row", row) for row in rows(running.database)]
    places += [(str(log), log.read_text(errors="replace")) for log in running.home.rglob("*.log*") if log.is_file()]
    wanted = [*redaction.forms(key), escaped]
    assert not [(place, form) for place, text in places for form in wanted if form in text]
