from __future__ import annotations

import logging

import pytest
from sqlalchemy import text

from airflow_provider_kling.segmind.errors import KlingLedgerSettingsError
from airflow_provider_kling.submission.record import read_record
from airflow_provider_kling.submission.record_and_ledger import RecordAndLedger, newer
from airflow_provider_kling.submission.record_store import RecordStore
from tests.ledger.test_generations import intent, job, rows, task


class Kept(dict):
    """A task's state, as Airflow 3.3 keeps it."""

    def set(self, key, value):
        self[key] = value

    def delete(self, key):
        self.pop(key, None)


def rename(database, before, after):
    with database.changing() as connection:
        connection.execute(text(f"ALTER TABLE {before} RENAME TO {after}"))


def test_a_ledger_that_goes_away_after_the_post_loses_no_job_and_follows_later(database, caplog):
    store = RecordAndLedger(RecordStore(Kept(), None), task(database), logging.getLogger("task"))
    store.save(intent(), before_post=True)
    rename(database, "kling_generation", "kling_away")
    accepted = intent(request_id=job(1))
    store.save(accepted)
    assert f"Request {job(1)} is recorded in Airflow" in caplog.text
    assert read_record(store.load()) == accepted  # a wait goes on
    with pytest.raises(KlingLedgerSettingsError, match="migrate"):
        task(database, "another").load()
    with pytest.raises(KlingLedgerSettingsError, match="migrate"):
        store.save(intent(former=(job(1),)), before_post=True)
    rename(database, "kling_away", "kling_generation")
    assert read_record(store.load()) == accepted
    store.conclude(0.4, succeeded=True)
    (row,) = rows(database)
    assert (row.request_id, row.cost, row.used) == (job(1), 0.4, True)


def test_of_two_records_the_newer_counts_and_of_one_job_airflows():
    first, second = intent(), intent(request_id=job(1))
    closed = second.model_copy(update={"closed": True})
    as_json = [record.model_dump(mode="json") for record in (first, second, closed)]
    assert newer(as_json[0], as_json[1]) == as_json[1]
    assert newer(as_json[1], as_json[0]) == as_json[1]
    assert newer(as_json[1], as_json[2]) == as_json[1]
    assert newer(None, as_json[0]) == newer(as_json[0], None) == as_json[0]
    assert newer("broken", as_json[0]) == "broken"
