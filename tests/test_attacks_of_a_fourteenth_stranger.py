"""What a fourteenth tester, who wrote no fix, broke."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import update

from airflow_provider_kling.budget import KlingBudget
from airflow_provider_kling.budget.guard import BatchBalance, BudgetGuard
from airflow_provider_kling.hooks.segmind import SegmindHook
from airflow_provider_kling.ledger.owner import Owner, Wanted
from airflow_provider_kling.ledger.tables import generations
from airflow_provider_kling.ledger.task_ledger import TaskLedger
from airflow_provider_kling.operators.submission_driver import SubmissionDriver
from airflow_provider_kling.segmind.errors import KlingBudgetExceededError
from airflow_provider_kling.segmind.schemas import Receipt, Result
from airflow_provider_kling.storage.still_there import links_answer
from airflow_provider_kling.submission import steps
from airflow_provider_kling.submission.attempt import attempt
from airflow_provider_kling.submission.record import Record, read_claims
from airflow_provider_kling.submission.record_and_ledger import RecordAndLedger
from airflow_provider_kling.submission.submission import Submission
from tests.conftest import AIRFLOW_3
from tests.test_attacks_of_a_twelfth_stranger import server


class Memory:
    """What Airflow keeps of one task."""

    value = None

    def load(self):
        return self.value

    def save(self, record, **_):
        self.value = record.model_dump(mode="json")

    def delete(self):
        self.value = None


class Driver(SubmissionDriver):
    """The driver, but for Airflow and Segmind: it notes what is paid."""

    def __init__(self, database, number, paid, together):
        owner = Owner(deployment="", dag_id="film", run_id="one", task=f"submit[{number}]", project="film")
        wanted = Wanted(host="https://api.segmind.com", model="kling-o1", content=str(number) * 64)
        self.ledger = TaskLedger(database, owner, wanted)
        self.log = SimpleNamespace(info=print, warning=print, error=print)
        periods = KlingBudget(max_cost_per_dag_run=1.0).periods(datetime.now(tz=UTC))
        self.records = RecordAndLedger(Memory(), self.ledger, self.log, periods)
        self.ti = SimpleNamespace(xcom_push=lambda **_: None, run_id="one", map_index=number, task_id="submit")
        self.context = {"ti": self.ti}
        self.request = SimpleNamespace(model="kling-o1", parameters={})
        self.paid, self.together, self.number = paid, together, number

    def _carry_out(self, step):
        match step:
            case steps.CheckPlace():
                return None
            case steps.AskBalance():  # an answer of Segmind, or an upload, takes as long
                with suppress(threading.BrokenBarrierError):
                    self.together.wait(3)
                return BatchBalance(100.0)
            case steps.Post():
                self.paid.append(self.number)
                return Receipt(request_id=f"00000000-0000-4000-8000-{self.number:012d}")
        return super()._carry_out(step)


@pytest.mark.attack(
    "With a ledger, whoever fills a folder lets eight mapped tasks begin at the same moment", "the run's budget holds"
)
def test_a_runs_budget_holds_for_tasks_that_begin_together_where_there_is_a_ledger(ledger):
    paid, together = [], threading.Barrier(8)

    def submit(number):
        guard = BudgetGuard(model="kling-o1", high=0.5, chance=lambda: 0.1, limit=1.0, batch="submit")
        submission = Submission(
            model="kling-o1",
            payload={"prompt": str(number)},
            fingerprint=str(number) * 64,
            account="a",
            task=f"submit[{number}]",
            run="one",
            clock=lambda: datetime.now(tz=UTC),
            high=0.5,
            guard=guard,
        )
        with suppress(KlingBudgetExceededError):
            Driver(ledger, number, paid, together)._run(attempt(submission))

    threads = [threading.Thread(target=submit, args=(number,), daemon=True) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(45)
    assert len(paid) <= 2, f"{len(paid)} jobs of $0.50 were sent with a budget of $1.00 for the run"


MAKE = """
from airflow_provider_kling.budget import KlingBudget
from airflow_provider_kling.operators.kling import KlingGenerateOperator

KlingGenerateOperator(
    task_id="make", model="kling-3-text2image", payload={{"prompt": {prompt!r}}}, deferrable=False, poll_interval=0.2,
    {more}
)
"""


def make(prompt="a fox", more=""):
    return MAKE.format(prompt=prompt, more=more)


def billed(sim):
    return len(sim.ledger()["jobs"])


@pytest.mark.attack(
    "Data that changes between attempts makes a task take a result of another run in between",
    "the run's budget still counts what the task has paid before",
)
@pytest.mark.parametrize("between", [False, True], ids=["paid, paid", "paid, reused, paid"])
def test_a_result_that_is_used_again_wipes_no_bill_of_the_run(ledger, sim, conn_id, run_dag, between):
    run_dag(make("known", 'reuse="completed"'))  # $0.035
    limited = 'reuse="completed", budget=KlingBudget(max_cost_per_dag_run=0.05)'
    assert run_dag(make("first", limited), again="wiped").state == "success"
    assert billed(sim) == 2
    if between:
        assert run_dag(make("known", limited), again="wiped").state == "success"
        assert billed(sim) == 2
    run_dag(make("second", limited), again="wiped")
    assert billed(sim) == 2, "a second job of $0.035 in a run with a budget of $0.05"


@pytest.mark.attack(
    "A gateway answers one poll: COMPLETED, with a link to a web page", "a retry asks Segmind, and saves the paid file"
)
@pytest.mark.parametrize("with_ledger", [False, True], ids=["no ledger", "ledger"])
def test_one_wrong_answer_loses_no_paid_file_for_good(request, sim, conn_id, run_dag, tmp_path, with_ledger):
    if with_ledger:
        request.getfixturevalue("ledger")
    wrong = {"status": "COMPLETED", "output": [f"{sim.url}/v1/models"], "metrics": {"cost": 0.035}}
    sim.order_fault("respond", method="GET", path="/v2/requests/*", times=2, status=200, body=wrong)
    run = run_dag(make(more=f'store="{tmp_path}/out", retries=2'))
    assert billed(sim) == 1
    assert run.state == "success", "every retry takes the noted link, and never asks Segmind again"


@pytest.mark.attack(
    "A gateway answers one poll: COMPLETED, with a link to a web page", "other DAGs that want the same get a file"
)
def test_one_wrong_answer_does_not_stop_every_task_that_wants_the_same(ledger, sim, conn_id, run_dag, tmp_path):
    wrong = {"status": "COMPLETED", "output": [f"{sim.url}/v1/models"], "metrics": {"cost": 0.035}}
    sim.order_fault("respond", method="GET", path="/v2/requests/*", times=2, status=200, body=wrong)
    run_dag(make(more=f'store="{tmp_path}/out", reuse="completed"'))
    other = run_dag(make(more=f'store="{tmp_path}/other", reuse="completed"'))
    assert other.state == "success", "the noted link counts as good, for ever and for every DAG"


@pytest.mark.attack(
    "Segmind answers with a result of 7,000 links, whose server takes its time", "16 of them are asked at the most"
)
def test_a_result_of_many_links_that_are_slow_keeps_no_worker_for_hours(set_connection):
    late = threading.Event()

    def answer(_):
        return (404, {}, b"", 0) if late.is_set() else (200, {"Content-Type": "video/mp4"}, b"x", 0.25)

    with server(answer) as (url, asked):
        hook = SegmindHook(set_connection(host=url))
        body = json.dumps({"status": "COMPLETED", "output": [f"{url}/{n:x}" for n in range(7000)]})
        assert len(body) < 256 * 1024
        links = Result.model_validate_json(body).urls
        looking = threading.Thread(target=links_answer, args=(links, hook), daemon=True)
        looking.start()
        looking.join(12)
        took_long, number = looking.is_alive(), len(asked)
        late.set()
        looking.join(5)
    assert not took_long, f"{number} of {len(links)} links in 12 s: each may take {hook.settings.timeout:g} s and more"


@pytest.mark.attack(
    "A gateway answers one submit with an id that does not exist", "after a day others do not wait for it any more"
)
def test_one_id_that_nobody_knows_does_not_stop_every_task_that_wants_the_same(ledger, sim, conn_id, run_dag):
    bogus = {"request_id": "2c7f59ea-13f1-402c-9353-915a2b5a2124", "status": "QUEUED"}
    sim.order_fault("respond", method="POST", path="/v2/kling-*", times=1, status=200, body=bogus)
    run_dag(make(more='reuse="completed", timeout=1, retries=0'))
    yesterday = datetime.now(tz=UTC) - timedelta(days=1)
    with ledger.changing() as connection:
        connection.execute(update(generations).values(accepted_at=yesterday, intended_at=yesterday))
    states = [run_dag(make(more='reuse="completed", timeout=30, retries=0')).state for _ in range(2)]
    assert states[-1] == "success", "Segmind said that it does not know it, and the next one takes it all the same"


@pytest.mark.attack("A task that takes its own result again is cleared", "its bill stays in the month it was paid")
def test_a_clear_moves_no_job_to_another_month(ledger, sim, conn_id, run_dag):
    run_dag(make(more='reuse="completed"'), again="moved")
    before = datetime.now(tz=UTC) - timedelta(days=40)
    with ledger.changing() as connection:
        connection.execute(update(generations).values(accepted_at=before, intended_at=before))
    run_dag(make(more='reuse="completed"'), again="moved")
    with ledger.reading() as connection:
        (row,) = connection.execute(generations.select()).all()
    assert billed(sim) == 1
    assert row.intended_at == before


@pytest.mark.attack("Segmind bills next to nothing for a job that is done", "a month's budget does not believe it")
def test_a_bill_of_nothing_opens_no_budget_of_a_month(ledger, sim, conn_id, run_dag):
    free = {"status": "COMPLETED", "output": [f"{sim.url}/simulator/inputs/robot.png"], "metrics": {"cost": 0.0}}
    sim.order_fault("respond", method="GET", path="/v2/requests/*", times=99, status=200, body=free)
    for number in range(3):
        run_dag(make(f"fox {number}", 'budget=KlingBudget(max_cost_per_month=0.05, project="p")'))
    assert billed(sim) == 1


@pytest.mark.attack(
    "A run's parameter hands over a job of another prompt, by the author's template",
    "no other task takes it for what it wants",
)
def test_a_job_that_was_handed_over_is_no_result_of_the_payload(ledger, sim, conn_id, run_dag):
    run_dag(make("anything else"))
    job = sim.ledger()["jobs"][0]["request_id"]
    with ledger.changing() as connection:  # sent before there was a ledger, or by hand
        connection.execute(generations.delete())
    run_dag(make(more="adopt_request_id=\"{{ dag_run.conf.get('job', '') }}\""), run_conf={"job": job})
    other = run_dag(make(more='reuse="completed"'))
    assert other.xcom("make")["request_id"] != job


@pytest.mark.attack(
    "Who may write in the bucket of results replaces one by a file of the same size", "the result counts as gone"
)
def test_a_saved_file_that_is_another_by_now_stops_nobody(ledger, sim, conn_id, run_dag, tmp_path):
    first = run_dag(make(more=f'store="{tmp_path}/a", reuse="completed"'))
    file = Path(first.xcom("make")["files"][0]["path"].removeprefix("file://"))
    file.write_bytes(bytes(file.stat().st_size))
    sim.advance(8 * 24 * 3600)
    assert run_dag(make(more=f'store="{tmp_path}/b", reuse="completed", retries=1')).state == "success"


@pytest.mark.attack("Segmind repeats the prompt in a result's metrics", "not stored where only digests are")
def test_the_metrics_of_an_answer_bring_no_prompt_into_a_ledger_of_digests(ledger, sim, conn_id, run_dag, monkeypatch):
    monkeypatch.setenv("AIRFLOW__KLING__STORE_PAYLOAD", "False")
    told = {"cost": 0.035, "prompt": "a secret fox"}
    done = {"status": "COMPLETED", "output": [f"{sim.url}/simulator/inputs/robot.png"], "metrics": told}
    sim.order_fault("respond", method="GET", path="/v2/requests/*", times=9, status=200, body=done)
    run_dag(make("a secret fox"))
    with ledger.reading() as connection:
        rows = connection.execute(generations.select()).all()
    assert "secret fox" not in str([list(row) for row in rows])


@pytest.mark.attack(
    "Data that changes between a submit that Airflow timed out and its retry",
    "nobody gets its result for what was wanted before",
)
@pytest.mark.parametrize("late", [False, True], ids=["not timed out", "timed out at first"])
@pytest.mark.skipif(not AIRFLOW_3, reason="the timeout of a task ends dag.test() itself on Airflow 2")
def test_the_row_of_an_intent_that_was_given_up_says_nothing_of_the_next_job(ledger, sim, conn_id, run_dag, late):
    if late:
        sim.order_fault("hold", method="POST", path="/v2/kling-*", times=1, seconds=30)
    prompt = "\"a {{ ['red', 'grey'][ti.try_number - 1] }} fox\""
    changing = make("fox", "retries=1, execution_timeout=timedelta(seconds=6)").replace("'fox'", prompt)
    assert run_dag(changing).state == "success"
    wanted = "a red fox"
    other = run_dag(make(wanted, 'reuse="completed"'))
    sent = [job["payload"]["prompt"] if "payload" in job else job for job in sim.ledger()["jobs"]]
    if not late:
        assert (billed(sim), other.state) == (1, "success")
        return
    assert billed(sim) == 2, f"the task that wanted {wanted!r} was given the result of {sent}"


@pytest.mark.attack(
    "A run's data names a list or a number as a request id", "the error that says so, as without a ledger"
)
@pytest.mark.parametrize("with_ledger", [False, True], ids=["no ledger", "ledger"])
@pytest.mark.parametrize("name", [["a"], 5], ids=["list", "number"])
def test_what_is_no_request_id_is_told(request, sim, conn_id, run_dag, capfd, with_ledger, name):
    if with_ledger:
        request.getfixturevalue("ledger")
    wait = f'KlingSensor.partial(task_id="wait", mode="poke", retries=0, timeout=5).expand(request_id=[{name!r}])'
    run_dag(wait)
    assert "SegmindInputError: request_id" in capfd.readouterr().out


@pytest.mark.attack(
    "A gateway keeps the answers to submits, and data changes between the tries",
    "what may be paid for the one before counts against the budget",
)
@pytest.mark.parametrize("limit", ["max_cost_per_dag_run", "max_cost_per_month"])
@pytest.mark.skipif(not AIRFLOW_3, reason="the timeout of a task ends dag.test() itself on Airflow 2")
def test_an_intent_that_was_given_up_still_counts_against_a_budget(ledger, sim, conn_id, run_dag, limit):
    sim.order_fault("hold_after", method="POST", path="/v2/kling-*", times=2, seconds=30)
    prompt = '"fox {{ ti.try_number }}"'
    limits = f"retries=2, execution_timeout=timedelta(seconds=6), budget=KlingBudget({limit}=0.05)"
    run_dag(make("fox", limits).replace("'fox'", prompt))
    assert sim.ledger()["accepted"] == 1, "of $0.035 each, with a budget of $0.05"


@pytest.mark.attack("A run's data names a job that another key has sent", "refused, as without a ledger")
@pytest.mark.parametrize("with_ledger", [False, True], ids=["no ledger", "ledger"])
def test_a_wait_with_another_key_gets_no_result_of_others(request, sim, conn_id, set_connection, run_dag, with_ledger):
    if with_ledger:
        request.getfixturevalue("ledger")
    run_dag(make())
    job = sim.ledger()["jobs"][0]["request_id"]
    other = set_connection(password="SG_of_somebody_else_0123")
    wait = (
        f'KlingSensor(task_id="wait", mode="poke", retries=0, timeout=5, request_id={job!r}, segmind_conn_id={other!r})'
    )
    run = run_dag(wait)
    assert run.state == "failed"


@pytest.mark.attack("The name of a task is as long as Airflow takes it, and it is mapped", "each instance is seen")
def test_mapped_tasks_with_a_long_name_are_seen_one_by_one(ledger):
    wanted = Wanted(host="https://api.segmind.com", model="kling-o1", content="c" * 64)

    def task(number):
        owner = Owner(deployment="", dag_id="film", run_id="one", task=f"{'s' * 250}[{number}]", project="film")
        return TaskLedger(ledger, owner, wanted)

    for number in range(3):
        record = Record(fingerprint="f", account="a", model="kling-o1", intended_at=datetime.now(tz=UTC), high=0.5)
        task(number).save(record)
    assert len({claim.name for claim in read_claims(task(9).claims_of_run())}) == 3


@pytest.mark.attack("A saved file is larger than the store of another task takes", "refused, as a download is")
def test_a_copy_is_no_larger_than_a_download_may_be(ledger, sim, conn_id, run_dag, tmp_path):
    first = run_dag(make(more=f'store="{tmp_path}/a", reuse="completed"'))
    assert first.xcom("make")["files"][0]["size"] > 100
    sim.advance(8 * 24 * 3600)
    small = make(more=f'store=Store("{tmp_path}/b", max_bytes=100), reuse="completed", retries=0')
    run_dag("from airflow_provider_kling.storage.store import Store\n" + small)
    assert not [file for file in Path(tmp_path, "b").rglob("*.png") if file.stat().st_size > 100]


@pytest.mark.attack(
    "The server of the files answers one request for a young result with 404 or 403",
    "asked again, as a download is, and nothing is paid twice",
)
@pytest.mark.parametrize("status", [403, 404])
def test_one_answer_of_a_file_server_pays_no_result_again(ledger, sim, conn_id, run_dag, status):
    run_dag(make(more='reuse="completed"'))
    sim.order_fault("respond", status=status, method="GET", path="/generations/*", times=1)
    run_dag(make(more='reuse="completed"'))
    assert billed(sim) == 1
