"""What has to hold of all that is made of what comes from outside."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.segmind.money import MOST
from airflow_provider_kling.segmind.sanitize import first_unfit

if TYPE_CHECKING:
    from airflow_provider_kling.segmind.errors import SegmindError


def assert_fit(value: Any) -> None:
    """Fail unless a value can be logged, stored and sent on: plain JSON, its texts whole, its numbers finite."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=False)
    text.encode()
    assert all(-(2**63) <= number < 2**64 for number in _whole_numbers(value))
    assert first_unfit(text) is None


def assert_told(error: SegmindError) -> None:
    """Fail unless an error can go wherever errors go."""
    told = error.to_dict()
    assert_fit(told)
    assert str(type(error).from_dict(json.loads(json.dumps(told)))) == str(error)


def assert_amount(amount: float | None) -> None:
    """Fail where an amount is below zero, or such that a sum of it has no end."""
    assert amount is None or 0 <= amount <= MOST


def _whole_numbers(value: Any) -> list[int]:
    match value:
        case bool():
            return []
        case int():
            return [value]
        case dict():
            return [number for inner in value.values() for number in _whole_numbers(inner)]
        case list() | tuple():
            return [number for inner in value for number in _whole_numbers(inner)]
        case _:
            return []
