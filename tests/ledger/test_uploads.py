"""Files are uploaded once for all runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from PIL import Image
from sqlalchemy import update

from airflow_provider_kling.ledger.database import database_of
from airflow_provider_kling.ledger.tables import uploads
from airflow_provider_kling.ledger.uploads import USED_FOR, SharedUploads

RUN = """
from airflow_provider_kling.operators.kling import KlingGenerateOperator

KlingGenerateOperator(task_id="make", payload=O1Image(prompt="@Image1 again", image_urls=[{picture!r}]))
"""
HOST = "https://api.segmind.com"


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "mug.png"
    Image.new("RGB", (640, 640), "teal").save(path)
    return str(path)


def test_a_file_is_uploaded_once_for_all_runs_and_each_run_pays_for_its_job(ledger, sim, conn_id, run_dag, picture):
    for _ in range(2):
        assert run_dag(RUN.format(picture=picture)).state == "success"
    assert (len(sim.uploads()), sim.ledger()["accepted"]) == (1, 2)
    first, second = (job["inputs"]["image_urls"] for job in sim.ledger()["jobs"])
    assert first == second


def test_what_is_known_is_the_accounts_own_and_young(database):
    mine, other = (SharedUploads(database, HOST, account, None) for account in ("a", "b"))
    now = datetime.now(tz=UTC)
    mine.add({"1" * 64: "https://x/1", "2" * 64: "https://x/2"}, now)
    mine.add({"2" * 64: "https://x/3"}, now)  # the first one stays, as long as it is used
    known = {"1" * 64: "https://x/1", "2" * 64: "https://x/2"}
    assert mine.addresses(["1" * 64, "2" * 64, "3" * 64]) == known
    mine.forget({"1" * 64: "https://x/another", "2" * 64: "https://x/2"})
    assert mine.addresses(["1" * 64, "2" * 64]) == {"1" * 64: "https://x/1"}
    assert other.addresses(["1" * 64]) == {}
    with database.changing() as connection:
        aged = uploads.c.uploaded_at
        (when,) = connection.execute(uploads.select().with_only_columns(aged).limit(1)).one()
        connection.execute(update(uploads).values(uploaded_at=when - USED_FOR - timedelta(seconds=1)))
    assert mine.addresses(["1" * 64]) == {}


def test_a_ledger_that_is_away_costs_another_upload(caplog):
    import logging

    from airflow.providers.common.compat.sdk import Connection

    fields = {"conn_type": "postgres", "host": "127.0.0.1", "port": 9, "login": "x", "schema": "x"}
    away = SharedUploads(database_of(Connection(conn_id="away", **fields)), HOST, "a", logging.getLogger("uploads"))
    with caplog.at_level("WARNING", logger="uploads"):
        assert away.addresses(["1" * 64]) == {}
        away.add({"1" * 64: "https://x/1"}, datetime.now(tz=UTC))
    assert "What other runs have uploaded is not known now" in caplog.text
    assert "Other runs will not know of these uploads" in caplog.text
