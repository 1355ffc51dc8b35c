"""The kinds of parameters that Kling models share: prompts, addresses, durations, elements, shots."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, WrapValidator, model_validator

from airflow_provider_kling.payloads.addresses import check_media
from airflow_provider_kling.payloads.limits import PICTURE, SOUND, VIDEO
from airflow_provider_kling.payloads.templated_model import TemplatedModel, leave_templates


class Seen(StrEnum):
    """Where a fact was read, which is how sure it is. Annotates a field; a class's ``seen`` covers the rest."""

    PAGE = "the model's page"
    PAGE_IN_PART = "the model's page, in part; the rest as for its sibling"
    EXAMPLE = "the page's example request"
    OLDER_PAGE = "an older edition of the page"
    LANDING_PAGE = "the model's landing page"
    SIBLING = "a sibling model's page"
    CLIENT = "a public client's code"


class Kind(StrEnum):
    """What a value stands for, where its Python type does not tell. Annotates a field's type."""

    URL = "URL"
    SECONDS = "seconds"


def _check_words(value: str) -> str:
    if not value.strip():
        raise ValueError("is empty; say what to make")
    return value


def _number_to_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _text_to_number(value: Any) -> Any:
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value


#: An address that Segmind can fetch, spaces and brackets let through as on Segmind's own pages, or a file that is
#: uploaded first.
MediaUrl = Annotated[str, Kind.URL, BeforeValidator(check_media), WrapValidator(leave_templates)]
Picture = Annotated[MediaUrl, PICTURE]
Video = Annotated[MediaUrl, VIDEO]
Sound = Annotated[MediaUrl, SOUND]

#: What to make, in words.
Prompt = Annotated[str, AfterValidator(_check_words), Field(description="What to make, in words.")]
OptionalPrompt = Annotated[Prompt | None, Field(description="What to make, in words.")]
#: What to avoid, in words.
NegativePrompt = Annotated[str, Field(description="What to avoid, in words.")]
OptionalNegativePrompt = Annotated[str | None, Field(description="What to avoid, in words.")]

# Durations take 5 and "5" and are sent as the models' own examples send them.
TextSeconds = BeforeValidator(_number_to_text)
NumberSeconds = BeforeValidator(_text_to_number)
_SECONDS = Field(description="Length of the video in seconds.")
FiveOrTen = Annotated[Literal["5", "10"], TextSeconds, Kind.SECONDS, _SECONDS]
FiveOrTenNumber = Annotated[Literal[5, 10], NumberSeconds, Kind.SECONDS, _SECONDS]
Five = Annotated[Literal["5"], TextSeconds, Kind.SECONDS, _SECONDS]
#: The pages show ten of thirteen values; 3 to 15 follows from the count and from a landing page.
ThreeToFifteen = Annotated[
    Literal["3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15"],
    TextSeconds,
    Kind.SECONDS,
    _SECONDS,
]

VideoRatio = Annotated[Literal["16:9", "9:16", "1:1"], Field(description="Shape of the video.")]
AutoRatio = Annotated[
    Literal["auto", "16:9", "9:16", "1:1"], Field(description="Shape of the output; auto follows the input.")
]
CfgScale = Annotated[
    float, Field(ge=0, le=1, description="How closely to follow the prompt, 0 to 1; higher is closer.")
]
Mode = Annotated[Literal["std", "pro"], Field(description="std is faster, pro looks better and costs more.")]
GenerateAudio = Annotated[bool, Field(description="Make sound to go with the picture.")]
KeepAudio = Annotated[bool, Field(description="Keep the sound of the input video.")]
ShotType = Annotated[str, Field(description="Kind of camera shot; the pages name only customize.")]

FirstFrame = Annotated[Picture, Field(description="The picture that the video starts with.")]
LastFrame = Annotated[Picture | None, Field(description="The picture that the video ends with.")]
ImageUrls = Annotated[
    list[Picture] | None, Field(description="Reference pictures, named @Image1, @Image2 … in the prompt.")
]
RequiredImageUrls = Annotated[
    list[Picture],
    Field(min_length=1, description="Reference pictures, named @Image1, @Image2 … in the prompt; at least one."),
]


class Element(TemplatedModel):
    """
    A character or object that keeps its looks; ``@Element1`` in a prompt is the first.

    Source: the parameter tables of kling-o1-*, kling-o3-video2video-* and kling-3-*.
    """

    frontal_image_url: Picture | None = Field(default=None, description="Front view of the character or object.")
    reference_image_urls: list[Picture] | None = Field(
        default=None, max_length=3, description="Up to 3 pictures of it from other sides."
    )

    @model_validator(mode="after")
    def _has_a_picture(self) -> Self:
        if not self.frontal_image_url and not self.reference_image_urls:
            raise ValueError("frontal_image_url: an element needs this or reference_image_urls")
        return self


class Shot(TemplatedModel):
    """One shot of a video told in several, as kling-o3-text2video and kling-o3-image2video take it."""

    prompt: Prompt | None = Field(default=None, description="What happens in this shot.")
    duration: Annotated[str, TextSeconds] | None = Field(default=None, description="Its length in seconds.")


class V3Shot(Shot):
    """One shot of a video told in several, as the kling-3-* models take it."""

    prompt: Annotated[Prompt, Field(max_length=512)] = Field(description="What happens in this shot, 512 characters.")
    duration: Annotated[str, TextSeconds] = Field(default="5", description="Its length in seconds.")


Elements = Annotated[
    list[Element] | None, Field(description="Characters or objects, named @Element1, @Element2 … in the prompt.")
]
UpTo3Elements = Annotated[
    list[Element] | None, Field(max_length=3, description="At most 3 characters or objects, named @Element1 …")
]
UpTo10Elements = Annotated[
    list[Element] | None, Field(max_length=10, description="At most 10 characters or objects, named @Element1 …")
]
# A landing page tells of six shots for O3, a 3.0 page of five.
Shots = Annotated[list[Shot] | None, Field(max_length=6, description="At most 6 shots, in place of the prompt.")]
V3Shots = Annotated[list[V3Shot] | None, Field(max_length=5, description="At most 5 shots, in place of the prompt.")]
