"""Kling 1.x: the first models, of which the oldest two have no page left to read."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from airflow_provider_kling.payloads.addresses import check_media, is_base64
from airflow_provider_kling.payloads.base import KlingPayload, PartlyKnownPayload
from airflow_provider_kling.payloads.fields import (
    CfgScale,
    FirstFrame,
    FiveOrTen,
    Kind,
    Mode,
    NegativePrompt,
    NumberSeconds,
    OptionalNegativePrompt,
    OptionalPrompt,
    Prompt,
    Seen,
    VideoRatio,
)
from airflow_provider_kling.payloads.limits import PICTURE


class V16TextToVideo(KlingPayload):
    """A video from words."""

    slug = "kling-1.6-text2video"
    title = "Kling AI 1.6 Text to Video"
    output = "video"
    usual_latency = 304.1
    usual_cost = 0.6887
    price_range = (0.56, 1.96)

    prompt: Prompt
    aspect_ratio: VideoRatio = "16:9"
    cfg_scale: CfgScale = 0.5
    duration: FiveOrTen = "5"
    mode: Annotated[Literal["std"], Field(description="The only quality there is.")] = "std"
    negative_prompt: NegativePrompt = "No buildings, no artificial objects"


class V16ImageToVideo(KlingPayload):
    """A video from a picture."""

    slug = "kling-1.6-image2video"
    title = "Kling AI 1.6 Image to Video"
    output = "video"
    usual_latency = 289.4
    usual_cost = 1.0528
    price_range = (0.56, 1.96)

    image: FirstFrame
    cfg_scale: CfgScale = 0.5
    duration: FiveOrTen = "5"
    mode: Mode = "pro"
    negative_prompt: NegativePrompt = "No sudden movements, no fast zooms."
    prompt: OptionalPrompt = None


class V1TextToVideo(PartlyKnownPayload):
    """A video from words."""

    slug = "kling-text2video"
    title = "Kling AI Text to Video"
    output = "video"
    usual_latency = 320.2
    usual_cost = 0.4317
    seen = Seen.CLIENT

    prompt: Prompt


def _media_or_base64(value: Any) -> Any:
    return value if is_base64(value) else check_media(value)


class V1ImageToVideo(PartlyKnownPayload):
    """A video from a picture."""

    slug = "kling-image2video"
    title = "Kling AI Image to Video"
    output = "video"
    usual_latency = 317.5
    usual_cost = 0.8641
    seen = Seen.CLIENT

    image: Annotated[
        str,
        Kind.URL,
        PICTURE,
        BeforeValidator(_media_or_base64),
        Field(description="The picture that the video starts with, as an address or as base64."),
    ]
    prompt: OptionalPrompt = None
    negative_prompt: OptionalNegativePrompt = None
    cfg_scale: CfgScale = 0.5
    mode: Mode = "pro"
    duration: Annotated[int, NumberSeconds, Field(gt=0, description="Length of the video in seconds.")] = 5
    version: Annotated[str | None, Field(description="Version of the model.")] = None
