"""
Saving the files of a finished job.

What must not be relaxed: nothing here submits. Whatever fails can be tried again at no cost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_kling.segmind.errors import (
    KlingDownloadError,
    SegmindError,
)
from airflow_provider_kling.storage.asset_events import register_events
from airflow_provider_kling.storage.file_saver import FileSaver
from airflow_provider_kling.storage.finished_job import finished
from airflow_provider_kling.xcoms import FILES_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_kling.hooks.segmind import SegmindHook
    from airflow_provider_kling.ledger.results import JobLedger
    from airflow_provider_kling.storage.store import Store


#: Most files of one job; no Kling model is known to make more than nine.
MOST_FILES = 16


def save_outputs(
    context: Context,
    result: Mapping[str, Any] | str,
    store: Store,
    hook: SegmindHook,
    log: Any,
    *,
    payload: Mapping[str, Any] | None = None,
    is_own_job: bool = False,
    ledger_of: Callable[[str], JobLedger | None] | None = None,
) -> list[dict[str, Any]]:
    """
    Save every file of a finished job, and add their asset events; what an earlier attempt saved is not fetched again.

    :param context: of the task that saves them.
    :param result: what the sensor returned, or a request id.
    :param store: where, and under which names; its templates are rendered: :meth:`Store.resolve`.
    :param hook: of the connection that submitted the job.
    :param log: the task's logger.
    :param payload: what was sent, where the caller knows it; by default the request history is read.
    :param is_own_job: whether the task has paid for the job: then a name that is taken by now does not lose the file.
        It is saved under a name beside that one.
    :param ledger_of: returns the ledger of a job, which gets to know where its files are. If a link of the task's own
        job is dead, the file is copied from where it was saved before.
    :return: for each file ``path``, ``sha256``, ``size``, ``type``, ``width``, ``height``, ``duration`` and
        ``sidecar``.
    :raises SegmindError: see :mod:`airflow_provider_kling.segmind.errors`; the job is not lost.
    """
    output = finished(result, hook)
    ledger = None if ledger_of is None else ledger_of(output["request_id"])
    copies = ledger.copies() if ledger is not None and is_own_job else ()
    saver = FileSaver(context, output, store, hook, log, payload, is_own_job=is_own_job, saved_before=copies)
    if len(output["urls"]) > MOST_FILES:
        log.warning(
            "Request %s has %d links in its output, more than any Kling model makes files: the first %d are saved.",
            output["request_id"],
            len(output["urls"]),
            MOST_FILES,
        )
    saved, errors = [], []
    for index, link in enumerate(output["urls"][:MOST_FILES]):
        try:
            saved.append(saver.save(index, link))
        except SegmindError as error:  # the others are paid for, too
            error.request_id = error.request_id or output["request_id"]
            errors.append(error)
    for failed in errors:
        if not saved or failed.retryable or not isinstance(failed, KlingDownloadError):
            raise failed
        log.warning("%s The other files of request %s are saved.", failed, output["request_id"])
    register_events(context, saved, store.destination, log)
    known = {
        file.link: {
            "path": file.path,
            "sidecar": saver.folder.real(file.sidecar),
            "sha256": file.facts["sha256"],
            "dead": file.link in saver.dead_links,
        }
        for file in saved
    }
    context["ti"].xcom_push(key=FILES_KEY, value=known)
    files = [file.as_xcom() for file in saved]
    if ledger is not None:
        ledger.saved(files, [file.link for file in saved])
    return files
