"""The description that is kept beside each file: what it is, how it was made, and of what."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from typing import Any
from urllib.parse import urlunsplit

from pydantic import BaseModel, ConfigDict, JsonValue

from airflow_provider_kling.segmind.addresses import is_address, split

_DATA_URL = re.compile(r"data:([\w.+/-]*)[;,]")


class Made(BaseModel):
    """
    What a job made, whether its file was kept or not.

    ``url`` is Segmind's link, dead seven days after; ``cost`` is in US dollars; ``payload`` is what was sent,
    without what a signed link or a secret would give away.
    """

    model_config = ConfigDict(frozen=True)

    request_id: str
    model: str | None = None
    payload: dict[str, JsonValue] | None = None
    seed: str | None = None
    cost: float | None = None
    metrics: dict[str, JsonValue] = {}
    url: str | None = None
    created_at: datetime | None = None
    inputs: tuple[Input, ...] = ()


class Input(BaseModel):
    """
    One file that went into a job.

    ``path``, ``sidecar`` and ``sha256`` are known of a file that was kept or uploaded by a task of the same run,
    ``made`` of one that a job made: it is that file's own description, so that a chain can be followed to its first
    picture.
    """

    model_config = ConfigDict(frozen=True)

    field: str
    url: str
    path: str | None = None
    sidecar: str | None = None
    sha256: str | None = None
    made: Sidecar | Made | None = None


class Sidecar(Made):
    """
    A file that was kept: ``file`` is its name beside the sidecar, times are UTC, ``duration`` in seconds.

    ``loop`` is the iteration of a Task Loop (Airflow 3.4) in which it was.
    """

    index: int
    file: str
    size: int
    sha256: str
    type: str
    width: int | None = None
    height: int | None = None
    duration: float | None = None
    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    loop: int | None = None
    stored_at: datetime

    def is_of(self, request_id: str | None, index: int) -> bool:
        """Whether it describes this output of this job."""
        return (self.request_id, self.index) == (request_id, index)

    def facts(self) -> dict[str, JsonValue]:
        """Return what an asset event tells: all but where the inputs came from."""
        return self.model_dump(mode="json", exclude={"inputs"}, exclude_none=True)

    def to_json(self) -> bytes:
        """Return it as it is stored."""
        return self.model_dump_json(indent=2, exclude_none=True).encode() + b"\n"


def without_secrets(payload: Any) -> Any:
    """Return a payload as it may be kept: no key, no signed link, no file in the text of a link."""
    from airflow.providers.common.compat.sdk import redact

    return _bared(redact(payload))


def bare(link: str) -> str:
    """Return a link without what may be a signature: its query, its fragment, its user."""
    try:
        parts = split(link)
    except ValueError:
        return link.partition("?")[0].partition("#")[0]
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _bared(value: Any) -> Any:
    match value:
        case str() if found := _DATA_URL.match(value):
            return f"data:{found[1]};sha256={hashlib.sha256(value.encode()).hexdigest()}"
        case str() if is_address(value):
            return bare(value)
        case dict():
            return {str(name): _bared(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_bared(inner) for inner in value]
        case _:
            return value
