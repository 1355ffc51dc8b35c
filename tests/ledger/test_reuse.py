"""``reuse``: what was made for the same is handed on, at no cost."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airflow_provider_kling.hooks.segmind import SegmindHook
from airflow_provider_kling.ledger.cost_totals import totals
from airflow_provider_kling.ledger.reconciliation import reconcile
from tests.ledger.test_generations import rows
from tests.ledger.test_operators import ever

PAIR = """
submit = KlingSubmitOperator(
    task_id="submit", payload=O1Image(prompt={prompt!r}, image_urls=PICTURES), reuse="completed", {more}
)
KlingSensor(task_id="wait", request_id=submit.output, {wait})
"""
SINGLE = """
from airflow_provider_kling.operators.kling import KlingGenerateOperator

KlingGenerateOperator(
    task_id="make", payload=O1Image(prompt={prompt!r}, image_urls=PICTURES), reuse="completed", {more}
)
"""


def pair(prompt="@Image1", more="", wait='mode="poke", poll_interval=0.1'):
    return PAIR.format(prompt=prompt, more=more, wait=wait)


def single(prompt="@Image1", more=""):
    return SINGLE.format(prompt=prompt, more=more)


def billed(sim):
    return len(sim.ledger()["jobs"])


@pytest.mark.parametrize("wait", ['mode="poke", poll_interval=0.1', ""], ids=["on a worker", "deferred"])
def test_a_second_run_hands_on_what_the_first_one_made(ledger, sim, conn_id, run_dag, wait):
    first, second = run_dag(pair(wait=wait)), run_dag(pair(wait=wait))
    assert (first.state, second.state, billed(sim)) == ("success", "success", 1)
    job = sim.ledger()["jobs"][0]
    made, again = first.xcom("wait"), second.xcom("wait")
    assert (again["url"], again["cost"], again["reused_from"]) == (job["url"], 0.0, job["request_id"])
    assert (made["cost"], "reused_from" in made) == (0.035, False)
    assert second.xcom("submit") == job["request_id"]
    (total,) = totals(ledger, *ever(), [])
    assert (total.jobs, total.cost, total.reused) == (1, 0.035, 1)


def test_the_single_task_does_the_same_and_saves_the_file_of_both(ledger, sim, conn_id, run_dag, tmp_path):
    runs = [run_dag(single(more=f'store="{tmp_path}/{number}"')) for number in range(2)]
    assert (billed(sim), [run.state for run in runs]) == (1, ["success", "success"])
    saved = [Path(run.xcom("make")["files"][0]["path"].removeprefix("file://")) for run in runs]
    assert saved[0] != saved[1]
    assert saved[0].read_bytes() == saved[1].read_bytes()
    assert runs[1].xcom("make")["cost"] == 0.0


def test_another_prompt_a_variant_and_a_task_that_does_not_ask_for_it_pay(ledger, sim, conn_id, run_dag):
    run_dag(single())
    run_dag(single("a fox beside @Image1"))
    assert billed(sim) == 2
    for _ in range(2):
        run_dag(single(more='variant="{{ 1 + 1 }}"'))
    assert billed(sim) == 3
    run_dag(single().replace('reuse="completed"', 'reuse="never"'))
    assert billed(sim) == 4


def test_best_of_three_is_three_once(ledger, sim, conn_id, run_dag):
    three = """
KlingSubmitOperator.partial(
    task_id="submit", payload=O1Image(prompt="@Image1", image_urls=PICTURES), reuse="completed"
).expand(variant=["1", "2", "3"])
"""
    run_dag(three)
    run_dag(three)
    assert billed(sim) == 3


def test_a_cleared_task_hands_on_its_own_result_and_the_bill_stays(ledger, sim, conn_id, run_dag):
    for _ in range(3):
        run = run_dag(single(), again="own")
    assert (run.state, billed(sim)) == ("success", 1)
    assert (run.xcom("make")["cost"], run.xcom("make")["reused_from"]) == (0.0, run.xcom("make")["request_id"])
    (row,) = rows(ledger)
    assert (row.cost, row.state, row.used) == (0.035, "completed", True)


def test_a_job_that_runs_is_waited_for(ledger, sim, conn_id, run_dag):
    run_dag(single(more="wait_for_completion=False"))
    second = run_dag(single())
    assert (second.state, billed(sim)) == ("success", 1)
    assert second.xcom("make")["cost"] == 0.0
    assert sorted(row.state for row in rows(ledger)) == ["completed", "reused"]


def test_a_job_that_failed_is_no_result(ledger, sim, conn_id, run_dag):
    sim.order_fault("fail_job", error="bad picture")
    assert run_dag(single(more="retries=0")).state == "failed"
    assert run_dag(single()).state == "success"
    assert billed(sim) == 2


def test_one_that_fails_while_another_run_waits_for_it_is_made_again_once(ledger, sim, conn_id, run_dag):
    sim.order_fault("fail_job", error="bad picture")
    run_dag(single(more="wait_for_completion=False"))
    second = run_dag(single(more="retries=1"))
    assert (second.state, billed(sim)) == ("success", 2)
    assert second.xcom("make")["cost"] == 0.035


def test_a_result_whose_file_is_gone_is_made_again(ledger, sim, conn_id, run_dag):
    run_dag(pair())
    sim.order_fault("respond", status=404, method="GET", path="/generations/*", times=3)
    second = run_dag(pair())
    assert (second.state, billed(sim)) == ("success", 2)
    third = run_dag(pair())
    assert third.xcom("submit") == second.xcom("submit")


def test_a_file_that_segmind_has_deleted_is_copied_from_where_it_was_saved(ledger, sim, conn_id, run_dag, tmp_path):
    first = run_dag(single(more=f'store="{tmp_path}/a"'))
    sim.advance(8 * 24 * 3600)
    second = run_dag(single(more=f'store="{tmp_path}/b"'))
    assert (second.state, billed(sim)) == ("success", 1)
    kept, copied = first.xcom("make")["files"][0], second.xcom("make")["files"][0]
    assert (kept["sha256"], kept["width"]) == (copied["sha256"], copied["width"])
    Path(kept["path"].removeprefix("file://")).unlink()
    Path(copied["path"].removeprefix("file://")).unlink()
    assert run_dag(single(more=f'store="{tmp_path}/c"')).state == "success"
    assert billed(sim) == 2  # nothing is left of it


def test_a_result_that_is_too_old_is_made_again(ledger, sim, conn_id, run_dag):
    run_dag(single())
    run_dag(single(more="max_age=timedelta(days=1)"))
    assert billed(sim) == 1
    run_dag(single(more="max_age=0"))
    assert billed(sim) == 2


def test_what_costs_nothing_needs_no_budget(ledger, sim, conn_id, run_dag):
    run_dag(single())
    run = run_dag(single(more='max_cost="{{ 0.001 }}"'))
    assert (run.state, billed(sim)) == ("success", 1)


def test_it_is_set_for_all_tasks_in_the_config(ledger, sim, conn_id, run_dag, monkeypatch):
    monkeypatch.setenv("AIRFLOW__KLING__REUSE", "completed")
    for _ in range(2):
        run_dag(single().replace('reuse="completed", ', ""))
    assert billed(sim) == 1


def test_without_a_ledger_nothing_is_sent(sim, conn_id, run_dag, capfd):
    run_dag(single(more="retries=0"))
    assert billed(sim) == 0
    assert "reuse needs the ledger" in capfd.readouterr().out


def test_a_word_that_is_none_of_the_two_is_refused_as_the_dag_is_parsed(run_dag):
    with pytest.raises(ValueError, match='reuse: \'always\' is neither "never" nor "completed"'):
        run_dag(single().replace('"completed"', '"always"'))


def test_with_digests_alone_results_are_used_again_too(ledger, sim, conn_id, run_dag, monkeypatch):
    monkeypatch.setenv("AIRFLOW__KLING__STORE_PAYLOAD", "False")
    first, second = run_dag(single()), run_dag(single())
    assert billed(sim) == 1
    assert second.xcom("make")["url"] == first.xcom("make")["url"]
    assert "@Image1" not in json.dumps([str(value) for row in rows(ledger) for value in row])


CHAIN = """
from airflow_provider_kling.operators.kling import KlingGenerateOperator

picture = KlingGenerateOperator(
    task_id="picture", payload=O1Image(prompt="@Image1", image_urls=PICTURES), reuse="completed", store="{folder}/a"
)
KlingGenerateOperator(
    task_id="edit", payload=O1Image(prompt={prompt!r}, image_urls=[picture.output["url"]]), reuse="completed",
    store="{folder}/b", retries=0,
)
"""


def test_in_a_chain_whose_links_are_dead_the_step_that_differs_is_made_of_the_saved_file(
    ledger, sim, conn_id, run_dag, tmp_path
):
    def chain(prompt, number):
        return run_dag(CHAIN.format(prompt=prompt, folder=tmp_path / str(number)))

    first = chain("@Image1 at night", 1)
    sim.advance(8 * 86400)
    assert chain("@Image1 at night", 2).state == "success"
    assert billed(sim) == 2
    changed = chain("@Image1 at noon", 3)
    assert (changed.state, billed(sim)) == ("success", 3)
    sent = sim.ledger()["jobs"][-1]["inputs"]["image_urls"][0]
    assert (sent != first.xcom("picture")["url"], sent) == (True, sim.uploads()[-1]["url"])
    described = json.loads(next((tmp_path / "3" / "b").rglob("*.json")).read_text())
    assert "3/a/" in json.dumps(described["inputs"]), "the description leads back to the saved file"


def test_a_copy_does_as_well_when_the_file_that_was_saved_first_is_gone(ledger, sim, conn_id, run_dag, tmp_path):
    def saved(number):
        return run_dag(single(more=f'store="{tmp_path}/{number}"')).xcom("make")["files"][0]["path"]

    first = saved(1)
    sim.advance(8 * 86400)
    saved(2)
    Path(first.removeprefix("file://")).unlink()
    saved(3)
    assert billed(sim) == 1


KEPT = """
from airflow_provider_kling.transfers.segmind_to_object_storage import SegmindToObjectStorageOperator

submit = KlingSubmitOperator(task_id="submit", payload=O1Image(prompt="@Image1", image_urls=PICTURES))
done = KlingSensor(task_id="wait", request_id=submit.output, mode="poke", poll_interval=0.1)
SegmindToObjectStorageOperator(task_id="keep", result=done.output, destination="{folder}")
"""


def test_a_file_that_a_task_of_its_own_has_saved_does_as_well(ledger, sim, conn_id, run_dag, tmp_path):
    run_dag(KEPT.format(folder=tmp_path / "1"))
    sim.advance(8 * 86400)
    assert run_dag(single(more=f'store="{tmp_path}/2"')).state == "success"
    assert billed(sim) == 1


def test_a_result_that_nobody_waited_for_is_paid_and_not_used(ledger, sim, conn_id, run_dag):
    for wait in ("", "KlingSensor(task_id='wait', request_id=submit.output, mode='poke', poll_interval=0.1)"):
        run_dag(
            'submit = KlingSubmitOperator(task_id="submit", payload=O1Image(prompt="@Image1", image_urls=PICTURES))\n'
            + wait
        )
    sim.advance(200)
    segmind = SegmindHook()
    month = datetime.now(tz=UTC) - timedelta(days=1)
    reconcile(ledger, segmind, segmind.settings.host, month, month + timedelta(days=2), logging.getLogger())
    (total,) = totals(ledger, *ever(), [])
    assert (total.jobs, total.unused) == (2, 1)
