"""
What Segmind answers, as pydantic models.

They keep unknown fields (``extra="allow"``), because Segmind adds fields without notice, and require only what the
provider cannot do without. Money is in US dollars, which is what one Segmind credit is worth; times are in seconds.
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated, Any

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)

from airflow_provider_kling.segmind.addresses import is_link
from airflow_provider_kling.segmind.clock import Moment
from airflow_provider_kling.segmind.identifiers import is_request_id
from airflow_provider_kling.segmind.money import MOST, Dollars
from airflow_provider_kling.segmind.sanitize import TOO_LARGE, read_json


def _or_none(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    try:
        return handler(value)
    except ValidationError:
        return None


def _as_text(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    return handler(value if value is None or isinstance(value, str) else json.dumps(value, default=str))


# An extra fact that cannot be read must not make its result unreadable.
SideFloat = Annotated[float | None, Field(allow_inf_nan=False), WrapValidator(_or_none)]
SideCost = Annotated[Dollars | None, WrapValidator(_or_none)]
SideInt = Annotated[int | None, Field(ge=-TOO_LARGE, lt=TOO_LARGE), WrapValidator(_or_none)]
SideBool = Annotated[bool | None, WrapValidator(_or_none)]
SideTime = Annotated[Moment | None, WrapValidator(_or_none)]
SideText = Annotated[str | None, WrapValidator(_as_text)]


class JobStatus(StrEnum):
    """The states of a v2 job; there is no cancelled and no expired one."""

    QUEUED = "QUEUED"
    PROCESSING = "PROCESSING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"

    @property
    def is_terminal(self) -> bool:
        """Whether the job will not change again."""
        return self in {JobStatus.COMPLETED, JobStatus.FAILED}


class Schema(BaseModel):
    """An answer of Segmind; it keeps unknown fields."""

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)


class Metrics(Schema):
    """What a job took: ``cost`` and ``remaining_credits`` in US dollars, the times in seconds."""

    cost: SideCost = None
    remaining_credits: SideFloat = None
    inference_time: SideFloat = None
    queue_time: SideFloat = None
    total_time: SideFloat = None
    retry_count: SideInt = None


class Receipt(Schema):
    """
    The answer to a submit: the job is accepted and will be billed if it completes.

    An id that cannot be used in a request is refused: the job is searched for in the request history.
    """

    request_id: str

    @field_validator("request_id")
    @classmethod
    def _can_be_asked_for(cls, value: str) -> str:
        if not is_request_id(value):
            raise ValueError("it is no request id")
        return value


class Status(Schema):
    """A job's status. ``error`` holds Segmind's words when it is FAILED."""

    status: JobStatus
    error: SideText = None
    metrics: Metrics = Metrics()

    @field_validator("status", mode="before")
    @classmethod
    def _upper(cls, value: Any) -> Any:
        return value.upper() if isinstance(value, str) else value

    @field_validator("metrics", mode="before")
    @classmethod
    def _unreadable_metrics(cls, value: Any) -> Any:
        return value if isinstance(value, dict | Metrics) else {}


class Result(Status):
    """
    A job's answer with its output.

    ``output`` is as given (its shape differs by model), ``urls`` are the files in it in order,
    whatever the shape: empty while the job runs, when it failed, and when the model returns none.
    """

    output: Any = None
    urls: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _collect_urls(cls, answer: Any) -> Any:
        if not isinstance(answer, dict):
            return answer
        places = ("output", "video", "videos", "images", "image", "audio", "files", "result", "urls")
        found = [url for place in places for url in _urls(answer.get(place))]
        return {**answer, "urls": tuple(dict.fromkeys(found))}

    @property
    def url(self) -> str | None:
        """The first file, which for every known Kling model is the only one."""
        return self.urls[0] if self.urls else None


class Generation(Schema):
    """
    The answer to the blocking v1 call, which comes as JSON or as the file itself.

    ``content`` is the file's bytes if the file came, and ``urls`` its address if JSON came.
    """

    request_id: SideText = None
    cost: SideCost = None
    remaining_credits: SideFloat = None
    generation_time: SideFloat = None
    seed: SideText = None
    content_type: str
    content: bytes | None = Field(default=None, repr=False)
    urls: tuple[str, ...] = ()


#: What an account has, or owes.
Balance = Annotated[float, Field(ge=-MOST, le=MOST, allow_inf_nan=False)]


class Credits(Schema):
    """The balance of the key's workspace, in US dollars."""

    credits: Balance
    free_credits: Balance = Field(default=0.0, validation_alias=AliasChoices("free-credits", "free_credits"))

    @property
    def total(self) -> float:
        """What can be spent."""
        return self.credits + self.free_credits


class Uploaded(Schema):
    """The addresses of uploaded files, in the order they were sent; two names for the field are documented."""

    urls: tuple[str, ...] = Field(validation_alias=AliasChoices("file_urls", "urls"), min_length=1)

    @field_validator("urls")
    @classmethod
    def _can_be_read(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(map(is_link, value)):
            raise ValueError("it is no address that can be read")
        return value


class ListedModel(Schema):
    """One model of Segmind's public list. The key that says it is retired has Segmind's spelling."""

    slug: str = Field(min_length=1)
    is_retired: SideBool = Field(default=None, validation_alias=AliasChoices("is_depreciated", "is_retired"))
    parameters_schema: dict[str, Any] | None = None

    @field_validator("parameters_schema", mode="before")
    @classmethod
    def _unreadable_schema(cls, value: Any) -> Any:
        return value if isinstance(value, dict) else None

    @property
    def parameter_names(self) -> set[str] | None:
        """The parameters in the schema, or None if it has none."""
        properties = (self.parameters_schema or {}).get("properties")
        return set(properties) if isinstance(properties, dict) else None


class ModelList(Schema):
    """Segmind's public model list; its key is not documented."""

    models: tuple[ListedModel, ...]

    @model_validator(mode="before")
    @classmethod
    def _find_list(cls, answer: Any) -> Any:
        for rows in answer.values() if isinstance(answer, dict) else [answer]:
            models = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
            if models := [row for row in models if isinstance(row.get("slug"), str) and row["slug"]]:
                return {"models": models}
        raise ValueError("no list of models in it")  # an empty one would read as "every model is gone"


def _urls(node: Any) -> list[str]:
    """Return the addresses in an output of any shape: a string, JSON text, a list, an object."""
    if isinstance(node, str):
        text = node.strip()
        if is_link(text):
            return [text]
        if text.startswith(("{", "[")):
            try:
                return _urls(read_json(text))
            except (ValueError, RecursionError):  # texts within texts
                return []
        return []
    if isinstance(node, list):
        return [url for item in node for url in _urls(item)]
    if isinstance(node, dict):
        keys = (
            "url",
            "video_url",
            "image_url",
            "video",
            "image",
            "images",
            "output",
            "value",
            "data",
            "videos",
            "files",
            "result",
            "urls",
            "image_urls",
            "video_urls",
            "task_result",
            "works",
            "resource",
        )
        return [url for key in keys for url in _urls(node.get(key))]
    return []
