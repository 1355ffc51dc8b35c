"""The table of docs/never-pay-twice.md, row by row, over real sockets and real Airflow."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from airflow.exceptions import AirflowTaskTimeout

from airflow_provider_kling.operators.kling import KlingSubmitOperator
from airflow_provider_kling.payloads import O1Image
from airflow_provider_kling.segmind.errors import SegmindInputError
from tests.conftest import needs_task_state

SUBMIT = """
    submit = KlingSubmitOperator(
        task_id="submit",
        payload=O1Image(prompt="@Image1", image_urls=PICTURES),
        history_timeout={history_timeout},
        {arguments}
    )
    KlingSensor(task_id="done", request_id=submit.output, poll_interval=0.2)
"""
#: A worker that dies in its first try, after its submit was delivered.
DIES = """
    def die_once(context, result):
        if context["ti"].try_number == 1:
            raise RuntimeError("the worker dies")
"""
#: Every way in which a submit is sent and has no clear answer, while the job runs.
UNCLEAR = [
    {"kind": "reset_after"},
    {"kind": "hold_after", "seconds": 3},
    {"kind": "truncate"},
    {"kind": "replace_after", "status": 502, "body": "<html>Bad Gateway</html>"},
    {"kind": "replace_after", "status": 504, "body": {"error": "timed out"}},
    {"kind": "replace_after", "status": 408, "body": {"error": "request timeout"}},
    {"kind": "replace_after", "status": 503, "body": ""},
    {"kind": "replace_after", "status": 303, "body": ""},
    {"kind": "replace_after", "status": 200, "body": "<html>captive portal</html>"},
    {"kind": "replace_after", "status": 200, "body": {"status": "QUEUED"}},
]


def tasks(arguments="", history_timeout=30):
    return SUBMIT.format(arguments=arguments, history_timeout=history_timeout)


def looks(sim):
    return [request for request in sim.requests() if request["path"].endswith("/request-history")]


def order(sim, fault, **more):
    details = {**fault, **more}
    sim.order_fault(details.pop("kind"), method="POST", **details)


def assert_one_job_adopted(sim, run):
    assert run.state == "success"
    (job,) = sim.ledger()["jobs"]
    assert run.xcom("submit") == run.xcom("done")["request_id"] == job["request_id"]
    assert run.xcom("done", "cost") == sim.ledger()["billed"] == 0.035


def test_no_record_one_post_and_no_look_in_the_history(sim, conn_id, run_dag):
    run = run_dag(tasks())
    assert_one_job_adopted(sim, run)
    assert looks(sim) == []


@pytest.mark.parametrize("fault", UNCLEAR, ids=lambda fault: f"{fault['kind']}-{fault.get('status', '')}")
def test_an_unclear_answer_is_looked_up_in_the_same_attempt(sim, set_connection, run_dag, fault):
    set_connection(extra={"timeout": 1})
    order(sim, fault)
    run = run_dag(
        tasks('retries=0, segmind_conn_id="segmind_other"').replace("poll", 'segmind_conn_id="segmind_other", poll')
    )
    assert_one_job_adopted(sim, run)
    assert run.task("submit").try_number == 1


@pytest.mark.parametrize(
    "fault",
    [
        *({"kind": "respond", "status": status, "body": {"error": "x"}} for status in (429, 500, 503)),
        {"kind": "refuse"},
        {"kind": "reset_before"},
        {"kind": "hold"},
        {"kind": "hold", "seconds": 1.5},
        {"kind": "delay", "seconds": 0.3},
        {"kind": "late_row", "row_after": 2},
        *UNCLEAR,
        *({**fault, "row_after": 1.5} for fault in UNCLEAR[:3]),
    ],
    ids=lambda fault: "-".join(str(value)[:12] for value in fault.values()),
)
def test_whatever_goes_wrong_with_a_submit_the_retries_pay_once(sim, set_connection, run_dag, fault):
    set_connection(extra={"timeout": 1})
    order(sim, fault)
    # The grace outlasts what is ordered here, as ten minutes outlast what Segmind may do.
    arguments = 'retries=6, retry_delay=timedelta(seconds=0), orphan_grace=4, segmind_conn_id="segmind_other"'
    chain = tasks(arguments, history_timeout=2).replace("poll", 'segmind_conn_id="segmind_other", poll')
    assert_one_job_adopted(sim, run_dag(chain))


def test_a_row_that_appears_late_is_waited_for_in_the_same_attempt(sim, conn_id, run_dag):
    order(sim, {"kind": "reset_after"}, row_after=2)
    run = run_dag(tasks("retries=0"))
    assert_one_job_adopted(sim, run)
    assert len(looks(sim)) >= 3


@pytest.mark.parametrize("deferrable", [True, False])
@pytest.mark.parametrize("grace", [6, 0])
def test_a_row_that_appears_after_the_search_is_found_in_the_same_try(sim, conn_id, run_dag, grace, deferrable):
    order(sim, {"kind": "reset_after"}, row_after=2)
    run = run_dag(tasks(f"retries=0, orphan_grace={grace}, deferrable={deferrable}", history_timeout=0))
    assert_one_job_adopted(sim, run)
    assert run.task("submit").try_number == 1


def test_a_submit_that_never_arrived_is_not_sent_again_while_it_may_still_turn_up(sim, conn_id, run_dag, capfd):
    order(sim, {"kind": "reset_before"})
    began = time.monotonic()
    run = run_dag(tasks("retries=0, orphan_grace=7", history_timeout=1))
    assert time.monotonic() - began >= 7
    assert_one_job_adopted(sim, run)
    assert run.task("submit").try_number == 1
    out = capfd.readouterr().out
    assert "At most one job runs and is billed (price: $0.035); nothing more was sent." in out
    assert "submits it again from" in out
    assert "it waits in the triggerer" in out


def test_a_submit_that_never_arrived_fails_for_good_where_the_user_wants_to_decide(sim, conn_id, run_dag, capfd):
    order(sim, {"kind": "reset_before"})
    run = run_dag(tasks('retries=5, orphan_grace=2, on_orphaned_intent="fail"', history_timeout=0))
    assert run.task_state("submit") == "failed"
    assert run.task("submit").try_number == 1
    assert sim.ledger()["accepted"] == 0
    assert "clearing it without that searches again" in capfd.readouterr().out


def test_a_rate_limit_is_waited_out_in_the_same_try(sim, conn_id, run_dag, capfd):
    reset = (datetime.now(tz=UTC) + timedelta(seconds=3)).isoformat()
    refusal = {"kind": "respond", "status": 429, "body": {"error": "x"}}
    order(sim, {**refusal, "headers": {"x-rate-limit-reset-at-utc": reset}})
    run = run_dag(tasks("retries=0"))
    assert_one_job_adopted(sim, run)
    assert run.task("submit").try_number == 1
    assert "it waits in the triggerer" in capfd.readouterr().out


def test_a_history_that_cannot_be_read_sends_nothing_until_it_can(sim, conn_id, run_dag, capfd):
    order(sim, {"kind": "reset_after"})
    sim.order_fault("respond", path="/inference-request/*", status=403, times=99, body={"error": "not yours"})
    run = run_dag(tasks("retries=0, orphan_grace=1", history_timeout=1))
    assert run.task_state("submit") == "failed"
    assert sim.ledger()["accepted"] == 1
    out = capfd.readouterr().out
    assert "request history cannot be read" in out
    assert "not yours" in out


def test_several_jobs_that_may_be_it_are_listed_and_the_user_names_one(sim, conn_id, run_dag, capfd):
    from airflow_provider_kling.hooks.segmind import SegmindHook

    payload = {
        "prompt": "@Image1",
        "image_urls": [f"{sim.url}/simulator/inputs/{name}.png" for name in ("robot", "beach")],
    }
    foreign = SegmindHook(conn_id).submit("kling-o1", payload).request_id
    order(sim, {"kind": "reset_after"})
    run = run_dag(tasks("retries=3, orphan_grace=2", history_timeout=1))
    assert run.task_state("submit") == "failed"
    assert run.task("submit").try_number == 1
    jobs = [job["request_id"] for job in sim.ledger()["jobs"]]
    out = capfd.readouterr().out
    assert all(request_id in out for request_id in jobs)
    assert "Set adopt_request_id" in out
    (own,) = set(jobs) - {foreign}
    named = run_dag(tasks(f"adopt_request_id=\"{{{{ '{own}' }}}}\""))
    assert named.state == "success"
    assert named.xcom("submit") == own
    assert sim.ledger()["accepted"] == 2


def test_siblings_with_the_same_payload_find_one_job_each(sim, conn_id, run_dag):
    for fault in UNCLEAR[0], UNCLEAR[3], UNCLEAR[2]:
        order(sim, fault)
    run = run_dag("""
        submit = KlingSubmitOperator.partial(task_id="submit", history_timeout=20).expand(
            payload=[O1Image(prompt="@Image1", image_urls=PICTURES) for _ in range(3)]
        )
        again = KlingSubmitOperator(
            task_id="again", history_timeout=20, payload=O1Image(prompt="@Image1", image_urls=PICTURES)
        )
        submit >> again
    """)
    assert run.state == "success"
    jobs = {job["request_id"] for job in sim.ledger()["jobs"]}
    assert len(jobs) == 4
    assert {run.xcom("submit", map_index=index) for index in range(3)} | {run.xcom("again")} == jobs


def test_a_retry_after_delivery_adopts(sim, conn_id, run_dag):
    run = run_dag(DIES + tasks("retries=1, post_execute=die_once"))
    assert_one_job_adopted(sim, run)
    assert run.task("submit").try_number == 2
    assert looks(sim) == []


def test_a_retry_adopts_a_job_that_failed_and_the_sensor_tells_why(sim, conn_id, run_dag, capfd):
    sim.order_fault("fail_job", error="Content policy violation")
    run = run_dag(DIES + tasks("retries=1, post_execute=die_once"))
    assert run.task_state("submit") == "success"
    assert run.task_state("done") == "failed"
    assert sim.ledger()["accepted"] == 1
    assert "FAILED: Content policy violation" in capfd.readouterr().out


def test_a_retry_after_the_api_forgot_the_job_delivers_it_from_the_history(sim, conn_id, run_dag):
    run = run_dag(
        DIES
        + f"""
    def forget(context):
        import requests

        requests.post("{sim.url}/simulator/clock", json={{"advance": 3700}}, timeout=5).raise_for_status()
"""
        + tasks("retries=1, post_execute=die_once, on_retry_callback=forget")
    )
    assert_one_job_adopted(sim, run)


def test_a_changed_payload_is_submitted_and_the_abandoned_job_is_named(sim, conn_id, run_dag, capfd):
    run = run_dag(
        DIES
        + tasks("retries=1, post_execute=die_once").replace('prompt="@Image1"', 'prompt="@Image1 {{ ti.try_number }}"')
    )
    assert run.state == "success"
    first, second = sim.ledger()["jobs"]
    assert run.xcom("submit") == second["request_id"]
    assert f"request {first['request_id']} (kling-o1, submitted" in capfd.readouterr().out


def test_every_test_that_the_promise_names_is_there():
    root = Path(__file__).parents[2]
    promise = root.joinpath("docs", "never-pay-twice.md").read_text("utf-8")
    tests = "\n".join(file.read_text("utf-8") for file in root.joinpath("tests").rglob("test_*.py"))
    named = set(re.findall(r"`(test_\w+)`", promise))
    assert len(named) > 15
    assert {name for name in named if f"def {name}(" not in tests} == set()


def test_the_arguments_are_checked_when_the_dag_file_is_parsed():
    payload = O1Image(prompt="@Image1", image_urls=["https://x/y"])
    for arguments in ({"orphan_grace": -1}, {"history_timeout": -1}, {"on_orphaned_intent": "retry"}):
        with pytest.raises(SegmindInputError, match=next(iter(arguments))):
            KlingSubmitOperator(task_id="x", payload=payload, **arguments)


@pytest.mark.parametrize("adopt", ["", "{{ dag_run.conf.get('adopt') }}", "{{ dag_run.conf.get('adopt', '') }}"])
def test_a_request_id_that_renders_to_nothing_submits_as_usual(sim, conn_id, run_dag, adopt):
    assert_one_job_adopted(sim, run_dag(tasks(f'adopt_request_id="{adopt}"')))


def test_a_request_id_that_is_none_sends_nothing(sim, conn_id, run_dag, capfd):
    run = run_dag(tasks('adopt_request_id="a/b"'))
    assert run.state == "failed"
    assert "is not a request id" in capfd.readouterr().out
    assert sim.ledger()["accepted"] == 0


def submitted(conn_id, model, payload):
    from airflow_provider_kling.hooks.segmind import SegmindHook

    return SegmindHook(conn_id).submit(model, payload).request_id


def test_another_models_job_is_not_adopted(sim, conn_id, run_dag, capfd):
    foreign = submitted(conn_id, "kling-o3-text2video", {"prompt": "a fox", "duration": "3"})
    run = run_dag(tasks(f'adopt_request_id="{foreign}", retries=2'))
    assert run.task_state("submit") == "failed"
    assert run.task("submit").try_number == 1
    assert run.xcom("submit") is None
    assert sim.ledger()["accepted"] == 1
    out = capfd.readouterr().out
    assert f"request {foreign} is a job of kling-o3-text2video, and this task wants one of kling-o1." in out
    assert "Nothing was taken or sent." in out


@pytest.mark.parametrize("unknown", ["nonsense", "00000000-1111-4000-8000-000000000000"])
def test_an_id_that_nobody_knows_is_not_adopted(sim, conn_id, run_dag, capfd, unknown):
    run = run_dag(tasks(f'adopt_request_id="{unknown}", retries=2'))
    assert run.task_state("submit") == "failed"
    assert run.task("submit").try_number == 1
    assert sim.ledger()["accepted"] == 0
    out = capfd.readouterr().out
    assert f"adopt_request_id: neither Segmind nor its request history knows request {unknown}" in out


@pytest.mark.parametrize(
    ("status", "body"),
    [(404, {"error": "not found"}), (200, {"data": [{"request_id": "x", "model_status": "PENDING"}]})],
)
def test_a_job_whose_model_cannot_be_told_is_adopted_with_a_warning(
    sim, conn_id, run_dag, pictures, capfd, status, body
):
    own = submitted(conn_id, "kling-o1", {"prompt": "@Image1", "image_urls": pictures})
    sim.order_fault("respond", path="/inference-request/*", status=status, times=3, body=body)
    run = run_dag(tasks(f'adopt_request_id="{own}"'))
    assert_one_job_adopted(sim, run)
    assert f"it is unknown whether request {own} is a job of kling-o1, so it is taken as one" in capfd.readouterr().out


@needs_task_state
def test_a_record_that_cannot_be_read_sends_nothing(sim, conn_id, run_dag, capfd):
    run = run_dag(
        """
    def spoil(context):
        context["task_state_store"].set("kling_submission", {"version": 7})
"""
        + tasks("pre_execute=spoil")
    )
    assert run.state == "failed"
    assert "stored record cannot be read" in capfd.readouterr().out
    assert sim.ledger()["accepted"] == 0


def test_an_attempt_that_airflow_cuts_short_says_what_may_run(sim, conn_id, run_dag, capfd):
    sim.order_fault("hold_after", method="POST")
    with suppress(AirflowTaskTimeout):  # Airflow 2's dag.test lets it through
        assert run_dag(tasks("retries=0, execution_timeout=timedelta(seconds=2)")).state == "failed"
    assert sim.ledger()["accepted"] == 1
    assert "Airflow cut this attempt short (AirflowTaskTimeout). If its submit" in capfd.readouterr().out


def test_an_xcom_that_cannot_be_pushed_names_the_job_and_the_retry_takes_it(sim, conn_id, run_dag, capfd):
    run = run_dag(
        """
    def spoil(context):
        ti = context["ti"]
        push = ti.xcom_push

        def fail_once(key, value, **more):
            if key == "model" and ti.try_number == 1:
                raise RuntimeError("409 Conflict")
            push(key=key, value=value, **more)

        object.__setattr__(ti, "xcom_push", fail_once)
"""
        + tasks("retries=1, pre_execute=spoil", history_timeout=10)
    )
    assert_one_job_adopted(sim, run)
    out = capfd.readouterr().out
    assert f"Request {run.xcom('submit')} was accepted, runs and is billed if it completes" in out
    assert "(409 Conflict)" in out
