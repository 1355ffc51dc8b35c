"""A submit's files, read before anything is sent, and what is said of an earlier attempt's job when they cannot be."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.records import record_store
from airflow_provider_kling.segmind import outlook
from airflow_provider_kling.segmind.errors import SegmindError
from airflow_provider_kling.segmind.steps import Claim
from airflow_provider_kling.segmind.submission import as_left, read_record
from airflow_provider_kling.siblings import RECORD_KEY, instance_name
from airflow_provider_kling.storage.attachments import attached

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_kling.payloads.checking import Request
    from airflow_provider_kling.storage.sources import Staged


@contextmanager
def read_files(request: Request, written: Any, *, required: bool) -> Iterator[tuple[Request, list[Staged]]]:
    """
    Read and check the files of a submit; they are at hand while the block lasts.

    :param written: the payload before anything was filled in.
    :param required: whether anything may have to be sent. Else files that are gone are no reason to fail.
    :return: the request with stand-ins in place of its files, and the files.
    :raises SegmindError: a file will not do, or cannot be read.
    """
    with ExitStack() as at_hand:
        try:
            read = at_hand.enter_context(attached(request, written))
        except SegmindError:
            if required:
                raise
            read = request, []
        yield read


def show_earlier(context: Context) -> None:
    """
    Publish again what an earlier attempt has submitted: Airflow has deleted it, and the run's budget counts on it.

    The submission does so too, but only once the task's function has run and its files were read, which may take long.
    """
    ti = context["ti"]
    if ti.try_number == 1:
        return
    with suppress(Exception):  # the submission reads the record again, and tells what is wrong with it
        record = read_record(record_store(context).load())
        if record is not None:
            claim = Claim(task=instance_name(context), run=str(ti.run_id), record=as_left(record))
            ti.xcom_push(key=RECORD_KEY, value=claim.model_dump(mode="json"))


def left_behind(context: Context) -> str | None:
    """Return what is to be said of a job that an earlier attempt may have submitted."""
    record = None
    with suppress(SegmindError):
        record = read_record(record_store(context).load())
    if record is None or record.delivered:
        return None
    return outlook.left_behind(record)


def is_submitted(context: Context) -> bool:
    """Whether an earlier attempt's job is there to be taken, so that nothing has to be sent."""
    record = None
    with suppress(SegmindError):
        record = read_record(record_store(context).load())
    return record is not None and record.request_id is not None and not record.delivered
