"""What an earlier attempt of the running task has left: a job to be taken, or one to be told of."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from airflow_provider_kling.segmind.errors import SegmindError
from airflow_provider_kling.submission import messages
from airflow_provider_kling.submission.record import read_record
from airflow_provider_kling.submission.record_store import record_store

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_kling.submission.record import Record


def left_behind(context: Context) -> str | None:
    """Return what is to be said of a job that an earlier attempt may have submitted."""
    record = _record(context)
    if record is None or record.closed:
        return None
    return messages.left_behind(record)


def is_submitted(context: Context) -> bool:
    """Whether an earlier attempt's job is there to be taken, so that nothing has to be sent."""
    record = _record(context)
    return record is not None and record.request_id is not None and not record.closed


def _record(context: Context) -> Record | None:
    """Return its record; None where there is none, or none that can be read, which the attempt itself tells of."""
    with suppress(SegmindError):
        return read_record(record_store(context).load())
    return None
