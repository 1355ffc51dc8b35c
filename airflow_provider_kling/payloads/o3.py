"""Kling O3: videos of 3 to 15 seconds with sound, from words, pictures and videos."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from airflow_provider_kling.payloads.base import KlingPayload, PartlyKnownPayload, PromptOrShots
from airflow_provider_kling.payloads.fields import (
    CfgScale,
    FirstFrame,
    GenerateAudio,
    ImageUrls,
    KeepAudio,
    LastFrame,
    MediaUrl,
    Mode,
    NegativePrompt,
    OptionalPrompt,
    Prompt,
    Seen,
    Shots,
    ShotType,
    ThreeToFifteen,
    UpTo10Elements,
    VideoRatio,
)
from airflow_provider_kling.payloads.limits import REFERENCE_VIDEO

_VideoUrl = Annotated[
    MediaUrl,
    REFERENCE_VIDEO,
    Field(description="The video to transform, @Video1 in the prompt; 720 to 2160 pixels wide."),
]


class O3TextToVideo(PromptOrShots, PartlyKnownPayload):
    """A video from words, in one shot or several."""

    slug = "kling-o3-text2video"
    title = "Kling O3 Text-to-Video"
    output = "video"
    usual_latency = 153.5
    usual_cost = 2.3423
    price_range = (0.63, 5.25)

    prompt: OptionalPrompt = None
    aspect_ratio: VideoRatio = "16:9"
    cfg_scale: CfgScale = 0.5
    duration: ThreeToFifteen = "5"
    generate_audio: GenerateAudio = False
    mode: Mode = "pro"
    multi_prompt: Shots = None
    negative_prompt: NegativePrompt = "blur, distort, and low quality"
    shot_type: Annotated[ShotType, Seen.SIBLING] = "customize"


class O3ImageToVideo(PromptOrShots, PartlyKnownPayload):
    """A video that starts with a picture and, if you like, ends with another."""

    slug = "kling-o3-image2video"
    title = "Kling O3 Image To Video"
    output = "video"
    usual_latency = 202.5
    usual_cost = 1.8423
    price_range = (0.63, 5.25)

    image_url: FirstFrame
    prompt: OptionalPrompt = None
    duration: ThreeToFifteen = "5"
    end_image_url: LastFrame = None
    generate_audio: GenerateAudio = False
    mode: Mode = "pro"
    multi_prompt: Shots = None
    shot_type: Annotated[ShotType, Seen.EXAMPLE] = "customize"


class _VideoToVideo(KlingPayload):
    output = "video"

    prompt: Prompt
    video_url: _VideoUrl
    aspect_ratio: VideoRatio = "16:9"
    duration: ThreeToFifteen = "5"
    elements: UpTo10Elements = None
    image_urls: ImageUrls = None
    keep_audio: KeepAudio = True
    mode: Mode = "pro"
    shot_type: ShotType = "customize"


class O3VideoEdit(PartlyKnownPayload, _VideoToVideo):
    """
    A video changed by words, with pictures and elements to go by.

    The API page allows ten elements, a landing page four reference pictures; the wider limit is taken.
    """

    slug = "kling-o3-video2video-edit"
    title = "Kling O3 Video To Video Edit"
    usual_latency = 202.4
    usual_cost = 2.3126
    price_range = (0.945, 6.30)

    keep_audio: Annotated[KeepAudio, Seen.SIBLING] = True
    mode: Annotated[Mode, Seen.SIBLING] = "pro"
    shot_type: Annotated[ShotType, Seen.LANDING_PAGE] = "customize"


class O3VideoReference(_VideoToVideo):
    """A video transformed by words: other people, another style, another scene."""

    slug = "kling-o3-video2video-reference"
    title = "Kling O3 Video To Video Reference"
    usual_latency = 224.7
    usual_cost = 2.0329
    price_range = (0.945, 6.30)
