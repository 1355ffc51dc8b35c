"""
Kling O1: pictures from pictures, and videos from pictures and videos.

Source: the models' API pages, read on 2026-08-19; latency and cost are the averages of the model
catalogue of that day. The pages declare ``elements`` as a string whose default is null and describe
it as a list of objects; it is sent as that list.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from airflow_provider_kling.payloads.base import Element, KlingPayload, MediaUrl, Seconds

Duration = Annotated[
    Literal["5", "10"],
    Seconds,
    Field(description='Length of the video in seconds, 5 or 10. Segmind\'s default: "5".'),
]
Elements = Annotated[
    list[Element] | None, Field(description="Characters or objects, named @Element1, @Element2 … in the prompt.")
]
ImageUrls = Annotated[
    list[MediaUrl] | None, Field(description="Reference pictures, named @Image1, @Image2 … in the prompt.")
]
RequiredImageUrls = Annotated[
    list[MediaUrl],
    Field(min_length=1, description="Reference pictures, named @Image1, @Image2 … in the prompt; at least one."),
]
KeepAudio = Annotated[bool, Field(description="Keep the sound of the input video. Segmind's default: false.")]


class O1Image(KlingPayload):
    """A picture from one or more pictures: combine, restyle, place one in another."""

    slug: ClassVar[str] = "kling-o1"
    title: ClassVar[str] = "Kling O1"
    output: ClassVar[Literal["image", "video"]] = "image"
    usual_latency: ClassVar[float] = 59.5
    usual_cost: ClassVar[float] = 0.035
    price_range: ClassVar[tuple[float, float] | None] = (0.035, 0.035)

    image_urls: RequiredImageUrls
    aspect_ratio: Literal["auto", "16:9", "9:16", "1:1"] = Field(
        default="auto", description="Shape of the picture; auto follows the input."
    )
    output_format: Literal["png", "jpg"] = Field(default="png", description="png is lossless, jpg is smaller.")
    resolution: Literal["1K"] = Field(default="1K", description="Size of the picture.")


class O1ReferenceToVideo(KlingPayload):
    """A video in which the people and things of the reference pictures keep their looks."""

    slug: ClassVar[str] = "kling-o1-reference-image-to-video"
    title: ClassVar[str] = "Kling O1 Reference Image 2 Video"
    output: ClassVar[Literal["image", "video"]] = "video"
    usual_latency: ClassVar[float] = 197.4
    usual_cost: ClassVar[float] = 1.3453

    image_urls: RequiredImageUrls
    aspect_ratio: Literal["16:9", "9:16", "1:1"] = Field(default="16:9", description="Shape of the video.")
    duration: Duration = "5"
    elements: Elements = None


class O1VideoEdit(KlingPayload):
    """A video changed by words: another background, another person, another light. It keeps its length."""

    slug: ClassVar[str] = "kling-o1-video-to-video-edit"
    title: ClassVar[str] = "Kling O1 Video 2 Video Edit"
    output: ClassVar[Literal["image", "video"]] = "video"
    usual_latency: ClassVar[float] = 250.3
    usual_cost: ClassVar[float] = 1.277

    video_url: MediaUrl = Field(description="The video to change, @Video1 in the prompt.")
    elements: Elements = None
    image_urls: ImageUrls = None
    keep_audio: KeepAudio = False


class O1VideoReference(KlingPayload):
    """The next shot in the style of a video."""

    slug: ClassVar[str] = "kling-o1-video-to-video-reference"
    title: ClassVar[str] = "Kling O1 Video 2 Video Reference"
    output: ClassVar[Literal["image", "video"]] = "video"
    usual_latency: ClassVar[float] = 239.7
    usual_cost: ClassVar[float] = 1.4236

    video_url: MediaUrl = Field(description="The video to go on from, @Video1 in the prompt.")
    aspect_ratio: Literal["auto", "16:9", "9:16", "1:1"] = Field(
        default="auto", description="Shape of the video; auto follows the input."
    )
    duration: Duration = "5"
    elements: Elements = None
    image_urls: ImageUrls = None
    keep_audio: KeepAudio = False
