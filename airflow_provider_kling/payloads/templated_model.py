"""
The base of everything that is checked twice: templates are left alone, refusals are one readable line.

The first check is made when an object is built, for what is no template; the second one after
rendering, for all of it.
"""

from __future__ import annotations

import difflib
from typing import Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
)

from airflow_provider_kling.payloads.paths import is_path
from airflow_provider_kling.payloads.templates import is_template, renders_to_nothing
from airflow_provider_kling.segmind.errors import KlingPayloadError
from airflow_provider_kling.segmind.json_values import unsendable

_RENDERED = {"rendered": True}


def leave_templates(value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
    """Check a value unless it is still a template; refuse what an empty template leaves behind."""
    if not is_rendered(info):
        return value if is_template(value) else handler(value)
    refuse_left_over(value)
    return handler(value)


def is_rendered(info: ValidationInfo) -> bool:
    """Whether this is the second check, after rendering."""
    return bool((info.context or {}).get("rendered"))


def refuse_left_over(value: Any) -> None:
    """Refuse what a template of a missing value renders to."""
    if renders_to_nothing(value):
        raise ValueError(
            f"rendered to {value!r}; check the template and that the task upstream ran, or leave the parameter out"
        )


class TemplatedModel(BaseModel):
    """
    Pydantic's model with templates left alone and refusals in one line.

    :raises KlingPayloadError: naming the field and what to change.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    def __init__(self, /, **parameters: Any) -> None:
        try:
            self._check(parameters, context=None)
        except KlingPayloadError as refusal:
            # Airflow shows the last two frames of an import error: so the line of the DAG file is one of them.
            raise refusal.with_traceback(None) from None

    # Tells pydantic that this is no __init__ of its own kind, so that an Element inside a payload is
    # checked with the payload's context, and its errors are placed within it.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]  # an attribute of a function

    @classmethod
    def from_rendered(cls, parameters: dict[str, Any]) -> Self:
        """
        Build it from rendered values: nothing is left unchecked.

        :raises KlingPayloadError: naming the field and what to change.
        """
        checked = cls.__new__(cls)
        checked._check(parameters, context=_RENDERED)  # noqa: SLF001 is this class's own
        return checked

    @classmethod
    def label(cls) -> str:
        """Return how a refusal names the class."""
        return cls.__name__

    def _check(self, parameters: dict[str, Any], context: dict[str, Any] | None) -> None:
        refuse_unsendable(self.label(), parameters)
        try:
            self.__pydantic_validator__.validate_python(parameters, self_instance=self, context=context)
        except ValidationError as exc:
            raise _refusal(type(self), exc) from None

    @field_validator("*", mode="wrap")
    @classmethod
    def _leave_templates(cls, value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        return leave_templates(value, handler, info)

    def to_request(self) -> dict[str, Any]:
        """Return what is sent: the parameters that were given, in the class's order, and nothing else."""
        names = [*type(self).model_fields, *(self.model_extra or {})]
        values = {**self.__dict__, **(self.model_extra or {})}  # a parameter may be named as a method is
        given = {name: values[name] for name in names if name in self.model_fields_set}
        return {name: _unwrapped(value) for name, value in given.items() if value is not None}


def refuse_unsendable(label: str, parameters: dict[str, Any]) -> None:
    """
    Refuse what could not be sent, templates and files aside.

    :raises KlingPayloadError: naming the field and what to change.
    """
    if fault := unsendable(parameters, _stands_for_something):
        place, words = fault
        raise KlingPayloadError(f"{label}: {place}{': ' if place else ''}{words}.", fields=[place.split(".")[0]])


def _stands_for_something(value: Any) -> bool:
    """Whether a value is replaced before it is sent: a reference, a file's path, a part that was checked itself."""
    return isinstance(value, TemplatedModel) or is_template(value) or is_path(value)


def nearest(name: str, known: list[str]) -> str | None:
    """Return the known name that a misspelt one most likely means."""
    return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=0.5)), None)


def _unwrapped(value: Any) -> Any:
    if isinstance(value, TemplatedModel):
        return value.to_request()
    if isinstance(value, list):
        return [_unwrapped(item) for item in value]
    return value


def _refusal(checked: type[TemplatedModel], exc: ValidationError) -> KlingPayloadError:
    lines, fields = [], []
    for error in exc.errors(include_url=False):
        place = ".".join(str(part) for part in error["loc"])
        words = _in_words(checked, error)
        lines.append(f"{place}: {words}" if place else words)
        fields.append(str(error["loc"][0]) if error["loc"] else words.split(":")[0])
    return KlingPayloadError(f"{checked.label()}: {'; '.join(lines)}.", fields=list(dict.fromkeys(fields)))


def _in_words(checked: type[TemplatedModel], error: Any) -> str:
    given = error["input"]
    match error["type"]:
        case "extra_forbidden":
            known = list(checked.model_fields)
            meant = nearest(str(error["loc"][-1]), known)
            hint = f"did you mean {meant!r}? " if meant else ""
            return f"no such parameter; {hint}It takes {', '.join(known)}"
        case "missing":
            return "is required" + _misspelt(checked, error)
        case "literal_error":
            return f"{shown(given)} is not allowed; use {error['ctx']['expected']}"
        case "value_error":
            return str(error["ctx"]["error"])
        case "string_too_short" | "too_short":
            return "is empty"
        case "too_long" | "string_too_long":
            has = f"has {len(given)} characters" if isinstance(given, str) else f"holds {len(given)}"
            return f"{has}, at most {error['ctx']['max_length']} are allowed"
        case _:
            return f"{error['msg'][0].lower()}{error['msg'][1:]}, not {shown(given)}"


def _misspelt(checked: type[TemplatedModel], error: Any) -> str:
    """Return which unknown parameter may be meant for one that is missing, where unknown ones are not refused."""
    if checked.model_config.get("extra") != "allow" or len(error["loc"]) > 1:
        return ""
    unknown = [name for name in error["input"] if name not in checked.model_fields]
    meant = nearest(str(error["loc"][0]), unknown)
    return f"; {meant!r}, which is no known parameter, may be meant" if meant else ""


def shown(value: Any) -> str:
    """Return a value as a message can bear it."""
    limit = 80
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
