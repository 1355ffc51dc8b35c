from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from airflow_provider_kling.ledger.owner import Owner, Wanted
from airflow_provider_kling.ledger.results import JobLedger
from airflow_provider_kling.ledger.tables import generations
from airflow_provider_kling.ledger.task_ledger import TaskLedger
from airflow_provider_kling.segmind.schemas import Result
from airflow_provider_kling.submission.record import Claim, Record, read_record
from airflow_provider_kling.submission.steps import TakenError

NOW = datetime(2026, 11, 30, 12, 0, 0, 123456, tzinfo=UTC)
WANTED = Wanted(host="https://api.segmind.com", model="kling-o1", content="c" * 64, payload='{"prompt": "🦊"}')


def task(database, name="submit", *, run="one", dag="film", deployment=""):
    owner = Owner(deployment=deployment, dag_id=dag, run_id=run, task=name, project=dag)
    return TaskLedger(database, owner, WANTED)


def intent(**fields):
    return Record(fingerprint="f", account="a", model="kling-o1", intended_at=NOW, high=0.5, **fields)


def job(number):
    return f"00000000-0000-4000-8000-{number:012d}"


def rows(database):
    with database.reading() as connection:
        return connection.execute(select(generations).order_by(generations.c.number, generations.c.id)).all()


def test_what_is_saved_is_loaded_by_the_same_task_and_no_other(database):
    ledger = task(database)
    assert ledger.load() is None
    ledger.save(intent())
    accepted = intent(request_id=job(1), accepted_at=NOW)
    ledger.save(accepted)
    assert read_record(task(database).load()) == accepted
    for other in (task(database, "edit"), task(database, run="two"), task(database, deployment="staging")):
        assert other.load() is None
    (row,) = rows(database)
    assert (row.state, row.request_id, row.intended_at, row.payload) == ("accepted", job(1), NOW, WANTED.payload)


def test_a_job_is_one_tasks_alone(database):
    task(database, "a").save(intent(request_id=job(1)))
    with pytest.raises(TakenError, match="another task's job"):
        task(database, "b").save(intent(request_id=job(1).upper(), found=True))
    assert task(database, "b").load() is None


def test_a_job_that_a_user_hands_over_is_billed_where_it_was_sent(database):
    task(database, "a").save(intent(request_id=job(1), cost=0.4))
    task(database, "b").save(intent(request_id=job(1), ordered=(job(1),)))
    assert sorted((row.task, row.request_id, row.reused_from, row.cost) for row in rows(database)) == [
        ("a", job(1), None, 0.4),
        ("b", None, job(1), 0.0),
    ]
    assert read_record(task(database, "b").load()).request_id == job(1)


def test_each_job_of_a_task_has_a_row_and_an_intent_without_one_has_none_in_the_end(database):
    ledger = task(database)
    ledger.save(intent(request_id=job(1), closed=True))
    ledger.save(intent(former=(job(1),)))
    assert [row.state for row in rows(database)] == ["accepted", "sending"]
    ledger.save(intent(former=(job(1),), request_id=job(2)))
    assert [(row.number, row.request_id) for row in rows(database)] == [(0, job(1)), (1, job(2))]
    ledger.save(intent(former=(job(1), job(2))))
    ledger.save(intent(request_id=job(2), former=(job(1),)))  # refused: the record before it is restored
    assert [row.request_id for row in rows(database)] == [job(1), job(2)]
    assert read_record(ledger.load()).request_id == job(2)
    ledger.save(intent(former=(job(1), job(2))))
    ledger.delete()
    assert [row.request_id for row in rows(database)] == [job(1), job(2)]


def test_a_job_that_was_accepted_while_the_ledger_was_away_keeps_its_row(database):
    ledger = task(database)
    ledger.save(intent())
    ledger.save(intent(former=(job(1),)))  # after a clear: job 1 came of the first intent
    assert [(row.request_id, row.state) for row in rows(database)] == [(job(1), "accepted"), (None, "sending")]


def test_others_see_what_each_task_has_and_what_it_shows_in_its_place(database):
    me, sibling, stranger = task(database), task(database, "submit[1]"), task(database, run="two")
    other_dag = task(database, dag="clips")
    me.save(intent())
    sibling.save(intent(request_id=job(1)))
    stranger.save(intent(request_id=job(2)))
    other_dag.save(intent(request_id=job(3)))
    assert [claim["task"] for claim in me.claims_of_run()] == ["submit[1]"]
    elsewhere = me.claims_elsewhere(NOW - timedelta(days=1))
    assert sorted((claim["run"], claim["record"]["request_id"]) for claim in elsewhere) == [
        ("/clips/one", job(3)),
        ("two", job(2)),
    ]
    assert me.claims_elsewhere(NOW + timedelta(seconds=1)) == []
    sibling.show(Claim(task="submit[1]", run="one", record=intent(unclear=True)))
    assert me.claims_of_run()[0]["record"]["unclear"] is True
    assert read_record(sibling.load()).request_id == job(1)
    sibling.show(None)
    assert me.claims_of_run()[0]["record"] is None
    sibling.save(intent(request_id=job(1)))
    assert me.claims_of_run()[0]["record"]["request_id"] == job(1)


def test_the_end_of_a_job_is_written_by_whoever_waits_for_it(database):
    ledger = task(database)
    ledger.save(intent(request_id=job(1)))
    waiting = JobLedger(database, WANTED.host, job(1).upper(), None)
    waiting.completed(
        Result.model_validate({"status": "COMPLETED", "output": ["https://x/1.mp4"], "metrics": {"cost": 0.35}}),
        is_used=True,
    )
    waiting.saved([{"path": "s3://b/other.mp4"}], ["https://x/other.mp4"])
    waiting.saved([{"path": "s3://b/🦊.mp4"}], ["https://x/1.mp4"])
    ledger.save(intent(request_id=job(1), closed=True))
    (row,) = rows(database)
    assert (row.state, row.cost, row.used) == ("completed", 0.35, True)
    assert json.loads(row.files) == [[{"path": "s3://b/🦊.mp4"}]]
    assert json.loads(row.output)["output"] == ["https://x/1.mp4"]
    assert ledger.bills_of_run() == [{"request_id": job(1), "model": "kling-o1", "cost": 0.35, "failed": False}]


def test_of_many_that_take_one_job_at_once_one_gets_it(database):
    def take(number):
        try:
            task(database, f"submit[{number}]").save(intent(request_id=job(1), found=True))
        except TakenError:
            return 0
        return 1

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(take, range(16))) == 1


def test_a_record_that_the_ledger_cannot_know_is_left_to_airflow(database):
    ledger = TaskLedger(database, task(database).owner, None)
    ledger.save(intent(request_id=job(1), closed=True))
    assert rows(database) == []
