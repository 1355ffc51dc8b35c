"""
How files are named: a template with placeholders, and what may not become part of a name.

Values come from outside (whoever starts a DAG run chooses its id), so unsafe characters in them are replaced; the
template itself is the DAG author's, so unsafe characters in it are refused.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.segmind.errors import SegmindInputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.providers.common.compat.sdk import Context

DEFAULT_NAME = "{dag_id}/{run_id}/{task_id}-{map_index}-{index}.{ext}"
#: What a template may name besides ``{ext}``, which is at its end.
PLACEHOLDERS = ("dag_id", "run_id", "task_id", "map_index", "index", "request_id", "model")
#: Longest value in bytes; ids may have 250 characters each, a file's name on most disks 255 bytes in all.
LONGEST_VALUE = 80
#: Most bytes of a file's or folder's name: the limit of most disks, minus the longest extension of a file.
LONGEST_PART = 255 - len(".jpeg")
#: Most characters of a template; no store takes longer keys, and the search for Jinja's marks takes quadratic time.
LONGEST_NAME = 1024

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_JINJA = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
_UNSAFE_IN_VALUE = re.compile(r"[^\w.=-]")
#: Control characters, and what has a special meaning in shells, object stores and glob patterns.
_UNSAFE_IN_TEMPLATE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\\*?\[\]{}<>|\"#%^`~:]")
_ENDING = ".{ext}"


@dataclass(frozen=True, slots=True)
class Name:
    """
    The names of one output: its file's, once its type is known, and its sidecar's, which needs no type.

    :param stem: the path below the destination, without the extension.
    :param fixed: the extension is part of the stem: the template has no ``{ext}``.
    """

    stem: str
    fixed: bool = False

    @classmethod
    def of(cls, value: str) -> Name:
        """Return a name in the destination itself, made from the safe characters of a value."""
        return cls(_safe(value))

    def file(self, extension: str) -> str:
        """Return the path of the file."""
        return self.stem if self.fixed else f"{self.stem}.{extension}"

    def is_name_of(self, file: str) -> bool:
        """Whether a file beside the sidecar, by its last part, has this name."""
        last = self.stem.rpartition("/")[2]
        return file == last if self.fixed else "/" not in file and file.rpartition(".")[0] == last

    def marked(self, mark: str) -> Name:
        """Return another name beside this one, with the mark in it."""
        folder, slash, last = self.stem.rpartition("/")
        stem, dot, extension = last.rpartition(".") if self.fixed and "." in last[1:] else (last, "", "")
        end = f"-{_safe(mark)}{dot}{extension}"
        room = LONGEST_PART - len(end.encode())
        return Name(f"{folder}{slash}{_shortened(stem, room)}{end}", fixed=self.fixed)

    @property
    def sidecar(self) -> str:
        """The path of the description beside it."""
        return f"{self.stem}.json"


def check_template(template: str) -> None:
    """
    Refuse a template that can give no safe name; what Jinja fills in is checked afterwards.

    :raises SegmindInputError: naming the part and what is allowed there.
    """
    if not isinstance(template, str):
        raise SegmindInputError(f"name: {template!r} is not text such as {DEFAULT_NAME!r}.")
    if len(template) > LONGEST_NAME:
        raise SegmindInputError(f"name: has {len(template)} characters, at most {LONGEST_NAME} are allowed.")
    _check(_JINJA.sub("x", template), template)


def is_end_written(template: str | None) -> bool:
    """Whether the extension in a name's template is the author's own, and not what a template renders to."""
    return template is None or "." in template.rpartition("}}")[2]


def check_name_from_data(template: str) -> None:
    """
    Refuse a name that data chose if it could make a program or a page of a picture.

    :raises SegmindInputError: it ends in an extension other than ``{ext}`` or that of a picture, video or sound.
    """
    from airflow_provider_kling.media.measure import extensions  # a run needs that, and not the parsing of a DAG file

    last = template.rpartition("/")[2]
    if "." not in last or last.rpartition(".")[2].lower() in {*extensions(None), "jpeg", "{ext}"}:
        return
    raise SegmindInputError(
        f"name: {template!r} came as data, and must end in {{ext}} or in the extension of a picture, video or sound. "
        "Correct it, or let the DAG's author write the name."
    )


def render(template: str, values: Mapping[str, str | int]) -> Name:
    """
    Return the names that a template gives.

    :param template: after Jinja.
    :param values: one for each of ``PLACEHOLDERS``; a map index of -1 is a task that is not mapped.
    :raises SegmindInputError: as :func:`check_template`, which has checked it before.
    """
    if len(template) > LONGEST_NAME:
        raise SegmindInputError(f"name: has {len(template)} characters, at most {LONGEST_NAME} are allowed.")
    _check(template, template)  # what still looks like a template was filled in
    stem = _PLACEHOLDER.sub(lambda found: _safe(values[found[1]]), template.removesuffix(_ENDING))
    _check_path(stem, template)
    for part in stem.split("/"):
        if len(part.encode()) > LONGEST_PART:
            raise SegmindInputError(
                f"name: {part[:40]!r}… has {len(part.encode())} bytes, at most {LONGEST_PART} are allowed between two "
                "slashes, so that its description has a name too; shorten it."
            )
    return Name(stem, fixed=not template.endswith(_ENDING))


def task_values(context: Context) -> dict[str, str | int]:
    """Return the values of the placeholders that name the task instance; an iteration of a loop counts as a task."""
    ti = context["ti"]
    loop: Any = context.get("loop")  # from Airflow 3.4 on
    task_id = ti.task_id if loop is None else f"{ti.task_id}-loop-{loop.index}"
    map_index = -1 if ti.map_index is None else ti.map_index
    return {"dag_id": ti.dag_id, "run_id": ti.run_id, "task_id": task_id, "map_index": map_index}


def _safe(value: str | int) -> str:
    """Return a value as a part of a name; an unmapped task has the index 0."""
    text = _UNSAFE_IN_VALUE.sub("-", "0" if value == -1 else str(value))
    if not text.strip("."):
        text = "-" * max(len(text), 1)
    if len(text.encode()) <= LONGEST_VALUE:
        return text
    digest = hashlib.sha256(str(value).encode(errors="backslashreplace")).hexdigest()[:8]
    return f"{_shortened(text, LONGEST_VALUE - 9)}-{digest}"


def _shortened(text: str, room: int) -> str:
    return text.encode()[:room].decode(errors="ignore")


def _check(plain: str, template: str) -> None:
    unknown = [name for name in _PLACEHOLDER.findall(plain) if name not in {*PLACEHOLDERS, "ext"}]
    if unknown:
        known = ", ".join(f"{{{name}}}" for name in (*PLACEHOLDERS, "ext"))
        raise SegmindInputError(f"name: {{{unknown[0]}}} is no placeholder; there are {known}.")
    if "{ext}" in plain.removesuffix(_ENDING):
        raise SegmindInputError(f"name: {{ext}} may be at the end only, as in {DEFAULT_NAME!r}.")
    _check_path(_PLACEHOLDER.sub("x", plain), template)


def _check_path(path: str, template: str) -> None:
    if path.startswith("/"):
        raise SegmindInputError(f"name: {template!r} is absolute; it is a path below the destination.")
    if unsafe := _UNSAFE_IN_TEMPLATE.search(path):
        raise SegmindInputError(f"name: {template!r} holds {unsafe[0]!r}, which is not safe in the name of a file.")
    if not path.isprintable():
        raise SegmindInputError(f"name: {template!r} holds a sign that cannot be seen, or ends a line; remove it.")
    parts = path.split("/")
    if any(part in {"", ".", ".."} for part in parts):
        raise SegmindInputError(
            f"name: {template!r} has an empty part, '.' or '..' as {path!r}; name folders and a file, "
            f"as in {DEFAULT_NAME!r}."
        )
