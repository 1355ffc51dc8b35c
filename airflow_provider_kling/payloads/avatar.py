"""Kling avatars: a face from a picture that speaks what is heard."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from airflow_provider_kling.payloads.base import PartlyKnownPayload
from airflow_provider_kling.payloads.fields import OptionalPrompt, Picture, Seen, Sound


class V1Avatar(PartlyKnownPayload):
    """A face from a picture that speaks what is heard."""

    slug = "kling-v1-standard-ai-avatar"
    title = "Kling V1 Standard AI Avatar"
    output = "video"
    usual_latency = 460.1
    usual_cost = 2.2834

    audio_url: Annotated[Sound, Field(description="What the face says.")]
    image_url: Annotated[Picture, Field(description="The face.")]
    prompt: OptionalPrompt = None


class V1ProAvatar(V1Avatar):
    """A face from a picture that speaks what is heard, of better quality."""

    slug = "kling-v1-pro-ai-avatar"
    title = "Kling V1 Pro AI Avatar"
    usual_latency = 732.2
    usual_cost = 4.4751


class V2Avatar(V1Avatar):
    """A face from a picture that speaks what is heard, second version."""

    slug = "kling-v2-standard-avatar"
    title = "Kling Avatar V2 Standard"
    usual_latency = 498.7
    usual_cost = 2.7797
    seen = Seen.EXAMPLE


class V2ProAvatar(V1Avatar):
    """A face from a picture that speaks what is heard, second version, of better quality."""

    slug = "kling-v2-pro-avatar"
    title = "Kling V2 Pro Avatar"
    usual_latency = 779.5
    usual_cost = 5.2852
    seen = Seen.OLDER_PAGE
