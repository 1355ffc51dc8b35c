from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, AirflowSkipException

from airflow_provider_kling.links.kling import KlingOutputLink
from airflow_provider_kling.segmind.errors import KlingGenerationTimeoutError
from airflow_provider_kling.sensors.kling import KlingSensor

MODES = ["deferrable=True", 'mode="poke"', 'mode="reschedule"']
CHAIN = """
    submit = KlingSubmitOperator(task_id="submit", payload=O1Image(prompt="@Image1", image_urls=PICTURES))
    KlingSensor(task_id="done", request_id=submit.output, retries=2, poll_interval=0.2, {arguments})
"""


def polls(sim):
    return [request for request in sim.requests() if "/requests/" in request["path"]]


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_returns_the_same_result_and_xcoms(sim, conn_id, run_dag, mode):
    run = run_dag(CHAIN.format(arguments=mode))
    assert run.state == "success"
    (job,) = sim.ledger()["jobs"]
    result = run.xcom("done")
    assert {"request_id", "status", "url", "urls", "cost", "metrics", "output", "images", "seed"} <= result.keys()
    assert result["url"] == run.xcom("done", "url") == job["url"]
    assert result["urls"] == run.xcom("done", "urls") == [job["url"]]
    assert result["cost"] == run.xcom("done", "cost") == 0.035
    assert result["metrics"] == run.xcom("done", "metrics")
    assert result["metrics"]["total_time"] > 0


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("soft", ["", "soft_fail=True, "])
def test_a_failed_job_fails_the_task_at_once_in_every_mode_and_is_never_skipped(
    sim, conn_id, run_dag, capfd, mode, soft
):
    sim.order_fault("fail_job", error="Content policy violation")
    run = run_dag(CHAIN.format(arguments=soft + mode))
    assert run.task_state("done") == "failed"
    assert run.task("done").try_number == 1
    out = capfd.readouterr().out
    assert "FAILED: Content policy violation" in out
    assert "blocked again" in out


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("soft", ["", "soft_fail=True, "])
def test_a_deadline_that_passes_leaves_the_job_alone_and_can_be_skipped(sim, conn_id, run_dag, capfd, mode, soft):
    sim.order_fault("respond", method="GET", times=99, status=200, body={"status": "PROCESSING"})
    run = run_dag(CHAIN.replace("retries=2", "retries=0").format(arguments=f"{soft}timeout=1, {mode}"))
    assert run.task_state("done") == ("skipped" if soft else "failed")
    out = capfd.readouterr().out
    assert "still runs and is still billed" in out
    assert "KlingGenerationTimeoutError: " in out
    assert sim.ledger()["accepted"] == 1


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "respond", "status": 500, "body": {"error": "x"}},
        {"kind": "respond", "status": 200, "body": "<html>captive portal</html>"},
        {"kind": "respond", "status": 307, "headers": {"Location": "http://127.0.0.1:1/"}, "body": ""},
        {"kind": "reset_before"},
    ],
)
def test_looks_that_fail_cost_no_completed_job(sim, conn_id, run_dag, mode, fault):
    details = dict(fault)
    sim.order_fault(details.pop("kind"), method="GET", path="/v2/requests/*", times=3, **details)
    run = run_dag(CHAIN.format(arguments=mode))
    assert run.state == "success"
    assert run.task("done").try_number == 1
    assert run.xcom("done", "url") == sim.ledger()["jobs"][0]["url"]


def test_a_job_that_is_done_already_is_found_without_deferring(sim, conn_id, run_dag, capfd):
    run = run_dag(f"""
        submit = KlingSubmitOperator(task_id="submit", payload=O1Image(prompt="@Image1", image_urls=PICTURES))

        @task
        def until_it_is_done():
            import time
            import requests

            while requests.get("{sim.url}/simulator/ledger", timeout=10).json()["jobs"][0]["status"] != "COMPLETED":
                time.sleep(0.05)

        submit >> until_it_is_done() >> KlingSensor(task_id="done", request_id=submit.output)
    """)
    assert run.state == "success"
    assert [request["path"].rsplit("/", 1)[-1] == "status" for request in polls(sim)] == [True, False]
    assert "looking every" not in capfd.readouterr().out


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("request_id", "words"),
    [
        ("2c7f59ea-13f1-402c-9353-915a2b5a2124", "neither does its request history"),
        ("", "is no request id"),
        ("{{ none }}", "is no request id"),
        ("a/b", "is not a request id"),
    ],
)
def test_a_request_that_cannot_be_waited_for_fails_in_the_first_try(
    sim, conn_id, run_dag, capfd, mode, request_id, words
):
    run = run_dag(f'KlingSensor(task_id="done", request_id="{request_id}", retries=2, {mode})')
    assert run.task_state("done") == "failed"
    assert run.task("done").try_number == 1
    assert words in capfd.readouterr().out
    assert (len(polls(sim)) >= 3) if "history" in words else not polls(sim)  # nobody knows it: three times in a row


@pytest.mark.parametrize("mode", MODES)
def test_a_key_that_is_refused_while_waiting_fails_at_once(sim, conn_id, run_dag, capfd, mode):
    sim.order_fault("respond", method="GET", times=9, status=401, body={"error": f"key {sim.api_key} is invalid"})
    run = run_dag(CHAIN.format(arguments=mode))
    assert run.task_state("done") == "failed"
    assert run.task("done").try_number == 1
    out = capfd.readouterr().out
    assert "does not accept the API key" in out
    assert "The job is not affected: it runs on" in out
    assert sim.api_key not in out


WAIT = """
    @task
    def later():
        return {request_id!r}

    KlingSensor(task_id="done", request_id=later(), retries=2, poll_interval=0.2, {mode})
"""


def submitted(sim, **fields):
    """Submit past the operator, and let the API forget the job."""
    from airflow_provider_kling.hooks.segmind import SegmindHook

    payload = {"prompt": "@Image1", "image_urls": [f"{sim.url}/simulator/inputs/robot.png"], **fields}
    return SegmindHook().submit("kling-o1", payload).request_id


@pytest.mark.parametrize("mode", MODES)
def test_a_job_that_the_api_has_forgotten_is_delivered_from_the_history(sim, conn_id, run_dag, mode):
    request_id = submitted(sim)
    sim.advance(3601)
    run = run_dag(WAIT.format(request_id=request_id, mode=mode))
    assert run.state == "success"
    (job,) = sim.ledger()["jobs"]
    assert run.xcom("done")["request_id"] == request_id
    assert run.xcom("done", "url") == job["url"]
    assert run.xcom("done", "cost") == 0.035


@pytest.mark.parametrize("mode", MODES)
def test_a_job_that_the_api_forgot_between_completed_and_its_result_is_not_lost(sim, conn_id, run_dag, mode):
    request_id = submitted(sim)
    sim.advance(600)
    sim.order_fault("respond", method="GET", path="/v2/requests/*/status", status=200, body={"status": "COMPLETED"})
    unknown = {"status": 404, "body": {"error": "Request not found"}}
    sim.order_fault("respond", method="GET", path="/v2/requests/*", **unknown)
    sim.order_fault("respond", method="GET", path="/inference-request/request-history/*", status=503, body="")
    run = run_dag(WAIT.format(request_id=request_id, mode=mode))
    assert run.state == "success"
    assert run.xcom("done", "url") == sim.ledger()["jobs"][0]["url"]


@pytest.mark.parametrize("mode", MODES)
def test_a_failed_job_that_the_api_has_forgotten_still_says_why(sim, conn_id, run_dag, capfd, mode):
    sim.order_fault("fail_job", error="Content policy violation")
    request_id = submitted(sim)
    sim.advance(3601)
    run = run_dag(WAIT.format(request_id=request_id, mode=mode))
    assert run.task_state("done") == "failed"
    assert "FAILED: Content policy violation" in capfd.readouterr().out


@pytest.mark.parametrize("mode", MODES)
def test_a_paid_output_of_unknown_shape_is_returned_with_a_warning(sim, conn_id, run_dag, capfd, mode):
    answer = {"status": "COMPLETED", "output": {"mesh": "v 0 0 0"}, "metrics": {"cost": 0.1}}
    row = {"request_id": "", "model_name": "kling-o1", "model_status": "COMPLETED"}
    sim.order_fault("respond", method="GET", path="/v2/requests/*", times=99, status=200, body=answer)
    sim.order_fault("respond", path="/inference-request/*", times=99, status=200, body={"data": [row]})
    run = run_dag(CHAIN.format(arguments=mode))
    assert run.state == "success"
    assert run.xcom("done")["output"] == {"mesh": "v 0 0 0"}
    assert run.xcom("done", "url") is None
    assert "no file is recognised" in capfd.readouterr().out


def test_a_sensor_that_is_not_mapped_over_a_mapped_submit_says_how_to_map_it(sim, conn_id, run_dag, capfd):
    run = run_dag("""
        submit = KlingSubmitOperator.partial(task_id="submit").expand(
            payload=[O1Image(prompt="@Image1", image_urls=PICTURES) for _ in range(2)]
        )
        KlingSensor(task_id="done", request_id=submit.output, retries=2)
    """)
    assert run.task_state("done") == "failed"
    assert run.task("done").try_number == 1
    assert "expand(request_id=submit.output)" in capfd.readouterr().out


def test_a_mode_that_is_named_is_the_mode_that_waits():
    assert KlingSensor(task_id="a", request_id="x").deferrable
    for mode in ("poke", "reschedule"):
        assert not KlingSensor(task_id="a", request_id="x", mode=mode).deferrable
    assert KlingSensor(task_id="a", request_id="x", poke_interval=30).poke_interval == 30
    with pytest.raises(ValueError, match="poll_interval"):
        KlingSensor(task_id="a", request_id="x", poll_interval=0)


def test_the_button_is_on_the_sensor():
    assert [type(link) for link in KlingSensor(task_id="a", request_id="x").operator_extra_links] == [KlingOutputLink]


@pytest.mark.parametrize("reason", ["Trigger timeout", "Trigger/execution timeout"])
def test_a_wait_that_no_triggerer_took_up_ends_as_a_deadline_that_passed(sim, conn_id, reason):
    sim.order_fault("respond", method="GET", times=99, status=200, body={"status": "PROCESSING"})
    sensor = KlingSensor(task_id="a", request_id="r-1", model="kling-o1")
    with pytest.raises(KlingGenerationTimeoutError, match="no triggerer looked in time"):
        sensor.resume_execution("__fail__", {"error": reason}, {})
    sensor.soft_fail = True
    with pytest.raises(AirflowSkipException, match="still billed"):
        sensor.resume_execution("__fail__", {"error": reason}, {})


def test_a_trigger_that_crashed_is_not_skipped_and_may_be_retried():
    sensor = KlingSensor(task_id="a", request_id="r-1", soft_fail=True)
    with pytest.raises(AirflowException, match="Trigger failure") as caught:
        sensor.resume_execution("__fail__", {"error": "Trigger failure"}, {})
    assert not isinstance(caught.value, AirflowSkipException | AirflowFailException)
