from __future__ import annotations

from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_kling.retries import fail
from airflow_provider_kling.segmind.errors import KlingGenerationFailedError, SegmindServerError

FAILED = KlingGenerationFailedError("FAILED", blocked=True)
PASSING = SegmindServerError("later")


def test_what_a_retry_may_cure_is_raised_as_it_is():
    with pytest.raises(SegmindServerError):
        fail(SimpleNamespace(), PASSING)


def test_what_no_retry_can_cure_ends_the_task_and_keeps_the_error_as_its_cause():
    with pytest.raises(AirflowFailException, match="FAILED") as caught:
        fail(SimpleNamespace(retry_policy=None), FAILED)
    assert caught.value.__cause__ is FAILED


def test_a_retry_policy_sees_every_error_as_it_is():
    for error in (FAILED, PASSING):
        with pytest.raises(type(error)) as caught:
            fail(SimpleNamespace(retry_policy=object()), error)
        assert caught.value is error
