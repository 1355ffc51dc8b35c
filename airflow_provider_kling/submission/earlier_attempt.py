"""What an earlier attempt of the running task has left: a job to adopt, or one to report."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from airflow_provider_kling.segmind.errors import SegmindError
from airflow_provider_kling.submission import messages
from airflow_provider_kling.submission.record import Claim, read_record
from airflow_provider_kling.submission.record_and_ledger import record_store
from airflow_provider_kling.xcoms import RECORD_KEY, instance_name

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_kling.submission.record import Record


def publish_earlier(context: Context) -> None:
    """
    Publish again what an earlier attempt has submitted: Airflow has deleted it, and the run's budget needs it.

    The attempt does this too, but only once the task's function has run and its files were read, which may take long.
    """
    ti = context["ti"]
    if ti.try_number == 1:
        return
    with suppress(Exception):  # the attempt reads the record again, and says what is wrong with it
        record = read_record(record_store(context).load())
        if record is not None:
            claim = Claim(task=instance_name(context), run=str(ti.run_id), record=record.as_left())
            ti.xcom_push(key=RECORD_KEY, value=claim.model_dump(mode="json"))


def left_behind(context: Context) -> str | None:
    """Return the message about a job that an earlier attempt may have submitted."""
    record = _record(context)
    if record is None or record.closed:
        return None
    return messages.left_behind(record)


def is_submitted(context: Context) -> bool:
    """Whether an earlier attempt's job can be adopted, so that nothing has to be sent."""
    record = _record(context)
    return record is not None and record.request_id is not None and not record.closed


def _record(context: Context) -> Record | None:
    """Return its record; None if there is none, or if it cannot be read, which the attempt itself reports."""
    with suppress(SegmindError):
        return read_record(record_store(context).load())
    return None
