"""A payload class as a table of parameters, for people: the command line and the documentation print it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import annotated_types
from pydantic_core import PydanticUndefined

from airflow_provider_kling.payloads.annotations import bare_type, item_type, marks_of
from airflow_provider_kling.payloads.base import PromptOrShots
from airflow_provider_kling.payloads.fields import Kind, Seen
from airflow_provider_kling.payloads.templated_model import TemplatedModel

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from airflow_provider_kling.payloads.base import KlingPayload


@dataclass(frozen=True, slots=True)
class Parameter:
    """
    One parameter of a model.

    :param name: as it is sent.
    :param required: whether it must be given. "prompt" of a model that takes shots in its place is not.
    :param kind: what it holds: "text", "URL", "list of Element" …
    :param allowed: the only values there are, as they are sent; empty where there is no fixed set.
    :param limits: bounds in words, such as "0 to 1" or "at most 3"; empty where there are none.
    :param default: what Segmind takes when it is left out; None where there is no such value.
    :param description: what it is for.
    :param seen: where it was read, which is how sure it is.
    """

    name: str
    required: bool
    kind: str
    allowed: tuple[Any, ...]
    limits: str
    default: Any
    description: str
    seen: Seen


def parameters(payload_class: type[TemplatedModel], seen: Seen = Seen.PAGE) -> list[Parameter]:
    """Return the parameters of a payload class, or of a part of one such as ``Element``, required ones first."""
    seen = getattr(payload_class, "seen", seen)
    rows = [_parameter(name, field, seen) for name, field in payload_class.model_fields.items()]
    return sorted(rows, key=lambda row: not row.required)


def prompt_or_shots(payload_class: type[KlingPayload]) -> bool:
    """Whether the model wants a prompt or, in its place, shots."""
    return issubclass(payload_class, PromptOrShots)


def parts(payload_class: type[KlingPayload]) -> list[type[TemplatedModel]]:
    """Return the classes that the model's parameters are lists of."""
    found = [item_type(bare_type(field.annotation)) for field in payload_class.model_fields.values()]
    return [part for part in dict.fromkeys(found) if isinstance(part, type) and issubclass(part, TemplatedModel)]


def _parameter(name: str, field: FieldInfo, seen: Seen) -> Parameter:
    bare = bare_type(field.annotation)
    allowed = get_args(bare) if get_origin(bare) is Literal else ()
    has_default = field.default is not PydanticUndefined
    return Parameter(
        name=name,
        required=field.is_required(),
        kind=_kind(bare, field),
        allowed=allowed,
        limits=_limits(field),
        default=field.default if has_default else None,
        description=field.description or "",
        seen=next((mark for mark in field.metadata if isinstance(mark, Seen)), seen),
    )


def _kind(bare: Any, field: FieldInfo) -> str:
    marked = next((mark for mark in marks_of(field) if isinstance(mark, Kind)), None)
    item = item_type(bare)
    if isinstance(item, type):
        return f"list of {item.__name__ if issubclass(item, TemplatedModel) else (marked or 'text')}"
    if marked is not None:
        return str(marked)
    if get_origin(bare) is Literal:
        bare = type(get_args(bare)[0])
    return {str: "text", bool: "true or false", int: "whole number", float: "number"}[bare]


def _limits(field: FieldInfo) -> str:
    low = next((mark.ge for mark in field.metadata if isinstance(mark, annotated_types.Ge)), None)
    high = next((mark.le for mark in field.metadata if isinstance(mark, annotated_types.Le)), None)
    longest = next((mark.max_length for mark in field.metadata if isinstance(mark, annotated_types.MaxLen)), None)
    if low is not None and high is not None:
        return f"{low:g} to {high:g}"
    if longest is not None:
        return f"at most {longest}" + (" characters" if bare_type(field.annotation) is str else "")
    return ""
