"""The life of a job and its credits, on a clock of the test's own."""

from __future__ import annotations

import pytest

from airflow_provider_kling.simulator.catalogue import Catalogue, RefusedError
from airflow_provider_kling.simulator.jobs import Books, Clock, Drawn, Failure, Status

MODEL = Catalogue.load().get("kling-o3-text2video")
FILM = Drawn(name="film.mp4", content_type="video/mp4", size=1)


@pytest.fixture
def clock():
    return Clock(lambda: 1_000_000.0)


@pytest.fixture
def books(clock):
    return Books(clock, credits=10.0, time_scale=10.0)


def test_a_job_is_queued_then_processed_then_completed(books, clock):
    job = books.accept(MODEL, {"prompt": "p"})
    books.conclude(job, FILM)
    assert job.status(clock.now()) is Status.QUEUED
    clock.advance(job.queue_time / 10 + 0.001)
    books.settle()
    assert job.status(clock.now()) is Status.PROCESSING
    clock.advance(job.inference_time / 10 + 0.001)
    books.settle()
    assert job.status(clock.now()) is Status.COMPLETED


def test_latency_is_near_the_published_one_and_shortened_by_the_time_scale(books):
    job = books.accept(MODEL, {"prompt": "p"})
    assert job.inference_time == pytest.approx(MODEL.latency, rel=0.1)
    assert job.due_at - job.starts_at == pytest.approx(job.inference_time / 10)


def test_the_same_submissions_take_the_same_time_in_every_run(clock):
    def run():
        books = Books(clock, credits=10.0, time_scale=10.0)
        return [books.accept(MODEL, {"prompt": "p"}).inference_time for _ in range(3)]

    assert run() == run()
    assert len(set(run())) == 3


def test_a_job_is_not_over_before_its_file_is_drawn(books, clock):
    job = books.accept(MODEL, {"prompt": "p"})
    clock.advance(500)
    books.settle()
    assert job.status(clock.now()) is Status.PROCESSING
    books.conclude(job, FILM)
    assert job.status(clock.now()) is Status.COMPLETED


def test_a_failed_run_ends_long_before_its_latency(books, clock):
    job = books.accept(MODEL, {"prompt": "p"})
    books.conclude(job, Failure("no"))
    clock.advance(job.queue_time / 10 + 0.001)
    books.settle()
    assert job.status(clock.now()) is Status.FAILED
    assert job.inference_time < 1


def test_credits_are_reserved_then_charged(books, clock):
    job = books.accept(MODEL, {"prompt": "p"})
    assert books.available == pytest.approx(10 - MODEL.price({}))
    assert books.credits == 10
    books.conclude(job, FILM)
    clock.advance(100)
    books.settle()
    assert job.billed == MODEL.price({})
    assert books.credits == pytest.approx(10 - MODEL.price({}))
    assert job.remaining_credits == books.available == pytest.approx(books.credits)


def test_credits_of_a_failed_job_are_released(books, clock):
    job = books.accept(MODEL, {"prompt": "p"})
    books.conclude(job, Failure("no"))
    clock.advance(100)
    books.settle()
    assert books.available == books.credits == 10
    assert job.billed == 0


def test_running_jobs_count_against_the_balance(books):
    for _ in range(7):
        books.accept(MODEL, {"prompt": "p"})
    with pytest.raises(RefusedError, match=r"Insufficient credits.*0\.2000.*1\.4000") as refused:
        books.accept(MODEL, {"prompt": "p"})
    assert refused.value.status == 406


def test_a_record_is_gone_an_hour_after_submission_and_the_file_a_week_after_the_end(books, clock):
    job = books.accept(MODEL, {"prompt": "p"})
    books.conclude(job, FILM)
    clock.advance(3599)
    assert books.record(job.request_id) is job
    clock.advance(1)
    with pytest.raises(RefusedError, match="not found"):
        books.record(job.request_id)
    assert job.has_file(clock.now())
    clock.advance(7 * 24 * 3600)
    assert not job.has_file(clock.now())
    assert books.find(job.request_id.replace("-", "")) is job


def test_the_clock_does_not_go_back(clock):
    with pytest.raises(ValueError, match="does not go back"):
        clock.advance(-1)
