"""Two things go wrong one after the other, on real Airflow: still one bill for each wanted job."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.conftest import AIRFLOW_3_3

GENERATE = """
    from airflow_provider_kling.operators.kling import KlingGenerateOperator

    made = KlingGenerateOperator(
        task_id="made", payload={payload}, retries={retries}, orphan_grace=8, history_timeout=1, {arguments}
    )
"""
LONG = "@Image1 in a very long text that goes on and on and on and on, for more than sixty characters"


def generate(retries=3, arguments="", payload='O1Image(prompt="@Image1 at night", image_urls=PICTURES)'):
    return GENERATE.format(retries=retries, arguments=arguments, payload=payload)


def jobs(sim):
    return sim.ledger()["jobs"]


@pytest.mark.parametrize("way", ["", "deferrable=False"])
def test_the_reply_to_the_job_in_place_of_a_failed_one_is_lost(sim, conn_id, run_dag, way):
    sim.order_fault("fail_job", error="worker lost")
    sim.order_fault("reset_after", method="POST", row_after=4)
    assert run_dag(generate(2, way)).state == "success"
    assert len(jobs(sim)) == 2  # the failed one, and one in its place


def test_a_rate_limit_is_told_after_the_job_in_place_of_a_failed_one_was_accepted(sim, conn_id, run_dag):
    reset = {"x-rate-limit-reset-at-utc": (datetime.now(tz=UTC) + timedelta(seconds=3)).isoformat()}
    sim.order_fault("fail_job", error="worker lost")
    sim.order_fault("replace_after", method="POST", status=429, body={"error": "x"}, headers=reset)
    assert run_dag(generate(2, "deferrable=False")).state == "success"
    assert len(jobs(sim)) == 2


@pytest.mark.parametrize("habit", [{}, {"cuts_text_at": 60}, {"stamp_zone": 120}])
def test_a_job_was_accepted_and_refused_and_its_row_fits_exactly_or_nearly(sim, conn_id, run_dag, habit):
    sim.change_history(**habit)
    sim.order_fault("replace_after", method="POST", status=503, body={"error": "x"})
    run = run_dag(generate(payload=f'{{"prompt": "{LONG}", "image_urls": PICTURES}}, model="kling-o1"'))
    assert run.state == ("failed" if habit else "success")  # what only nearly fits, a person has to judge
    assert len(jobs(sim)) == 1


@pytest.mark.skipif(not AIRFLOW_3_3, reason="retry policies came with Airflow 3.3")
def test_a_charged_failure_under_a_policy_that_does_not_name_it_is_not_paid_again(sim, conn_id, run_dag, capfd):
    answer = {"status": "FAILED", "error": "encoder crashed", "metrics": {"cost": 0.035}}
    sim.order_fault("respond", method="GET", path="/v2/requests/*", times=9, status=422, body=answer)
    policy = """
    from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

    POLICY = ExceptionRetryPolicy(rules=[RetryRule(exception="builtins.ConnectionError", action=RetryAction.RETRY)])
    """
    run = run_dag(policy + generate(2, "retry_policy=POLICY"))
    assert run.state == "failed"
    assert len(jobs(sim)) == 1
    assert "The task was cleared" not in capfd.readouterr().out


def test_the_api_does_not_know_a_job_yet_and_its_row_is_late(sim, conn_id, run_dag):
    sim.order_fault("late_row", row_after=4)
    sim.order_fault("respond", method="GET", path="/v2/requests/*", times=1, status=404, body={"error": "not found"})
    assert run_dag(generate(0)).state == "success"
    assert len(jobs(sim)) == 1


def test_a_job_that_was_accepted_and_refused_is_named_when_its_payload_changes(sim, conn_id, run_dag, capfd):
    sim.order_fault("replace_after", method="POST", status=503, body={"error": "x"})
    payload = 'O1Image(prompt="@Image1 {{ ti.try_number }}", image_urls=PICTURES)'
    assert run_dag(generate(payload=payload)).state == "success"
    assert len(jobs(sim)) == 2
    assert "is abandoned" in capfd.readouterr().out
