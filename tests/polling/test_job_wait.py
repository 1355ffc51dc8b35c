from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_kling.polling.job_wait import Ask, Done, JobWait, Question, ResultAddress
from airflow_provider_kling.polling.wait import GiveUp, PollAgain
from airflow_provider_kling.segmind import errors
from airflow_provider_kling.segmind.schemas import Result, Status

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)


def waiting(**fields):
    fields.setdefault("deadline", NOW + timedelta(hours=1))
    wait = JobWait(request_id="r-1", pause=lambda _: 5, **fields)
    wait.poll()
    return wait


@pytest.fixture
def wait():
    return waiting(deadline=NOW + timedelta(seconds=60), model="kling-o1")


def test_a_running_job_is_looked_at_again_after_the_interval(wait):
    for state in ("QUEUED", "PROCESSING", "processing"):
        assert wait.after_answer(Status(status=state), now=NOW) == PollAgain(5)


def test_a_completed_job_is_fetched_even_after_the_deadline(wait):
    late = NOW + timedelta(hours=1)
    assert wait.after_answer(Status(status="COMPLETED"), now=late) == Ask(Question.RESULT)
    result = Result(status="COMPLETED", output="https://i/1.mp4")
    assert wait.after_answer(result, now=late) == Done(result)


def test_a_result_that_is_behind_the_status_is_fetched_again(wait):
    assert wait.after_answer(Result(status="PROCESSING"), now=NOW) == PollAgain(5)


def test_a_failed_job_ends_the_wait(wait):
    decision = wait.after_answer(Status(status="FAILED", error="bad picture"), now=NOW)
    assert isinstance(decision, GiveUp)
    assert isinstance(decision.error, errors.KlingGenerationFailedError)
    assert "bad picture" in str(decision.error)


def test_a_job_that_nobody_knows_is_waited_for_while_it_is_young_and_lost_afterwards():
    wait = waiting(submitted_at=NOW)
    unknown = errors.SegmindRequestNotFoundError("404")
    assert wait.after_error(unknown, now=NOW) == Ask(Question.HISTORY)
    young = wait.after_error(unknown, now=NOW + timedelta(minutes=9))
    assert isinstance(young, PollAgain)
    assert "did not know the job yet" in young.concern
    for old in (wait, waiting()):
        seen = []
        for _ in range(3):
            old.poll()
            assert old.after_error(unknown, now=NOW + timedelta(minutes=10)) == Ask(Question.HISTORY)
            seen.append(type(old.after_error(unknown, now=NOW + timedelta(minutes=10))))
        assert seen == [PollAgain, PollAgain, GiveUp]


def test_the_last_look_falls_on_the_deadline(wait):
    assert wait.after_answer(Status(status="QUEUED"), now=NOW + timedelta(seconds=58)) == PollAgain(2)
    decision = wait.after_answer(Status(status="QUEUED"), now=NOW + timedelta(seconds=60))
    assert isinstance(decision.error, errors.KlingGenerationTimeoutError)
    assert decision.error.request_id == "r-1"
    assert "still billed" in str(decision.error)


@pytest.mark.parametrize(
    "error",
    [
        errors.SegmindServerError("x"),
        errors.SegmindConnectionError("x"),
        errors.SegmindRateLimitError("x"),
        errors.SegmindResponseError("x"),
        errors.SegmindBadRequestError("x"),
    ],
)
def test_a_look_that_fails_says_nothing_about_the_job(wait, error):
    for _ in range(100):
        decision = wait.after_error(error, now=NOW)
        assert decision == PollAgain(5, "x")
    late = wait.after_error(error, now=NOW + timedelta(seconds=61))
    assert isinstance(late.error, errors.KlingGenerationTimeoutError)
    assert "101 poll(s) failed" in str(late.error)


def test_what_no_later_poll_can_cure_ends_the_wait(wait):
    error = errors.SegmindSettingsError("x")
    assert wait.after_error(error, now=NOW) == GiveUp(error)


@pytest.mark.parametrize("error", [errors.SegmindAuthenticationError("x"), errors.SegmindPermissionError("x")])
def test_a_refused_key_is_believed_after_three_polls_in_a_row(wait, error):
    unread = errors.SegmindServerError("x")
    for other in (error, error, unread, error, error):
        assert wait.after_error(other, now=NOW) == PollAgain(5, "x", in_doubt=other is error)
    assert wait.after_error(error, now=NOW) == GiveUp(error)


def test_a_result_that_is_refused_alone_is_believed_too(wait):
    refused = errors.SegmindPermissionError("x")
    for decision in (PollAgain, PollAgain, GiveUp):
        wait.poll()
        assert wait.after_answer(Status(status="COMPLETED"), now=NOW) == Ask(Question.RESULT)
        assert isinstance(wait.after_error(refused, now=NOW), decision)


def test_a_job_that_is_done_without_a_file_is_delivered_at_the_deadline_and_never_timed_out():
    empty = Result(status="COMPLETED", output={"voice_id": "v"})
    running = Result(status="PROCESSING")
    late = waiting(deadline=NOW)
    assert late.after_answer(empty, now=NOW) == Ask(Question.HISTORY)
    assert late.after_answer(running, now=NOW) == Done(empty)
    patient = waiting()
    decisions = []
    for _ in range(3):
        patient.poll()
        decisions.append(type(patient.after_answer(empty, now=NOW)))
    for _ in range(4):
        patient.poll()
        assert patient.after_answer(empty, now=NOW) == Ask(Question.HISTORY)
        decisions.append(type(patient.after_answer(running, now=NOW)))
    assert decisions == [PollAgain] * 6 + [Done]


def test_a_connection_that_cannot_be_read_is_forgiven_for_as_long_as_the_wait_says():
    wait = waiting(settings_until=NOW + timedelta(minutes=5))
    error = errors.SegmindSettingsError("missing")
    assert wait.after_error(error, now=NOW) == PollAgain(5, "missing")
    assert wait.after_error(error, now=NOW + timedelta(minutes=5)) == GiveUp(error)


def test_a_job_that_the_api_does_not_know_is_looked_up_before_it_is_called_lost(wait):
    unknown = errors.SegmindRequestNotFoundError("x")
    assert wait.after_error(unknown, now=NOW) == Ask(Question.HISTORY)
    assert wait.after_error(errors.SegmindServerError("x"), now=NOW) == PollAgain(5, "x")
    for _ in range(3):
        wait.poll()
        assert wait.after_error(unknown, now=NOW) == Ask(Question.HISTORY)
        lost = wait.after_error(unknown, now=NOW)
    assert isinstance(lost.error, errors.SegmindRequestNotFoundError)
    assert "neither does its request history" in str(lost.error)


def test_where_nobody_knows_yet_which_address_answers_for_a_job_that_runs_the_first_poll_finds_it_out():
    learned = ResultAddress()
    wait = waiting(address=learned)
    assert wait.poll() == Ask(Question.RESULT)
    assert wait.after_answer(Result(status="PROCESSING"), now=NOW) == PollAgain(5)
    assert learned.tells_status is True

    for refusal in (errors.SegmindRequestNotFoundError("404"), errors.SegmindBadRequestError("400")):
        learned = ResultAddress()
        wait = waiting(address=learned)
        assert wait.poll() == Ask(Question.RESULT)
        assert wait.after_error(refusal, now=NOW) == Ask(Question.STATUS)
        assert wait.after_answer(Status(status="QUEUED"), now=NOW) == PollAgain(5)
        assert learned.tells_status is False
        assert wait.poll() == Ask(Question.STATUS)


def test_a_poll_asks_nothing_twice_but_the_result():
    wait = waiting(address=ResultAddress())
    unknown = errors.SegmindRequestNotFoundError("404")
    wait.poll()
    asked = [wait.after_error(unknown, now=NOW)]
    asked.append(wait.after_answer(Status(status="COMPLETED"), now=NOW))
    asked.append(wait.after_error(unknown, now=NOW))
    assert asked == [Ask(Question.STATUS), Ask(Question.RESULT), Ask(Question.HISTORY)]
    assert isinstance(wait.after_error(unknown, now=NOW), PollAgain)


def test_what_the_history_says_of_a_running_job_teaches_nothing_about_the_addresses():
    learned = ResultAddress()
    wait = waiting(address=learned)
    wait.poll()
    unknown = errors.SegmindRequestNotFoundError("404")
    assert wait.after_error(unknown, now=NOW) == Ask(Question.STATUS)
    assert wait.after_error(unknown, now=NOW) == Ask(Question.HISTORY)
    assert wait.after_answer(Result(status="PROCESSING"), now=NOW) == PollAgain(5)
    assert learned.tells_status is None
