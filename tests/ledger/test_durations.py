"""What one process has seen of a model's durations, others know."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from airflow_provider_kling.hooks.segmind import SegmindHook
from airflow_provider_kling.hooks.segmind_async import SegmindAsyncHook
from airflow_provider_kling.ledger.durations import latest_durations
from airflow_provider_kling.ledger.results import JobLedger
from airflow_provider_kling.ledger.tables import generations
from airflow_provider_kling.operators.reuse import checked_variant
from airflow_provider_kling.segmind.schemas import Result
from airflow_provider_kling.simulator import Simulator
from airflow_provider_kling.triggers.kling import KlingTrigger
from tests.conftest import connection_json
from tests.ledger.test_generations import NOW, WANTED, intent, job, rows, task

#: What a DAG's author takes for usual; the jobs of these tests take a tenth of it.
EXPECTED = 600.0


def took(database, seconds, *, number=0, host=WANTED.host, total=None):
    """Note jobs that took so many seconds, each a minute after the one before."""
    for place, each in enumerate(seconds, start=number):
        ledger = task(database, f"submit[{place}]")
        wanted = type(WANTED)(host=host, model="kling-o1", content="c")
        type(ledger)(database, ledger.owner, wanted).save(intent(request_id=job(place)))
        done = {"status": "COMPLETED", "metrics": {"total_time": each}, "output": "https://a/b.png"}
        JobLedger(database, host, job(place), None).completed(Result.model_validate(done))
        with database.changing() as connection:
            ended = update(generations).where(generations.c.request_id == job(place))
            connection.execute(ended.values(ended_at=NOW + timedelta(minutes=place)))


def test_the_last_jobs_of_a_model_are_told_oldest_first(database):
    took(database, [50.0, 60.0, 70.0, None])
    took(database, [5.0], number=9, host="http://127.0.0.1:8000")
    assert latest_durations(database, WANTED.host, "kling-o1", 2) == [60.0, 70.0]
    assert latest_durations(database, WANTED.host, "kling-o1", 9) == [50.0, 60.0, 70.0]
    assert latest_durations(database, WANTED.host, "kling-o3", 9) == []


def test_a_triggerer_that_has_seen_no_job_polls_when_others_jobs_were_done(ledger, monkeypatch, pictures):
    with Simulator(time_scale=20, requests_per_minute=600, height=72) as sim:
        monkeypatch.setenv(
            "AIRFLOW_CONN_SEGMIND_DEFAULT", connection_json(sim, extra={"requests_per_minute": 600, "time_scale": 20})
        )
        took(ledger, [60.0] * 40, host=sim.url)
        sent = SegmindHook().submit("kling-o1", {"prompt": "@Image1", "image_urls": pictures})

        async def wait():
            deadline = (datetime.now(tz=UTC) + timedelta(seconds=60)).isoformat()
            async with SegmindAsyncHook():  # as a triggerer that other waits have kept busy
                trigger = KlingTrigger(sent.request_id, deadline, model="kling-o1", usual_latency=EXPECTED)
                (event,) = [event async for event in trigger.run()]
                return event.payload

        assert "result" in asyncio.run(wait())
        submit, *_, last = (request["time"] for request in sim.requests())
        # By what its author takes for usual, the first close poll would come after 18 s.
        assert last - submit < 12


WAITING = """
from airflow_provider_kling.operators.kling import KlingGenerateOperator

KlingGenerateOperator(
    task_id="make", payload=O1Image(prompt="@Image1", image_urls=PICTURES), deferrable=False
)
"""


def test_a_worker_that_waits_asks_the_ledger_too(ledger, monkeypatch, run_dag):
    with Simulator(time_scale=100, requests_per_minute=0, height=72) as sim:
        monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", connection_json(sim, extra={"time_scale": 100}))
        took(ledger, [1200.0] * 100, host=sim.url)
        assert run_dag(WAITING).state == "success"
        first, *_, last = (request["time"] for request in sim.requests() if request["method"] == "GET")
    # The job ends after 0.6 s. By the published 60 s the polls around that time are a fifth of a second apart; by what
    # the ledger has, the second poll comes after 2 s.
    assert last - first > 1.5


@pytest.mark.attack("A time beyond all bounds in an answer", "the job's end is noted all the same")
def test_a_job_with_an_absurd_time_is_noted_without_it(database):
    took(database, [1e300])
    (row,) = rows(database)
    assert (row.state, row.seconds) == ("completed", None)


@pytest.mark.attack("Variants that differ in spaces at the end", "they are one, whatever the database takes for equal")
def test_a_variant_has_no_spaces_around_it():
    assert checked_variant(" x ") == "x"
