"""A limit on what a task and a run may cost, over real sockets and on real Airflow: what counts is what was billed."""

from __future__ import annotations

import json

import pytest
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_kling.budget import KlingBudget
from airflow_provider_kling.operators.kling import KlingSubmitOperator
from airflow_provider_kling.payloads import O1Image, O1ImageToVideo, O3TextToVideo
from airflow_provider_kling.segmind.errors import KlingBudgetExceededError, SegmindInputError
from airflow_provider_kling.simulator import Simulator
from tests.conftest import AIRFLOW_3, connection_json

IMPORT = "from airflow_provider_kling.budget import KlingBudget\n"
FAN_OUT = (
    IMPORT
    + """
    submit = KlingSubmitOperator.partial(task_id="submit", {arguments}).expand(
        payload=[O1Image(prompt=f"@Image1 in colour {{n}}", image_urls=PICTURES) for n in range({count})]
    )
    KlingSensor.partial(task_id="done", poll_interval=0.2).expand(request_id=submit.output)
"""
)


def dag(text, **names):
    """Return tasks whose import stands where run_dag dedents it."""
    return text.format(**names).replace("\n    ", "\n")


def posts(sim):
    return [request for request in sim.requests() if request["method"] == "POST"]


def balance_looks(sim):
    return [request for request in sim.requests() if request["path"] == "/v1/get-user-credits"]


# --- max_cost


def test_a_job_that_may_cost_more_than_max_cost_is_an_error_when_the_dag_file_is_parsed():
    payload = O3TextToVideo(prompt="a fox", duration=3)
    KlingSubmitOperator(task_id="x", payload=payload, max_cost=1.05)
    with pytest.raises(KlingBudgetExceededError, match=r"max_cost is \$1.00.*up to \$1.05.*shorter video"):
        KlingSubmitOperator(task_id="x", payload=payload, max_cost=1.0)
    with pytest.raises(KlingBudgetExceededError):
        KlingSubmitOperator(
            task_id="x", payload={"prompt": "x", "duration": 3}, model="kling-o3-text2video", max_cost=1
        )


def test_what_is_not_known_at_parsing_is_left_to_the_task():
    for payload in (
        O3TextToVideo(prompt="a fox", duration="{{ params.seconds }}"),
        O1ImageToVideo(prompt="a fox", start_image_url="https://x/y.png"),
    ):
        KlingSubmitOperator(task_id="x", payload=payload, max_cost=0.01)
    KlingSubmitOperator(task_id="x", payload=O3TextToVideo(prompt="a fox"), max_cost="{{ params.limit }}")
    KlingSubmitOperator(task_id="x", payload="{{ ti.xcom_pull() }}", model="kling-o3-text2video", max_cost=0.01)


@pytest.mark.parametrize("cost", [0, -1, float("nan"), float("inf"), True, "cheap"])
def test_a_limit_is_a_number_of_dollars(cost):
    payload = O1Image(prompt="x", image_urls=["https://x/y.png"])
    with pytest.raises(SegmindInputError, match=r"max_cost: .* is not a number of US dollars above 0"):
        KlingSubmitOperator(task_id="x", payload=payload, max_cost=cost)
    with pytest.raises(SegmindInputError, match="max_cost_per_dag_run"):
        KlingBudget(max_cost_per_dag_run=cost)
    with pytest.raises(SegmindInputError, match=r"prices\['kling-o1'\]"):
        KlingBudget(max_cost_per_dag_run=1, prices={"kling-o1": cost})
    with pytest.raises(SegmindInputError, match="is not a KlingBudget"):
        KlingSubmitOperator(task_id="x", payload=payload, budget=5.0)


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (
            'payload=O3TextToVideo(prompt="x", duration="{{ 5 }}"), max_cost=1.5',
            "max_cost is $1.50, and kling-o3-text2video may cost up to $1.75 (price: $1.05 to $1.75). Nothing was",
        ),
        (
            'payload=O3TextToVideo(prompt="x", duration=5), max_cost="{{ params.limit }}", params={"limit": 1.5}',
            "max_cost is $1.50, and",
        ),
        (
            'payload=O1ImageToVideo(prompt="x", start_image_url=PICTURES[0]), max_cost=2.0',
            "The cost of kling-o1-image-to-video is not published, $0.909 on average, so max_cost cannot be enforced.",
        ),
        (
            'payload={"prompt": "x"}, model="kling-99", budget=KlingBudget(2.0)',
            "The cost of kling-99 is unknown, so the budget of the run cannot be enforced.",
        ),
        ('payload=O1Image(prompt="x", image_urls=PICTURES), max_cost="{{ \'much\' }}"', "max_cost: 'much' is not"),
        ('payload=O1Image(prompt="x", image_urls=PICTURES), budget=KlingBudget(0.03)', "which is $0.005 too much"),
    ],
)
def test_a_job_that_may_cost_too_much_is_not_sent_and_the_figures_are_named(sim, conn_id, run_dag, capfd, task, words):
    run = run_dag(IMPORT + f'KlingSubmitOperator(task_id="submit", retries=2, {task})')
    assert run.task_state("submit") == "failed"
    assert run.task("submit").try_number == 1
    out = capfd.readouterr().out
    assert words in out
    assert "Correct that, then clear this task; correct the run" in out
    assert sim.requests() == []


def test_a_price_that_the_user_names_takes_the_place_of_one_that_is_not_published(sim, conn_id, run_dag):
    run = run_dag(
        IMPORT
        + """
KlingSubmitOperator(
    task_id="submit", payload=O1ImageToVideo(prompt="x", start_image_url=PICTURES[0]),
    max_cost=1.5, budget=KlingBudget(2.0, prices={"kling-o1-image-to-video": 1.5}),
)
"""
    )
    assert run.state == "success"
    assert sim.ledger()["accepted"] == 1


# --- the budget of a run


def test_a_fan_out_stops_where_the_next_job_could_break_the_budget(sim, conn_id, run_dag, capfd):
    run = run_dag(dag(FAN_OUT, arguments="retries=1, budget=KlingBudget(max_cost_per_dag_run=0.11)", count=6))
    assert sim.ledger()["accepted"] == len(posts(sim)) == 3
    assert sim.ledger()["billed"] <= 0.11
    states = [run.task_state("submit", index) for index in range(6)]
    assert sorted(states) == ["failed"] * 3 + ["success"] * 3
    assert all(run.task("submit", index).try_number == 1 for index in range(6))
    assert (
        "The budget of this DAG run is $0.11: $0.00 is billed (0 jobs), up to $0.105 is in flight (3 jobs), and this "
        "job (kling-o1) may cost up to $0.035, which is $0.03 too much. Nothing was sent." in capfd.readouterr().out
    )


CHAIN = (
    IMPORT
    + """
    with dag:
        budget = KlingBudget(max_cost_per_dag_run={limit})
        before = []
        for n in range({count}):
            submit = KlingSubmitOperator(
                task_id=f"submit_{{n}}", trigger_rule="all_done", budget=budget,
                payload=O1Image(prompt=f"@Image1 in colour {{n}}", image_urls=PICTURES),
            )
            done = KlingSensor(task_id=f"done_{{n}}", request_id=submit.output, poll_interval=0.2, {mode})
            before >> submit
            before = [done]
"""
)


@pytest.mark.parametrize("mode", ["", 'mode="poke"'])
def test_a_job_that_failed_frees_its_share_for_the_next_one(sim, conn_id, run_dag, mode):
    sim.order_fault("fail_job", error="bad picture")
    run = run_dag(dag(CHAIN, limit=0.07, count=4, mode=mode))
    assert [run.task_state(f"submit_{n}") for n in range(4)] == ["success", "success", "success", "failed"]
    assert run.xcom("done_0", "kling_bill")["cost"] == 0.0
    assert sim.ledger()["accepted"] == 3
    assert sim.ledger()["billed"] == 0.07


def test_bills_count_in_place_of_estimates(sim, conn_id, run_dag, capfd):
    # The simulator bills 0.035; two jobs at the price that the user names would be too much at once.
    tasks = CHAIN.replace("max_cost_per_dag_run={limit}", 'max_cost_per_dag_run={limit}, prices={{"kling-o1": 0.06}}')
    run = run_dag(dag(tasks, limit=0.1, count=3, mode=""))
    assert [run.task_state(f"submit_{n}") for n in range(3)] == ["success", "success", "failed"]
    assert "$0.07 is billed (2 jobs), up to $0.00 is in flight (0 jobs)" in capfd.readouterr().out
    assert sim.ledger()["billed"] == 0.07


def test_a_submit_that_segmind_refused_frees_its_share(sim, conn_id, run_dag):
    sim.order_fault("respond", method="POST", status=403, body={"error": "not for this team"})
    run = run_dag(dag(CHAIN, limit=0.05, count=3, mode=""))
    assert [run.task_state(f"submit_{n}") for n in range(3)] == ["failed", "success", "failed"]
    assert sim.ledger()["accepted"] == 1


def test_a_job_of_which_nobody_knows_whether_it_runs_counts(sim, conn_id, run_dag):
    sim.order_fault("reset_before", method="POST")
    gives_up = 'trigger_rule="all_done", history_timeout=0, orphan_grace=1, on_orphaned_intent="fail"'
    tasks = CHAIN.replace('trigger_rule="all_done"', gives_up)
    run = run_dag(dag(tasks, limit=0.05, count=2, mode=""))
    assert [run.task_state(f"submit_{n}") for n in range(2)] == ["failed", "failed"]
    assert len(posts(sim)) == 1


def test_a_retry_adopts_a_job_that_is_paid_though_the_budget_is_used_up(sim, conn_id, run_dag):
    run = run_dag(
        IMPORT
        + """
def die_once(context, result):
    if context["ti"].try_number == 1:
        raise RuntimeError("the worker dies")

submit = KlingSubmitOperator(
    task_id="submit", retries=1, budget=KlingBudget(0.04), post_execute=die_once,
    payload=O1Image(prompt="@Image1", image_urls=PICTURES),
)
"""
    )
    assert run.state == "success"
    assert run.task("submit").try_number == 2
    assert sim.ledger()["accepted"] == 1


def test_a_budget_may_stand_in_the_default_args_and_is_stored_with_the_dag():
    def build():
        with DAG("d", schedule=None, default_args={"budget": KlingBudget(2.0)}) as built:
            payload = O1Image(prompt="x", image_urls=["https://x/y.png"])
            KlingSubmitOperator(task_id="one", payload=payload)
            KlingSubmitOperator.partial(task_id="many", budget=KlingBudget(3.0), max_cost=1.0).expand(payload=[payload])
        return built

    built = build()
    assert built.get_task("one").budget == KlingBudget(2.0)
    if AIRFLOW_3:
        from airflow.serialization.serialized_objects import DagSerialization as Serialization
    else:
        from airflow.serialization.serialized_objects import SerializedDAG as Serialization
    stored = json.dumps(Serialization.to_dict(built))
    assert stored == json.dumps(Serialization.to_dict(build()))
    Serialization.from_dict(json.loads(stored))


# --- the balance


@pytest.fixture
def poor(monkeypatch):
    """Yield a simulator whose account has a dime."""
    with Simulator(time_scale=400, requests_per_minute=0, height=72, credits=0.1) as simulator:
        monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", connection_json(simulator))
        yield simulator


def test_a_batch_that_the_balance_does_not_cover_is_not_begun(poor, run_dag, capfd):
    run = run_dag(dag(FAN_OUT, arguments="budget=KlingBudget(9.0)", count=4))
    assert posts(poor) == []
    assert {run.task_state("submit", index) for index in range(4)} == {"failed"}
    assert (
        "The balance is $0.10, and the 4 jobs of 'submit' (kling-o1) may need $0.14. Nothing was sent."
        in capfd.readouterr().out
    )


def test_a_batch_needs_no_more_than_its_budget_lets_it_spend(poor, run_dag):
    run_dag(dag(FAN_OUT, arguments="budget=KlingBudget(0.08)", count=4))
    assert poor.ledger()["accepted"] == 2


def test_the_balance_is_asked_for_once_for_each_batch_and_never_without_a_limit(sim, conn_id, run_dag):
    run_dag(dag(FAN_OUT, arguments="max_cost=1.0", count=5))
    assert len(posts(sim)) == 5
    assert len(balance_looks(sim)) == 1
    run_dag(dag(FAN_OUT, arguments="", count=2))
    assert len(balance_looks(sim)) == 1


def test_a_balance_that_cannot_be_read_stops_nothing(sim, conn_id, run_dag, capfd):
    sim.order_fault("respond", method="GET", path="/v1/get-user-credits", times=9, status=403, body={"error": "no"})
    run = run_dag(dag(FAN_OUT, arguments="budget=KlingBudget(1.0)", count=2))
    assert run.state == "success"
    assert "The balance could not be read before this submit" in capfd.readouterr().out
