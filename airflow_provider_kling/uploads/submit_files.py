"""A submit's files, read before anything is sent, and what is said of an earlier attempt's job when they cannot be."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.segmind.errors import SegmindError
from airflow_provider_kling.submission import messages
from airflow_provider_kling.submission.record import read_record
from airflow_provider_kling.submission.record_store import record_store
from airflow_provider_kling.uploads.payload_files import attached

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_kling.payloads.checking import Request
    from airflow_provider_kling.uploads.source_files import Staged


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


def left_behind(context: Context) -> str | None:
    """Return what is to be said of a job that an earlier attempt may have submitted."""
    record = None
    with suppress(SegmindError):
        record = read_record(record_store(context).load())
    if record is None or record.closed:
        return None
    return messages.left_behind(record)


def is_submitted(context: Context) -> bool:
    """Whether an earlier attempt's job is there to be taken, so that nothing has to be sent."""
    record = None
    with suppress(SegmindError):
        record = read_record(record_store(context).load())
    return record is not None and record.request_id is not None and not record.closed
