"""Turns a task's ``result`` argument into the result of a finished job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.payloads.templates import as_plain
from airflow_provider_kling.segmind.errors import (
    KlingDownloadError,
    KlingGenerationFailedError,
    SegmindInputError,
    SegmindRequestNotFoundError,
)
from airflow_provider_kling.segmind.identifiers import checked_request_id
from airflow_provider_kling.segmind.sanitize import read_json, read_literal
from airflow_provider_kling.segmind.schemas import JobStatus, Result
from airflow_provider_kling.xcoms import of_result

if TYPE_CHECKING:
    from airflow_provider_kling.hooks.segmind import SegmindHook


def finished(result: Any, hook: SegmindHook) -> dict[str, Any]:
    """
    Return a finished job's result, with its request id and at least one link.

    :param result: what the sensor returned, the text of it that a template makes, or a request id.
    :raises SegmindInputError: it is none of these.
    :raises KlingDownloadError: the job is not finished, or has no file.
    """
    output = _read(result)
    if isinstance(output, str):
        output = _asked(checked_request_id(output), hook)
    if not isinstance(output, dict):
        raise SegmindInputError(
            f"result: {type(output).__name__} is neither what KlingSensor returned nor a request id; pass the "
            "sensor's output (result=done.output), and map this task where the sensor is mapped: "
            ".expand(result=done.output)."
        )
    output = {**output, "request_id": checked_request_id(output.get("request_id"))}
    links = output.get("urls") or [output.get("url")]
    output["urls"] = [link for link in links if isinstance(link, str) and link] if isinstance(links, list) else []
    if not output["urls"]:
        raise KlingDownloadError(
            f"result: request {output['request_id']} has no file in its output, as far as can be read; there is "
            "nothing to save. A retry, or clearing this task, asks Segmind again and pays nothing.",
            request_id=output["request_id"],
        )
    return output


def _read(result: Any) -> Any:
    if not isinstance(result, str) or not result.lstrip().startswith("{"):
        return as_plain(result) if isinstance(result, Mapping) else result
    for read in (read_json, read_literal):
        try:
            return read(result)
        except ValueError:
            continue
    return result


def _asked(request_id: str, hook: SegmindHook) -> dict[str, Any]:
    try:
        found: Result = hook.get_result(request_id)
    except SegmindRequestNotFoundError:
        found = hook.find_request(request_id)
    if found.status is JobStatus.FAILED:
        raise KlingGenerationFailedError(
            f"Request {request_id} FAILED: {found.error}; it made no file.", request_id=request_id, detail=found.error
        )
    if found.status is not JobStatus.COMPLETED:
        raise KlingDownloadError(
            f"Request {request_id} is still {found.status}: there is no file yet. Wait for it with KlingSensor.",
            request_id=request_id,
        )
    whole: dict[str, Any] = of_result(request_id, None, found)["return_value"]
    return whole
