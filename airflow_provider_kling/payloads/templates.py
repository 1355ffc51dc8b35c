"""What in a payload is known when the DAG file is parsed, and what only once the task runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from airflow_provider_kling.segmind.errors import SegmindInputError

_JINJA = ("{{", "{%", "{#")


def is_template(value: Any) -> bool:
    """Whether the value is a Jinja template or a reference such as an XComArg, to be filled in later."""
    if isinstance(value, str):
        return any(mark in value for mark in _JINJA)
    # XComArg, DagParam and their like: Airflow's own protocol, so that payloads need no Airflow.
    return hasattr(value, "resolve") and hasattr(value, "iter_references")


def as_plain(value: Any) -> Any:
    """Turn the sequences and mappings that rendering may leave (lazy XComs) into lists and dicts."""
    if isinstance(value, str | bytes):
        return value
    if isinstance(value, Mapping):
        return {key: as_plain(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [as_plain(item) for item in value]
    return value


def renders_to_nothing(value: Any) -> bool:
    """Whether an optional argument was left out, or its template found nothing to fill in."""
    return value is None or (isinstance(value, str) and value.strip() in {"", "None"})


def rendered_time(value: str | None) -> datetime | None:
    """
    Return an optional time, ISO 8601, with its zone; one without is local. None where it renders to nothing.

    :raises SegmindInputError: it is no time.
    """
    if renders_to_nothing(value):
        return None
    try:
        moment = datetime.fromisoformat(str(value)).astimezone()
        if moment.year not in range(1970, 2200):
            raise ValueError("no time at which anything happens here")  # noqa: TRY301 told as any other
        return moment  # noqa: TRY300 as just said
    except (ValueError, OverflowError):
        raise SegmindInputError(
            f"submitted_at: {str(value)[:100]!r} is no time in ISO 8601. Leave it out, or pass the submit task's XCom "
            "of that name."
        ) from None
