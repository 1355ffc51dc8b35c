"""Kling 3.0: videos of 3 to 15 seconds with sound, in a standard and a pro model, and pictures."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from airflow_provider_kling.payloads.base import PartlyKnownPayload, PromptOrShots
from airflow_provider_kling.payloads.fields import (
    CfgScale,
    Elements,
    FirstFrame,
    GenerateAudio,
    LastFrame,
    NegativePrompt,
    OptionalNegativePrompt,
    OptionalPrompt,
    Picture,
    Prompt,
    Seen,
    ThreeToFifteen,
    UpTo3Elements,
    UpTo10Elements,
    V3Shots,
    VideoRatio,
)
from airflow_provider_kling.payloads.limits import PICTURE_OF_50_MB

_PictureRatio = Annotated[
    Literal["16:9", "9:16", "1:1", "4:3", "3:4", "3:2", "2:3"], Field(description="Shape of the picture.")
]
_Format = Annotated[Literal["png", "jpeg", "webp"], Field(description="png is lossless, the others are smaller.")]
_Resolution = Annotated[Literal["1K", "2K"], Field(description="Size of the picture.")]


class _TextToVideo(PromptOrShots, PartlyKnownPayload):
    output = "video"

    prompt: OptionalPrompt = None
    aspect_ratio: VideoRatio = "16:9"
    cfg_scale: CfgScale = 0.5
    duration: ThreeToFifteen = "5"
    generate_audio: GenerateAudio = True
    multi_prompt: V3Shots = None
    negative_prompt: NegativePrompt = "blur, distort, and low quality"


class V3TextToVideo(_TextToVideo):
    """A video from words, in one shot or several."""

    slug = "kling-3-standard-text2video"
    title = "Kling 3.0 Standard Text-to-Video"
    usual_latency = 145.3
    usual_cost = 1.7482
    price_range = (0.504, 8.40)


class V3ProTextToVideo(_TextToVideo):
    """A video from words, in one shot or several, of better quality."""

    slug = "kling-3-pro-text2video"
    title = "Kling 3.0 Pro Text-to-Video"
    usual_latency = 297.2
    usual_cost = 3.3089
    seen = Seen.PAGE_IN_PART


class _ImageToVideo(PromptOrShots, PartlyKnownPayload):
    output = "video"

    prompt: OptionalPrompt = None
    start_image_url: Annotated[FirstFrame, PICTURE_OF_50_MB]
    aspect_ratio: VideoRatio = "16:9"
    cfg_scale: CfgScale = 0.5
    duration: ThreeToFifteen = "5"
    elements: UpTo3Elements = None
    end_image_url: Annotated[LastFrame, PICTURE_OF_50_MB] = None
    generate_audio: Annotated[GenerateAudio, Seen.EXAMPLE] = True
    multi_prompt: Annotated[V3Shots, Seen.SIBLING] = None
    negative_prompt: Annotated[NegativePrompt, Seen.EXAMPLE] = "blur, distort, and low quality"


class V3ImageToVideo(_ImageToVideo):
    """A video that starts with a picture of up to 50 MB and, if you like, ends with another."""

    slug = "kling-3-standard-image2video"
    title = "Kling 3.0 Standard Image-to-Video"
    usual_latency = 150.6
    usual_cost = 1.2415
    price_range = (0.504, 8.40)


class V3ProImageToVideo(_ImageToVideo):
    """A video that starts with a picture of up to 50 MB and, if you like, ends with another; better quality."""

    slug = "kling-3-pro-image2video"
    title = "Kling 3.0 Pro Image-to-Video"
    usual_latency = 291.4
    usual_cost = 1.9406
    seen = Seen.SIBLING

    generate_audio: Annotated[GenerateAudio, Seen.SIBLING] = True


class V3TextToImage(PartlyKnownPayload):
    """A picture from words. The page names elements in the prompt as (element1)."""

    slug = "kling-3-text2image"
    title = "Kling V3 Text to Image"
    output = "image"
    usual_latency = 50.5
    usual_cost = 0.035
    price_range = (0.035, 0.035)

    prompt: Prompt
    aspect_ratio: _PictureRatio = "16:9"
    elements: UpTo10Elements = None
    negative_prompt: OptionalNegativePrompt = None
    output_format: _Format = "png"
    resolution: _Resolution = "1K"


class V3ImageToImage(PartlyKnownPayload):
    """A picture changed by words."""

    slug = "kling-3-image2image"
    title = "Kling V3 Image 2 Image"
    output = "image"
    usual_latency = 68.9
    usual_cost = 0.035
    price_range = (0.035, 0.035)

    image_url: Annotated[Picture, Field(description="The picture to change.")]
    prompt: Prompt
    aspect_ratio: _PictureRatio = "16:9"
    elements: Elements = None
    output_format: _Format = "png"
    resolution: _Resolution = "1K"
