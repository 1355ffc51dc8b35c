from __future__ import annotations

from datetime import UTC, datetime

import pytest

from airflow_provider_kling.segmind.errors import SegmindAmbiguousSubmitError, SegmindInputError
from airflow_provider_kling.segmind.submission import Adopt, Record, Submit, decide, fingerprint, read_record

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)
INTENT = Record(fingerprint="f", model="kling-o1", intended_at=NOW, max_tries=2)
ACCEPTED = INTENT.model_copy(update={"request_id": "r-1", "accepted_at": NOW})
DELIVERED = ACCEPTED.model_copy(update={"delivered": True})


def test_without_a_record_the_job_is_submitted():
    assert decide(None, wanted="f", max_tries=2) == Submit()


@pytest.mark.parametrize("record", [ACCEPTED, DELIVERED])
def test_a_retry_adopts_the_job_of_the_attempt_before_it(record):
    assert decide(record, wanted="f", max_tries=2) == Adopt(record)


def test_a_cleared_task_adopts_a_job_whose_id_never_reached_anyone():
    assert decide(ACCEPTED, wanted="f", max_tries=5) == Adopt(ACCEPTED)


def test_a_cleared_task_whose_job_was_delivered_is_submitted_anew():
    assert decide(DELIVERED, wanted="f", max_tries=5) == Submit()


def test_an_intent_without_an_id_is_never_answered_with_a_second_post():
    with pytest.raises(SegmindAmbiguousSubmitError, match="clear this task"):
        decide(INTENT, wanted="f", max_tries=2)
    assert decide(INTENT, wanted="f", max_tries=5) == Submit()


def test_a_changed_payload_is_submitted_and_the_job_left_behind_is_named():
    assert decide(ACCEPTED, wanted="g", max_tries=2) == Submit(abandoned=ACCEPTED)
    assert decide(DELIVERED, wanted="g", max_tries=2) == Submit()


def test_the_fingerprint_tells_payloads_models_connections_and_keys_apart_but_not_the_order_of_parameters():
    one = fingerprint("m", {"a": 1, "b": 2}, conn_id="c", api_key="k")
    assert one == fingerprint("m", {"b": 2, "a": 1}, conn_id="c", api_key="k")
    others = [
        fingerprint("n", {"a": 1, "b": 2}, conn_id="c", api_key="k"),
        fingerprint("m", {"a": 1, "b": 3}, conn_id="c", api_key="k"),
        fingerprint("m", {"a": 1, "b": 2}, conn_id="d", api_key="k"),
        fingerprint("m", {"a": 1, "b": 2}, conn_id="c", api_key="l"),
    ]
    assert len({one, *others}) == 5


def test_a_record_survives_its_store():
    assert read_record(None) is None
    assert read_record(DELIVERED.model_dump(mode="json")) == DELIVERED


@pytest.mark.parametrize("stored", ["", 7, {}, {"version": 1}, {**ACCEPTED.model_dump(mode="json"), "version": 2}])
def test_a_record_that_cannot_be_read_is_an_error_and_never_no_record(stored):
    with pytest.raises(SegmindInputError, match="cannot be read"):
        read_record(stored)
