from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_kling.segmind import errors
from airflow_provider_kling.segmind.polling import Done, FetchResult, GiveUp, LookAgain, LookUp, Wait
from airflow_provider_kling.segmind.schemas import Result, Status

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)


@pytest.fixture
def wait():
    return Wait("r-1", NOW + timedelta(seconds=60), lambda _: 5, "kling-o1")


def test_a_running_job_is_looked_at_again_after_the_interval(wait):
    for state in ("QUEUED", "PROCESSING", "processing"):
        assert wait.after_look(Status(status=state), now=NOW) == LookAgain(5)


def test_a_completed_job_is_fetched_even_after_the_deadline(wait):
    late = NOW + timedelta(hours=1)
    assert wait.after_look(Status(status="COMPLETED"), now=late) == FetchResult()
    result = Result(status="COMPLETED", output="https://i/1.mp4")
    assert wait.after_look(result, now=late) == Done(result)


def test_a_result_that_is_behind_the_status_is_fetched_again(wait):
    assert wait.after_look(Result(status="PROCESSING"), now=NOW) == LookAgain(5)


def test_a_failed_job_ends_the_wait(wait):
    decision = wait.after_look(Status(status="FAILED", error="bad picture"), now=NOW)
    assert isinstance(decision, GiveUp)
    assert isinstance(decision.error, errors.KlingGenerationFailedError)
    assert "bad picture" in str(decision.error)


def test_a_job_that_nobody_knows_is_waited_for_while_it_is_young_and_lost_afterwards():
    wait = Wait("r-1", NOW + timedelta(hours=1), lambda _: 5, submitted_at=NOW)
    unknown = errors.SegmindRequestNotFoundError("404")
    young = wait.after_lookup_error(unknown, now=NOW + timedelta(minutes=9))
    assert isinstance(young, LookAgain)
    assert "did not know the job yet" in young.concern
    old = [wait.after_lookup_error(unknown, now=NOW + timedelta(minutes=10)) for _ in range(2)]
    assert [type(decision) for decision in old] == [LookAgain, GiveUp]
    of_unknown_age = Wait("r-1", NOW + timedelta(hours=1), lambda _: 5)
    assert isinstance(of_unknown_age.after_lookup_error(unknown, now=NOW), GiveUp)


def test_the_last_look_falls_on_the_deadline(wait):
    assert wait.after_look(Status(status="QUEUED"), now=NOW + timedelta(seconds=58)) == LookAgain(2)
    decision = wait.after_look(Status(status="QUEUED"), now=NOW + timedelta(seconds=60))
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
        assert decision == LookAgain(5, "x")
    late = wait.after_error(error, now=NOW + timedelta(seconds=61))
    assert isinstance(late.error, errors.KlingGenerationTimeoutError)
    assert "101 look(s) failed" in str(late.error)


def test_what_no_later_look_can_cure_ends_the_wait(wait):
    error = errors.SegmindSettingsError("x")
    assert wait.after_error(error, now=NOW) == GiveUp(error)


@pytest.mark.parametrize("error", [errors.SegmindAuthenticationError("x"), errors.SegmindPermissionError("x")])
def test_a_refused_key_is_believed_after_three_looks_in_a_row(wait, error):
    unread = errors.SegmindServerError("x")
    for other in (error, error, unread, error, error):
        assert wait.after_error(other, now=NOW) == LookAgain(5, "x", in_doubt=other is error)
    assert wait.after_error(error, now=NOW) == GiveUp(error)


def test_a_result_that_is_refused_alone_is_believed_too(wait):
    refused = errors.SegmindPermissionError("x")
    for decision in (LookAgain, LookAgain, GiveUp):
        assert wait.after_look(Status(status="COMPLETED"), now=NOW) == FetchResult()
        assert isinstance(wait.after_error(refused, now=NOW), decision)


def test_a_connection_that_cannot_be_read_is_forgiven_for_as_long_as_the_wait_says():
    wait = Wait("r-1", NOW + timedelta(hours=1), lambda _: 5, settings_until=NOW + timedelta(minutes=5))
    error = errors.SegmindSettingsError("missing")
    assert wait.after_error(error, now=NOW) == LookAgain(5, "missing")
    assert wait.after_error(error, now=NOW + timedelta(minutes=5)) == GiveUp(error)


def test_a_job_that_the_api_does_not_know_is_looked_up_before_it_is_called_lost(wait):
    unknown = errors.SegmindRequestNotFoundError("x")
    assert wait.after_error(unknown, now=NOW) == LookUp()
    assert wait.after_lookup_error(errors.SegmindServerError("x"), now=NOW) == LookAgain(5, "x")
    refused = errors.SegmindAuthenticationError("x")
    for _ in range(2):
        assert wait.after_lookup_error(refused, now=NOW) == LookAgain(5, "x", in_doubt=True)
    assert wait.after_lookup_error(refused, now=NOW) == GiveUp(refused)


def test_a_job_is_called_lost_once_nobody_has_known_it_three_times_in_a_row(wait):
    unknown = errors.SegmindRequestNotFoundError("x")
    told = "Segmind did not know the job, and neither did its request history."
    for _ in range(2):
        assert wait.after_lookup_error(unknown, now=NOW) == LookAgain(5, told, in_doubt=True)
    wait.after_error(errors.SegmindServerError("x"), now=NOW)
    for _ in range(2):
        assert wait.after_error(unknown, now=NOW) == LookUp()
        assert wait.after_lookup_error(unknown, now=NOW) == LookAgain(5, told, in_doubt=True)
    lost = wait.after_lookup_error(unknown, now=NOW)
    assert isinstance(lost.error, errors.SegmindRequestNotFoundError)
    assert "neither does its request history" in str(lost.error)


def test_a_job_that_is_done_without_a_file_is_delivered_at_the_deadline_and_never_timed_out():
    empty = Result(status="COMPLETED", output={"voice_id": "v"})
    running = Result(status="PROCESSING")
    late = Wait("r-1", NOW, lambda _: 5)
    assert late.after_look(empty, now=NOW) == LookUp()
    assert late.after_lookup(running, now=NOW) == Done(empty)
    patient = Wait("r-1", NOW + timedelta(hours=1), lambda _: 5)
    seen = [patient.after_look(empty, now=NOW) for _ in range(4)]
    assert [type(decision) for decision in seen] == [LookAgain, LookAgain, LookAgain, LookUp]
    ends = [patient.after_lookup(running, now=NOW) for _ in range(4)]
    assert [type(decision) for decision in ends] == [LookAgain, LookAgain, LookAgain, Done]
