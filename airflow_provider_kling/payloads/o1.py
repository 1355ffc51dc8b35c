"""
Kling O1: pictures from pictures, and videos from pictures and videos.

The pages declare ``elements`` as a string whose default is null and describe it as a list of objects;
it is sent as that list.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from airflow_provider_kling.payloads.base import KlingPayload
from airflow_provider_kling.payloads.fields import (
    AutoRatio,
    Elements,
    FirstFrame,
    FiveOrTen,
    ImageUrls,
    KeepAudio,
    LastFrame,
    MediaUrl,
    Prompt,
    RequiredImageUrls,
    VideoRatio,
)
from airflow_provider_kling.payloads.limits import O1_REFERENCE_VIDEO


class O1Image(KlingPayload):
    """A picture from one or more pictures: combine, restyle, place one in another."""

    slug = "kling-o1"
    title = "Kling O1"
    output = "image"
    usual_latency = 59.5
    usual_cost = 0.035
    price_range = (0.035, 0.035)

    # The page calls the pictures required although its own example leaves them out.
    image_urls: RequiredImageUrls
    prompt: Prompt
    aspect_ratio: AutoRatio = "auto"
    output_format: Annotated[Literal["png", "jpg"], Field(description="png is lossless, jpg is smaller.")] = "png"
    resolution: Annotated[Literal["1K"], Field(description="Size of the picture.")] = "1K"


class _O1Video(KlingPayload):
    output = "video"

    prompt: Prompt


class O1ImageToVideo(_O1Video):
    """A video that starts with a picture and, if you like, ends with another."""

    slug = "kling-o1-image-to-video"
    title = "Kling O1 Image 2 Video"
    usual_latency = 143.4
    usual_cost = 0.9086

    start_image_url: FirstFrame
    duration: FiveOrTen = "5"
    end_image_url: LastFrame = None


class O1ReferenceToVideo(_O1Video):
    """A video in which the people and things of the reference pictures keep their looks."""

    slug = "kling-o1-reference-image-to-video"
    title = "Kling O1 Reference Image 2 Video"
    usual_latency = 197.4
    usual_cost = 1.3453

    image_urls: RequiredImageUrls
    aspect_ratio: VideoRatio = "16:9"
    duration: FiveOrTen = "5"
    elements: Elements = None


class O1VideoEdit(_O1Video):
    """A video changed by words: another background, another person, another light. It keeps its length."""

    slug = "kling-o1-video-to-video-edit"
    title = "Kling O1 Video 2 Video Edit"
    usual_latency = 250.3
    usual_cost = 1.277

    video_url: Annotated[MediaUrl, O1_REFERENCE_VIDEO, Field(description="The video to change, @Video1 in the prompt.")]
    elements: Elements = None
    image_urls: ImageUrls = None
    keep_audio: KeepAudio = False


class O1VideoReference(_O1Video):
    """The next shot in the style of a video."""

    slug = "kling-o1-video-to-video-reference"
    title = "Kling O1 Video 2 Video Reference"
    usual_latency = 239.7
    usual_cost = 1.4236

    video_url: Annotated[
        MediaUrl, O1_REFERENCE_VIDEO, Field(description="The video to go on from, @Video1 in the prompt.")
    ]
    aspect_ratio: AutoRatio = "auto"
    duration: FiveOrTen = "5"
    elements: Elements = None
    image_urls: ImageUrls = None
    keep_audio: KeepAudio = False
