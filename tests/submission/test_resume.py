"""When an attempt that time may help goes on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_kling.segmind.errors import SegmindRateLimitError
from airflow_provider_kling.submission.policy import LONGEST_LIMITED, resumes_at

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.attack("Answer each submit with a rate limit, for ever", "the attempt fails after a day")
@pytest.mark.parametrize(("old", "goes_on"), [(timedelta(hours=23), True), (LONGEST_LIMITED * 1.01, False)])
def test_an_attempt_waits_for_rate_limits_for_a_day(old, goes_on):
    error = SegmindRateLimitError("limited", reset_at=(NOW + timedelta(seconds=20)).isoformat())
    assert (resumes_at(error, NOW, chance=0.5, began=NOW - old) is not None) is goes_on
