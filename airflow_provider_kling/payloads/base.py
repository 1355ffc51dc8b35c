"""
The common part of all payload classes: two checks, tags in prompts, and readable refusals.

A payload is checked when it is built, for everything that is not a template, and once more after
rendering, whole. A refusal is one line that names the field and what to change.
"""

from __future__ import annotations

import difflib
import re
from typing import Annotated, Any, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)

from airflow_provider_kling.payloads.templates import is_template
from airflow_provider_kling.segmind.errors import KlingPayloadError

_TAG = re.compile(r"(?<!\w)@(image|element|video)(\d+)(?!\w)", re.IGNORECASE)
_RENDERED = {"rendered": True}


def _leave_templates(value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
    """Check a value unless it is still a template; refuse what an empty template leaves behind."""
    if not (info.context or {}).get("rendered"):
        return value if is_template(value) else handler(value)
    if value is None or (isinstance(value, str) and value.strip() in {"", "None"}):
        raise ValueError(
            f"rendered to {value!r}; check the template and that the task upstream ran, or leave the parameter out"
        )
    return handler(value)


def _check_url(value: Any) -> Any:
    if not isinstance(value, str):
        return value  # pydantic says what is wrong with it
    parts = urlsplit(value)
    if parts.scheme in {"http", "https"} and parts.hostname and value.isprintable():
        return value
    if parts.scheme == "data":
        raise ValueError("is a data: URL, Segmind asks for an address; SegmindHook.upload() makes one of a file")
    raise ValueError(
        f"{_shown(value)} is not an http(s) URL that Segmind can fetch; SegmindHook.upload() makes one of a local file"
    )


def _as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


#: An address that Segmind can fetch. Spaces and brackets are let through, as on Segmind's own pages.
MediaUrl = Annotated[str, BeforeValidator(_check_url), WrapValidator(_leave_templates)]
#: Seconds, for which ``5`` and ``"5"`` are both taken; sent as text, as the pages' own examples do.
Seconds = BeforeValidator(_as_text)


class _Checked(BaseModel):
    """Pydantic's model with templates left alone and refusals in one line."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def __init__(self, /, **parameters: Any) -> None:
        self._check(parameters, context=None)

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

    def _check(self, parameters: dict[str, Any], context: dict[str, Any] | None) -> None:
        try:
            self.__pydantic_validator__.validate_python(parameters, self_instance=self, context=context)
        except ValidationError as exc:
            raise _refusal(type(self), exc) from None

    @field_validator("*", mode="wrap")
    @classmethod
    def _leave_templates(cls, value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        return _leave_templates(value, handler, info)

    def to_request(self) -> dict[str, Any]:
        """Return what is sent: the parameters that were given, in the order of the model's page."""
        return {
            name: _unwrapped(getattr(self, name))
            for name in type(self).model_fields
            if name in self.model_fields_set and getattr(self, name) is not None
        }


class Element(_Checked):
    """
    A character or object that keeps its looks through a video; ``@Element1`` in a prompt is the first.

    Source: the parameter tables of kling-o1-* and kling-o3-video2video-*.
    """

    frontal_image_url: MediaUrl | None = Field(default=None, description="Front view of the character or object.")
    reference_image_urls: list[MediaUrl] | None = Field(
        default=None, max_length=3, description="Up to 3 pictures of it from other sides."
    )

    @model_validator(mode="after")
    def _has_a_picture(self) -> Self:
        if not self.frontal_image_url and not self.reference_image_urls:
            raise ValueError("frontal_image_url: an element needs this or reference_image_urls")
        return self


class KlingPayload(_Checked):
    """
    The parameters of one Kling model.

    Values may be Jinja templates and XComArgs; they are checked once rendered. Only what is given is
    sent, so that Segmind's own defaults hold for the rest.

    :raises KlingPayloadError: naming the field and what to change.
    """

    slug: ClassVar[str]
    title: ClassVar[str]
    output: ClassVar[Literal["image", "video"]]
    #: Seconds a job usually takes; the average of Segmind's catalogue of 2026-08-19.
    usual_latency: ClassVar[float]
    #: US dollars a job usually costs; the average of the same catalogue.
    usual_cost: ClassVar[float]
    #: Lowest and highest price of a job in US dollars, where the page states them.
    price_range: ClassVar[tuple[float, float] | None] = None

    prompt: str = Field(description="What to make.", min_length=1)

    @field_validator("prompt", check_fields=False)
    @classmethod
    def _has_words(cls, prompt: Any) -> Any:
        if isinstance(prompt, str) and not prompt.strip():
            raise ValueError("is empty; say what to make")
        return prompt

    @model_validator(mode="after")
    def _tags_exist(self) -> Self:
        """Refuse ``@Image3`` with two pictures: Segmind would bill a video that lacks what was meant."""
        if is_template(self.prompt):
            return self
        for tag, kind, number in ((found.group(0), *found.groups()) for found in _TAG.finditer(self.prompt)):
            count, parameter = self._count(kind.lower())
            if count is None or 1 <= int(number) <= count:
                continue
            if not parameter:
                there_is = f"{self.slug} takes no {kind.lower()}s"
            elif not count:
                there_is = f"{parameter} is not given"
            else:
                last = f" to @{kind.capitalize()}{count}" if count > 1 else ""
                there_is = f"{parameter} gives @{kind.capitalize()}1{last}"
            raise ValueError(f"prompt: there is no {tag}, {there_is}; add it or correct the tag")
        return self

    def _count(self, kind: str) -> tuple[int | None, str | None]:
        """Return how many inputs a kind of tag can name (None: not known yet), and the parameter for them."""
        parameter = {"image": "image_urls", "element": "elements", "video": "video_url"}[kind]
        if parameter not in type(self).model_fields:
            return 0, None
        value = getattr(self, parameter)
        if is_template(value):
            return None, parameter
        if kind == "video":
            return (1 if value else 0), parameter
        return len(value or ()), parameter


def _unwrapped(value: Any) -> Any:
    if isinstance(value, _Checked):
        return value.to_request()
    if isinstance(value, list):
        return [_unwrapped(item) for item in value]
    return value


def _refusal(checked: type[_Checked], exc: ValidationError) -> KlingPayloadError:
    lines, fields = [], []
    for error in exc.errors(include_url=False):
        place = ".".join(str(part) for part in error["loc"])
        words = _in_words(checked, error)
        lines.append(f"{place}: {words}" if place else words)
        fields.append(str(error["loc"][0]) if error["loc"] else words.split(":")[0])
    name = checked.__name__ + (f" ({checked.slug})" if issubclass(checked, KlingPayload) else "")
    return KlingPayloadError(f"{name}: {'; '.join(lines)}.", fields=list(dict.fromkeys(fields)))


def _in_words(checked: type[_Checked], error: Any) -> str:
    given = error["input"]
    match error["type"]:
        case "extra_forbidden":
            known = list(checked.model_fields)
            name = str(error["loc"][-1])
            nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"did you mean {nearest[0]!r}? " if nearest else ""
            return f"no such parameter; {hint}It takes {', '.join(known)}"
        case "missing":
            return "is required"
        case "literal_error":
            return f"{_shown(given)} is not allowed; use {error['ctx']['expected']}"
        case "value_error":
            return str(error["ctx"]["error"])
        case "string_too_short" | "too_short":
            return "is empty"
        case "too_long":
            return f"holds {error['ctx']['actual_length']}, at most {error['ctx']['max_length']} are allowed"
        case _:
            return f"{error['msg'][0].lower()}{error['msg'][1:]}, not {_shown(given)}"


def _shown(value: Any) -> str:
    limit = 80
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
