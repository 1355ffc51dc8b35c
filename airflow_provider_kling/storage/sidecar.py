"""The description that is saved beside each file: what it is, how it was made, and from what."""

from __future__ import annotations

import hashlib
import io
import re
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Self
from urllib.parse import urlunsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, JsonValue, Tag, ValidationError

from airflow_provider_kling.segmind.addresses import is_address, split
from airflow_provider_kling.storage.open_files import UnfitFileError, opened

if TYPE_CHECKING:
    from typing import IO

    from fsspec import AbstractFileSystem

#: The largest description that is written, and read, in bytes.
LARGEST = 1024**2
#: The largest one that is written with indentation.
LARGEST_FOR_PEOPLE = 64 * 1024
#: How many files of a chain are described within each other; those before them are only named, with their sidecars.
DEEPEST = 10

_DATA_URL = re.compile(r"data:([\w.+/-]*)[;,]")
_LINK = re.compile(r"\s*https?://", re.IGNORECASE)
#: The query and the fragment of a link within a text.
_QUERY = re.compile(r"(https?://[^\s?#\"'<>]{1,2000})[?#][^\s\"'<>]*", re.IGNORECASE)


def _kind(described: Any) -> str:
    """Return which of the two it is. Trying both would take twice as long with each level of a chain."""
    return "kept" if isinstance(described, Sidecar) or (isinstance(described, dict) and "file" in described) else "made"


def _file_name(name: str) -> str:
    if name in {"", ".", ".."} or "/" in name or "\\" in name:
        raise ValueError("is no name of a file beside the description")
    return name


class Made(BaseModel):
    """
    What a job made, whether its file was saved or not.

    ``url`` is Segmind's link, which dies after seven days; ``cost`` is in US dollars; ``payload`` is what was sent,
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

    ``path``, ``sidecar`` and ``sha256`` are known for a file that was saved or uploaded by a task of the same run,
    ``made`` for one that a job made: it is that file's own description, so that a chain can be followed to its first
    picture.
    """

    model_config = ConfigDict(frozen=True)

    field: str
    url: str
    path: str | None = None
    sidecar: str | None = None
    sha256: str | None = None
    made: Annotated[Annotated[Sidecar, Tag("kept")] | Annotated[Made, Tag("made")], Discriminator(_kind)] | None = None


class Sidecar(Made):
    """
    A file that was saved: ``file`` is its name beside the sidecar, times are UTC, ``duration`` in seconds.

    ``loop`` is the iteration of a Task Loop (Airflow 3.4) in which it was saved.
    """

    index: int
    file: Annotated[str, AfterValidator(_file_name)]
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
        """Return what an asset event reports: everything except where the inputs came from."""
        return self.model_dump(mode="json", exclude={"inputs"}, exclude_none=True)

    def fitted(self) -> Self:
        """Return it without what makes it too large or too deep to be read again; the farthest inputs go first."""
        fitted = self.model_copy(update={"inputs": _cut(self.inputs, DEEPEST)})
        steps: tuple[dict[str, Any], ...] = (
            {"inputs": _cut(self.inputs, 0)},
            {"inputs": ()},
            {"payload": None, "metrics": {}},
        )
        for less in steps:
            if read_document(io.BytesIO(fitted.to_json())) is None:
                fitted = fitted.model_copy(update=less)
        return fitted

    def to_json(self) -> bytes:
        """Return it as it is stored: indented, unless it is so large or deep that it would be mostly spaces."""
        try:
            written = self.model_dump_json(exclude_none=True).encode()
        except ValueError:  # of values too deep to be written
            return b""
        if len(written) > LARGEST_FOR_PEOPLE:
            return written + b"\n"
        indented = self.model_dump_json(indent=2, exclude_none=True).encode() + b"\n"
        return indented if len(indented) <= LARGEST else written + b"\n"


def _cut(inputs: tuple[Input, ...], levels: int) -> tuple[Input, ...]:
    """Return inputs described down to so many levels."""

    def cut(made: Made | None) -> Made | None:
        if made is None or not levels:
            return None
        return made.model_copy(update={"inputs": _cut(made.inputs, levels - 1)})

    return tuple(input_.model_copy(update={"made": cut(input_.made)}) for input_ in inputs)


def read_sidecar(fs: AbstractFileSystem, path: str) -> Sidecar | None:
    """
    Return a description, or None if there is no file, no ordinary file, one too large, or other text.

    :raises Exception: whatever else the storage raises.
    """
    try:
        with opened(fs, path) as file:
            return read_document(file)
    except (FileNotFoundError, UnfitFileError):
        return None


def read_document(file: IO[bytes]) -> Sidecar | None:
    """Return the description that an open file holds, or None."""
    document = file.read(LARGEST + 1)
    try:
        return Sidecar.model_validate_json(document) if len(document) <= LARGEST else None
    except ValidationError:
        return None


def beside(place: str) -> str:
    """Return the place of a file's description."""
    stem, dot, extension = place.rpartition(".")
    return f"{stem if dot and '/' not in extension else place}.json"


def without_secrets(payload: Any) -> Any:
    """Return a payload as it may be saved: no key, no signed link, no file inside a link."""
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
        case str() if is_address(value) or _LINK.match(value):  # as it is sent: a service may take one with a space
            return bare(value.strip())
        case str():
            return _QUERY.sub(r"\1", value)
        case dict():
            return {str(name): _bared(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_bared(inner) for inner in value]
        case _:
            return value
