"""The common part of all payload classes: what a model is, tags in prompts, unknown parameters, the price."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, get_args, get_origin

from pydantic import ConfigDict, ValidationInfo, model_validator

from airflow_provider_kling.payloads.estimate import Estimate, estimate
from airflow_provider_kling.payloads.fields import OptionalPrompt, Seen
from airflow_provider_kling.payloads.templated_model import TemplatedModel, is_rendered, nearest, refuse_left_over
from airflow_provider_kling.payloads.templates import is_template
from airflow_provider_kling.segmind.sanitize import one_paragraph, shortened

if TYPE_CHECKING:
    from collections.abc import Iterator

_TAG = re.compile(r"(?<!\w)@(image|element|video)(\d+)(?!\w)", re.IGNORECASE)
#: The parameters whose values a kind of tag can name, in the order in which it numbers them.
_NAMED_BY_TAG = {
    "image": ("image_urls", "image_url", "start_image_url", "image", "start_image", "end_image_url"),
    "element": ("elements",),
    "video": ("video_url",),
}


class KlingPayload(TemplatedModel):
    """
    The parameters of one Kling model.

    Values may be Jinja templates and XComArgs; they are checked once rendered. Only what is given is
    sent, so that Segmind's own defaults hold for the rest.

    Source, where a class says nothing else: the model's API page and Segmind's model catalogue, both as
    of 2026-08-19.

    :raises KlingPayloadError: naming the field and what to change.
    """

    slug: ClassVar[str]
    title: ClassVar[str]
    output: ClassVar[Literal["image", "video", "voice"]]
    #: Seconds a job usually takes; the catalogue's average.
    usual_latency: ClassVar[float]
    #: US dollars a job usually costs; the catalogue's average.
    usual_cost: ClassVar[float]
    #: Lowest and highest price of a job in US dollars, where the page states them.
    price_range: ClassVar[tuple[float, float] | None] = None
    #: Where the parameters were read, unless a field says otherwise.
    seen: ClassVar[Seen] = Seen.PAGE
    #: Whether every parameter is known. Unknown ones are refused where it is so.
    is_complete: ClassVar[bool] = True

    @classmethod
    def label(cls) -> str:
        """Return how a refusal names the class."""
        return f"{cls.__name__} ({cls.slug})"

    def unknown_parameters(self) -> str | None:
        """Return a warning about parameters that are passed on unchecked, or None where there are none."""
        unknown = list(self.model_extra or ())
        if not unknown:
            return None
        known = list(type(self).model_fields)
        hints = [f"{name} (did you mean {meant}?)" if (meant := nearest(name, known)) else name for name in unknown]
        told = f"{self.label()}: not in the part of its page that is known, sent unchecked: {', '.join(hints)}."
        return shortened(one_paragraph(told))

    def estimate(self) -> Estimate:
        """Return what the job costs, as far as its price is published."""
        field = type(self).model_fields.get("duration")
        choices = get_args(field.annotation) if field and get_origin(field.annotation) is Literal else ()
        # Of the length that the class knows: another parameter may be named so, and mean anything.
        wanted = self.__dict__.get("duration") if choices and not getattr(self, "multi_prompt", None) else None
        return estimate(
            self.price_range,
            self.usual_cost,
            seconds=None if wanted is None or is_template(wanted) else float(wanted),
            lengths=[float(choice) for choice in choices],
        )

    @model_validator(mode="after")
    def _tags_exist(self, info: ValidationInfo) -> Self:
        """Refuse ``@Image3`` with two pictures: Segmind would bill a video that lacks what was meant."""
        for place, text in self._texts():
            if is_template(text) and not is_rendered(info):
                continue
            for tag, kind, number in ((found.group(0), *found.groups()) for found in _TAG.finditer(text)):
                count = self._count(kind.lower())
                if count is not None and not 1 <= int(number) <= count:
                    raise ValueError(f"{place}: there is no {tag}, {self._there_is(kind, count)}; add it or correct it")
        return self

    def _texts(self) -> Iterator[tuple[str, str]]:
        """Yield the prompts, with the parameter each stands in."""
        shots = getattr(self, "multi_prompt", None)
        holders = [("prompt", self), *(("multi_prompt", shot) for shot in (shots if isinstance(shots, list) else ()))]
        for place, holder in holders:
            text = getattr(holder, "prompt", None)
            if isinstance(text, str):
                yield place, text

    def _count(self, kind: str) -> int | None:
        """Return how many inputs a kind of tag can name; None where that is not known yet."""
        if self.model_extra:
            return None
        values = [getattr(self, name, None) for name in _NAMED_BY_TAG[kind]]
        if any(
            is_template(value) and name.endswith("s") for name, value in zip(_NAMED_BY_TAG[kind], values, strict=True)
        ):
            return None
        return sum(len(value) if isinstance(value, list) else 1 for value in values if value)

    def _there_is(self, kind: str, count: int) -> str:
        names = [name for name in _NAMED_BY_TAG[kind.lower()] if name in type(self).model_fields]
        if not names:
            return f"{self.slug} takes no {kind.lower()}s"
        if not count:
            return f"{' or '.join(names)} is not given"
        last = f" to @{kind.capitalize()}{count}" if count > 1 else ""
        return f"{' and '.join(names)} gives @{kind.capitalize()}1{last}"


class PartlyKnownPayload(KlingPayload):
    """The parameters of a model whose page was not seen whole: unknown ones are passed on with a warning."""

    model_config = ConfigDict(extra="allow")

    is_complete: ClassVar[bool] = False

    @model_validator(mode="after")
    def _pass_on(self, info: ValidationInfo) -> Self:
        for name, value in (self.model_extra or {}).items():
            if is_rendered(info):
                try:
                    refuse_left_over(value)
                except ValueError as exc:
                    raise ValueError(f"{name}: {exc}") from None
        if not is_rendered(info) and (warning := self.unknown_parameters()):
            warnings.warn(warning, UserWarning, stacklevel=4)
        return self


class PromptOrShots:
    """Mixed into models that take shots in place of a prompt. Their pages call the prompt required."""

    prompt: OptionalPrompt
    multi_prompt: Any

    @model_validator(mode="after")
    def _says_what_to_make(self) -> Self:
        if self.prompt is None and not self.multi_prompt:
            raise ValueError("prompt: is required, or multi_prompt in its place")
        return self
