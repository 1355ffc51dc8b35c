"""Kling 2.0 to 2.6: videos of 5 or 10 seconds, and motion taken from one video to another."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from airflow_provider_kling.payloads.base import KlingPayload, PartlyKnownPayload
from airflow_provider_kling.payloads.fields import (
    CfgScale,
    FirstFrame,
    FiveOrTen,
    FiveOrTenNumber,
    GenerateAudio,
    Mode,
    NegativePrompt,
    OptionalNegativePrompt,
    OptionalPrompt,
    Picture,
    Prompt,
    Seen,
    Video,
    VideoRatio,
)

_StartImage = Annotated[Picture | None, Field(description="The picture that the video starts with.")]


class V26Video(PartlyKnownPayload):
    """A video with sound, from words. It takes a picture too, under a name that was not seen."""

    slug = "kling-2.6"
    title = "Kling 2.6"
    output = "video"
    usual_latency = 122.4
    usual_cost = 1.1078
    price_range = (0.438, 1.75)
    seen = Seen.EXAMPLE

    prompt: Prompt
    aspect_ratio: VideoRatio = "16:9"
    cfg_scale: CfgScale = 0.8
    duration: FiveOrTen = "10"
    generate_audio: GenerateAudio = True
    mode: Mode = "pro"
    negative_prompt: NegativePrompt = "no noise, no distortion, no clutter"


class _MotionControl(KlingPayload):
    output = "video"

    prompt: Prompt
    character_orientation: Annotated[
        Literal["video", "image"],
        Field(description="Whether the character faces as in the video or the picture."),
    ] = "video"
    # The pages call both optional although neither model can do without them.
    image_url: Annotated[Picture | None, Field(description="The character; needed in practice.")] = None
    keep_original_sound: Annotated[bool, Field(description="Keep the sound of the input video.")] = True
    video_url: Annotated[Video | None, Field(description="The motion to take over; needed in practice.")] = None


class V26MotionControl(_MotionControl):
    """A character from a picture that moves as someone does in a video."""

    slug = "kling-2.6-standard-motion-control"
    title = "Kling 2.6 Standard Motion Control"
    usual_latency = 575.6
    usual_cost = 0.9415


class V26ProMotionControl(PartlyKnownPayload, _MotionControl):
    """A character from a picture that moves as someone does in a video, of better quality."""

    slug = "kling-2.6-pro-motion-control"
    title = "Kling 2.6 Pro Motion Control"
    usual_latency = 595.5
    usual_cost = 1.7247


class V25TurboVideo(PartlyKnownPayload):
    """A video from words or from a picture, whose size it then takes, quickly."""

    slug = "kling-2.5-turbo"
    title = "Kling 2.5 Turbo"
    output = "video"
    usual_latency = 134.7
    usual_cost = 0.5664
    price_range = (0.44, 0.88)

    prompt: Prompt
    aspect_ratio: VideoRatio = "16:9"
    cfg_scale: CfgScale = 0.7
    duration: Annotated[FiveOrTen, Seen.OLDER_PAGE] = "10"
    image_url: Annotated[_StartImage, Seen.OLDER_PAGE] = None
    mode: Annotated[Mode, Seen.EXAMPLE] = "pro"
    negative_prompt: Annotated[NegativePrompt, Seen.OLDER_PAGE] = "no dark tones, no blur, no distort"


class V21ImageToVideo(PartlyKnownPayload):
    """A video from a picture, which the page names image and not image_url."""

    slug = "kling-2.1"
    title = "Kling 2.1 AI Video Generator"
    output = "video"
    usual_latency = 135.9
    usual_cost = 0.9007

    image: FirstFrame
    aspect_ratio: VideoRatio = "16:9"
    cfg_scale: CfgScale = 0.7
    duration: FiveOrTen = "5"
    mode: Annotated[Mode, Seen.EXAMPLE] = "pro"
    negative_prompt: Annotated[OptionalNegativePrompt, Seen.EXAMPLE] = None
    prompt: Annotated[OptionalPrompt, Seen.EXAMPLE] = None


class V2Video(PartlyKnownPayload):
    """A video from words or from a picture, best at 1280 by 720 or 720 by 1280."""

    slug = "kling-2"
    title = "Kling 2"
    output = "video"
    usual_latency = 305.3
    usual_cost = 2.2963
    price_range = (1.75, 3.50)

    prompt: Prompt
    aspect_ratio: VideoRatio = "16:9"
    cfg_scale: CfgScale = 0.5
    duration: Annotated[FiveOrTenNumber, Seen.EXAMPLE] = 5
    negative_prompt: Annotated[OptionalNegativePrompt, Seen.OLDER_PAGE] = None
    start_image: Annotated[_StartImage, Seen.EXAMPLE] = None
