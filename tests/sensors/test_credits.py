from __future__ import annotations

import threading

import pytest
from airflow.providers.common.compat.sdk import AirflowSkipException

from airflow_provider_kling.segmind.errors import SegmindInputError, SegmindInsufficientCreditsError
from airflow_provider_kling.sensors.credits import KlingCreditsSensor
from airflow_provider_kling.simulator import Simulator
from tests.conftest import connection_json

MODES = ["deferrable=True", 'mode="poke"', 'mode="reschedule"']
WAIT = """
from airflow_provider_kling.sensors.credits import KlingCreditsSensor

enough = KlingCreditsSensor(task_id="enough", min_credits=1.0, poll_interval=0.2, retries=2, {arguments})
"""


@pytest.fixture
def poor(monkeypatch):
    """Yield a simulator whose account has a dime."""
    with Simulator(time_scale=400, requests_per_minute=0, height=72, credits=0.1) as simulator:
        monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", connection_json(simulator))
        yield simulator


def looks(sim):
    return [request for request in sim.requests() if request["path"] == "/v1/get-user-credits"]


def top_up_after_looks(sim, count, amount=5.0):
    """Top up once the balance was asked for that often."""

    def wait_and_pay():
        while len(looks(sim)) < count:
            done.wait(0.05)
        sim.top_up(amount)

    done = threading.Event()
    thread = threading.Thread(target=wait_and_pay, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_waits_for_a_top_up_and_returns_the_balance(poor, run_dag, capfd, mode):
    top_up_after_looks(poor, 3)
    run = run_dag(WAIT.format(arguments=mode))
    assert run.state == "success"
    assert run.xcom("enough") == 5.1
    assert run.task("enough").try_number == 1
    out = capfd.readouterr().out
    assert "Waiting for a balance of at least $1.00 until" in out
    assert "it is $0.10. Polling every 0.2 s." in out
    assert out.count("The balance is $5.10, which covers $1.00.") >= 1


@pytest.mark.parametrize("mode", MODES)
def test_a_balance_that_is_enough_needs_one_look(sim, conn_id, run_dag, mode):
    run = run_dag(WAIT.format(arguments=mode).replace("1.0,", '"{{ 50 * 2 }}",'))
    assert run.xcom("enough") == 100.0
    assert len(looks(sim)) == 1


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("soft", ["", "soft_fail=True, "])
def test_a_deadline_that_passes_names_balance_and_need_and_can_be_skipped(poor, run_dag, capfd, mode, soft):
    run = run_dag(WAIT.format(arguments=f"{soft}timeout=1, {mode}"))
    assert run.task_state("enough") == ("skipped" if soft else "failed")
    assert run.task("enough").try_number == 1
    out = capfd.readouterr().out
    assert "The balance did not reach $1.00 by" in out
    assert "it is $0.10. Top up at Segmind, then clear this task." in out


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("soft", ["", "soft_fail=True, "])
def test_a_key_that_is_refused_ends_the_wait_at_once_and_is_never_skipped(poor, run_dag, capfd, mode, soft):
    poor.order_fault("respond", method="GET", path="/v1/*", times=99, status=401, body={"error": f"{poor.api_key} bad"})
    run = run_dag(WAIT.format(arguments=soft + mode))
    assert run.task_state("enough") == "failed"
    assert run.task("enough").try_number == 1
    out = capfd.readouterr().out
    assert "does not accept the API key" in out
    assert poor.api_key not in out


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "fault", [{"kind": "respond", "status": 200, "body": "<html>captive portal</html>"}, {"kind": "reset_before"}]
)
def test_looks_that_fail_are_taken_again(poor, run_dag, mode, fault):
    details = dict(fault)
    poor.order_fault(details.pop("kind"), method="GET", path="/v1/*", times=3, **details)
    top_up_after_looks(poor, 6)
    run = run_dag(WAIT.format(arguments=mode))
    assert run.state == "success"
    assert run.task("enough").try_number == 1


def test_a_submit_that_waits_for_the_top_up_is_paid_for(poor, run_dag):
    top_up_after_looks(poor, 2)
    run = run_dag(
        WAIT.format(arguments="deferrable=True")
        + 'payload = O1Image(prompt="x", image_urls=PICTURES)\n'
        + 'enough >> KlingSubmitOperator(task_id="submit", payload=payload, max_cost=1)'
    )
    assert run.state == "success"
    assert poor.ledger()["accepted"] == 1


def test_a_mode_that_is_named_is_the_mode_that_waits():
    assert KlingCreditsSensor(task_id="a", min_credits=1).deferrable
    for mode in ("poke", "reschedule"):
        assert not KlingCreditsSensor(task_id="a", min_credits=1, mode=mode).deferrable
    assert KlingCreditsSensor(task_id="a", min_credits=1).poke_interval == 60
    with pytest.raises(ValueError, match="poll_interval"):
        KlingCreditsSensor(task_id="a", min_credits=1, poll_interval=0)
    with pytest.raises(SegmindInputError, match=r"min_credits: -1 is not a number of US dollars above 0\."):
        KlingCreditsSensor(task_id="a", min_credits=-1)


@pytest.mark.parametrize("reason", ["Trigger timeout", "Trigger/execution timeout"])
def test_a_wait_that_no_triggerer_took_up_ends_as_a_deadline_that_passed(sim, conn_id, reason):
    sensor = KlingCreditsSensor(task_id="a", min_credits=10**6)
    with pytest.raises(Exception, match="no triggerer polled in time") as caught:
        sensor.resume_execution("__fail__", {"error": reason}, {})
    assert isinstance(caught.value, SegmindInsufficientCreditsError)
    sensor.soft_fail = True
    with pytest.raises(AirflowSkipException, match="no triggerer"):
        sensor.resume_execution("__fail__", {"error": reason}, {})
