"""A field's annotation taken apart: the bare type, the items of a list, the marks on either."""

from __future__ import annotations

from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo


def bare_type(annotation: Any) -> Any:
    """Return an annotation without Annotated and without None."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return bare_type(get_args(annotation)[0])
    if origin in {Union, UnionType}:
        (kept,) = (arg for arg in get_args(annotation) if arg is not NoneType)
        return bare_type(kept)
    return annotation


def item_type(annotation: Any) -> Any:
    """Return what a list holds; None for what is no list."""
    return bare_type(get_args(annotation)[0]) if get_origin(annotation) is list else None


def marks_of(field: FieldInfo) -> list[Any]:
    """Return all that annotates a field: what stands deep in its type first, what stands next to the field last."""
    return [*_marks(field.annotation), *field.metadata]


def _marks(annotation: Any) -> list[Any]:
    found = [*get_args(annotation)[1:]] if get_origin(annotation) is Annotated else []
    if get_origin(annotation) in {Annotated, Union, UnionType, list}:
        for inner in get_args(annotation):
            found += _marks(inner)
    return found
