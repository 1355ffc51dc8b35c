from __future__ import annotations

import logging
import pickle
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_kling.operators.failure import fail
from airflow_provider_kling.segmind import errors
from airflow_provider_kling.segmind.errors import KlingGenerationFailedError, SegmindError, SegmindServerError

FAILED = KlingGenerationFailedError("FAILED", request_id="r-1", blocked=True, metrics={"cost": 0.4})
PASSING = SegmindServerError("later")


def task(**arguments):
    return SimpleNamespace(log=logging.getLogger("task"), **arguments)


def test_what_a_retry_may_cure_is_raised_as_it_is():
    with pytest.raises(SegmindServerError) as caught:
        fail(task(), PASSING)
    assert caught.value is PASSING


def test_what_no_retry_can_cure_ends_the_task_with_its_class_and_all_facts(caplog):
    with pytest.raises(AirflowFailException, match="FAILED") as caught:
        fail(task(retry_policy=None), FAILED)
    error = caught.value
    assert isinstance(error, KlingGenerationFailedError)
    assert type(error).__name__ == "KlingGenerationFailedError"
    assert (error.request_id, error.blocked, error.metrics) == ("r-1", True, {"cost": 0.4})
    assert caplog.messages == ["KlingGenerationFailedError: FAILED"]
    assert error.__suppress_context__


def test_it_is_the_same_in_another_process_and_plain_for_a_trigger():
    with pytest.raises(AirflowFailException) as caught:
        fail(task(), FAILED)
    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 written a moment ago
    assert isinstance(again, KlingGenerationFailedError)
    assert isinstance(again, AirflowFailException)
    assert again.to_dict() == FAILED.to_dict()
    assert type(SegmindError.from_dict(again.to_dict())) is KlingGenerationFailedError


@pytest.mark.parametrize("kind", [kind for kind in vars(errors).values() if isinstance(kind, type)])
def test_every_error_can_end_a_task_for_good(kind):
    if issubclass(kind, SegmindError) and not kind.retryable:
        with pytest.raises(AirflowFailException) as caught:
            fail(task(), kind("why"))
        assert isinstance(caught.value, kind)


def test_a_retry_policy_sees_every_error_as_it_is():
    for error in (FAILED, PASSING):
        with pytest.raises(type(error)) as caught:
            fail(task(retry_policy=object()), error)
        assert caught.value is error
