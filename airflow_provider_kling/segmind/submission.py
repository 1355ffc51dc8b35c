"""
What an attempt to submit does, given what earlier attempts left behind.

Segmind has no idempotency key: each accepted POST is a bill. So a record outlives the attempt: the
intent is written before the POST, the request id at once after it, and only then is anything else
done. What must not be relaxed:

* The fingerprint never includes the try number: a retry must recognise its predecessor's job.
* A record that cannot be read is an error, never "no record".
* An intent without a request id may be a running job. It is never answered with a second POST.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from airflow_provider_kling.segmind import errors

if TYPE_CHECKING:
    from collections.abc import Mapping


class Record(BaseModel):
    """
    What is known of one task instance's submission, kept as JSON.

    :param fingerprint: of what is wanted, see :func:`fingerprint`.
    :param intended_at: when the POST was about to be sent.
    :param max_tries: the task instance's own at that time; Airflow raises it when a user clears the task.
    :param request_id: the accepted job.
    :param accepted_at: when the answer came.
    :param delivered: whether the id reached the tasks downstream.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int = 1
    fingerprint: str
    model: str
    intended_at: AwareDatetime
    max_tries: int
    request_id: str | None = None
    accepted_at: AwareDatetime | None = None
    delivered: bool = False


@dataclass(frozen=True, slots=True)
class Submit:
    """Write the intent and send the POST. ``abandoned`` is an accepted job that is no longer wanted."""

    abandoned: Record | None = None


@dataclass(frozen=True, slots=True)
class Adopt:
    """An earlier attempt's job is the one wanted: take its id, send nothing."""

    record: Record


def fingerprint(model: str, payload: Mapping[str, Any], *, conn_id: str, api_key: str) -> str:
    """Return a digest of what is wanted and whose account pays for it."""
    key_digest = hashlib.sha256(api_key.encode()).hexdigest()[:16]
    wanted = json.dumps([model, payload, conn_id, key_digest], sort_keys=True)
    return hashlib.sha256(wanted.encode()).hexdigest()


def read_record(stored: Any) -> Record | None:
    """
    Return the stored record.

    :raises SegmindInputError: something is stored and is no record of a version known here.
    """
    if stored is None:
        return None
    try:
        record = Record.model_validate(stored)
    except ValidationError:
        record = None
    if record is None or record.version != 1:
        raise errors.SegmindInputError(
            f"The submission's stored record cannot be read ({json.dumps(stored, default=str)[:200]}), so it is "
            "unknown whether a job runs already. Look in Segmind's request history, then delete the task's state "
            "entry to submit again."
        )
    return record


def decide(record: Record | None, *, wanted: str, max_tries: int) -> Submit | Adopt:
    """
    Return what this attempt does.

    :param wanted: the fingerprint of what this attempt would submit.
    :param max_tries: the task instance's own; another one than in the record means that a user cleared the task.
    :raises SegmindAmbiguousSubmitError: an earlier attempt sent it and nobody knows the outcome.
    """
    if record is None:
        return Submit()
    cleared = record.max_tries != max_tries
    if record.request_id is None:
        if cleared:
            return Submit()
        raise errors.SegmindAmbiguousSubmitError(
            f"An earlier attempt sent {record.model} at {record.intended_at:%Y-%m-%d %H:%M:%S} UTC and its outcome is "
            "unknown, so nothing is sent now. Look for it in Segmind's request history; if it is not there, clear "
            "this task to submit it again."
        )
    if record.fingerprint != wanted:
        return Submit(abandoned=None if record.delivered else record)
    if cleared and record.delivered:
        return Submit()
    return Adopt(record)
