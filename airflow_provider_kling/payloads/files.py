"""The files that a payload names and that have to be uploaded before it can be sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.payloads.addresses import check_media, is_file
from airflow_provider_kling.payloads.annotations import bare_type, item_type, marks_of
from airflow_provider_kling.payloads.fields import Kind
from airflow_provider_kling.payloads.limits import Media
from airflow_provider_kling.payloads.paths import is_path, path_text
from airflow_provider_kling.payloads.templated_model import TemplatedModel

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_provider_kling.payloads.request import Request

Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class NamedFile:
    """
    A file where a payload names it.

    :param place: the way to it through the parameters.
    :param source: what names it.
    :param media: what it has to be.
    """

    place: Place
    source: str
    media: Media

    @property
    def field(self) -> str:
        """Return the place as messages write it."""
        return ".".join(str(part) for part in self.place)


def files_in(request: Request) -> list[NamedFile]:
    """
    Return the files that have to be uploaded, in the order in which they are named.

    In a parameter that no class knows, text is sent as it is, and only a path object is a file.

    :raises ValueError: a path object in an unknown parameter names no file that can be uploaded.
    """
    known = type(request.payload) if request.payload is not None else TemplatedModel
    unknown = {name: value for name, value in request.parameters.items() if name not in known.model_fields}
    return [*_in_fields(known, request.parameters, ()), *_in_unknown(unknown, ())]


def media_of(payload_class: type[TemplatedModel], name: str) -> Media | None:
    """Return what a field wants of its files; None where there is no such field or it takes none."""
    field = payload_class.model_fields.get(name)
    if field is None or Kind.URL not in marks_of(field):
        return None
    return next((mark for mark in reversed(marks_of(field)) if isinstance(mark, Media)), Media())


def lone_file(payload_class: type[TemplatedModel] | None, name: str, address: str) -> str | list[str]:
    """Return what a field takes for one file: its address, in a list where there may be several."""
    field = payload_class.model_fields.get(name) if payload_class is not None else None
    return address if field is None or item_type(bare_type(field.annotation)) is None else [address]


def replaced(value: Any, new: Mapping[Place, Any], place: Place = ()) -> Any:
    """Return parameters with other values in some places."""
    if place in new:
        return new[place]
    if isinstance(value, dict):
        return {name: replaced(inner, new, (*place, name)) for name, inner in value.items()}
    if isinstance(value, list):
        return [replaced(inner, new, (*place, number)) for number, inner in enumerate(value)]
    return value


def written_at(written: Any, place: Place) -> Any:
    """
    Return what an author wrote where a payload names a file: text, or a template of it.

    None where nothing of it was: a whole list, or the whole payload, was filled in.
    """
    for part in place:
        if not (isinstance(written, dict) and part in written) and not (
            isinstance(written, list | tuple) and isinstance(part, int) and part < len(written)
        ):
            return None
        written = written[part]  # type: ignore[index] # as was just looked at
    return path_text(written) if is_path(written) else written


def _in_fields(known: type[TemplatedModel], parameters: Mapping[str, Any], place: Place) -> Iterator[NamedFile]:
    for name, field in known.model_fields.items():
        value = parameters.get(name)
        part = item_type(bare_type(field.annotation))
        media = media_of(known, name)
        values = enumerate(value) if isinstance(value, list) else ()
        if isinstance(part, type) and issubclass(part, TemplatedModel):
            for number, inner in values:
                yield from _in_fields(part, inner, (*place, name, number))
        elif media is not None:
            leaves = [((*place, name, number), inner) for number, inner in values] or [((*place, name), value)]
            yield from (NamedFile(where, leaf, media) for where, leaf in leaves if is_file(leaf))


def _in_unknown(value: Any, place: Place) -> Iterator[NamedFile]:
    if is_path(value):
        yield NamedFile(place, check_media(value), Media())
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _in_unknown(inner, (*place, name))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _in_unknown(inner, (*place, number))
