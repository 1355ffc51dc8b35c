"""
Kling O3: longer videos with sound, from words, pictures and videos.

Source: the models' API pages, read on 2026-08-19; latency and cost are the averages of the model
catalogue of that day. The pages show ten of the thirteen durations; 3 to 15 follows from the count
and from the landing page.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from airflow_provider_kling.payloads.base import Element, KlingPayload, MediaUrl, Seconds

Duration = Annotated[
    Literal["3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15"],
    Seconds,
    Field(description='Length of the video in seconds, 3 to 15. Segmind\'s default: "5".'),
]


class O3VideoReference(KlingPayload):
    """A video transformed by words: other people, another style, another scene."""

    slug: ClassVar[str] = "kling-o3-video2video-reference"
    title: ClassVar[str] = "Kling O3 Video To Video Reference"
    output: ClassVar[Literal["image", "video"]] = "video"
    usual_latency: ClassVar[float] = 224.7
    usual_cost: ClassVar[float] = 2.0329
    price_range: ClassVar[tuple[float, float] | None] = (0.945, 6.30)

    video_url: MediaUrl = Field(description="The video to transform, 720 to 2160 pixels wide.")
    aspect_ratio: Literal["16:9", "9:16", "1:1"] = Field(default="16:9", description="Shape of the video.")
    duration: Duration = "5"
    elements: list[Element] | None = Field(
        default=None,
        max_length=10,
        description="Characters or objects, at most 10, named @Element1, @Element2 … in the prompt.",
    )
    image_urls: list[MediaUrl] | None = Field(
        default=None, description="Pictures for style or scene, named @Image1, @Image2 … in the prompt."
    )
    keep_audio: bool = Field(default=True, description="Keep the sound of the input video.")
    mode: Literal["std", "pro"] = Field(default="pro", description="std is faster, pro looks better and costs more.")
    shot_type: str = Field(default="customize", description="Kind of camera shot; the page names only customize.")
