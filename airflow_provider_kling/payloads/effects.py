"""Kling effects: one fixed thing that happens to a picture, or between two."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from airflow_provider_kling.payloads.base import KlingPayload, PartlyKnownPayload
from airflow_provider_kling.payloads.fields import FirstFrame, Five, NumberSeconds, Picture, Seen

_Seconds = Annotated[int, Field(gt=0)]


class _Effect(KlingPayload):
    output = "video"

    image: FirstFrame
    duration: Five = "5"
    mode: Annotated[Literal["pro"], Field(description="The only quality there is.")] = "pro"


class BloomBloomEffect(_Effect):
    """A picture whose subject bursts into bloom."""

    slug = "kling-bloombloom"
    title = "Kling bloombloom"
    usual_latency = 193.1
    usual_cost = 0.98


class _UnseenEffect(PartlyKnownPayload, _Effect):
    seen = Seen.SIBLING


class DizzyDizzyEffect(_UnseenEffect):
    """A picture whose subject spins."""

    slug = "kling-dizzydizzy"
    title = "Kling dizzydizzy"
    usual_latency = 199.3
    usual_cost = 0.98


class FuzzyFuzzyEffect(_UnseenEffect):
    """A picture whose subject grows fur."""

    slug = "kling-fuzzyfuzzy"
    title = "Kling fuzzyfuzzy"
    usual_latency = 132.9
    usual_cost = 0.9635


class ExpansionEffect(_UnseenEffect):
    """A picture whose subject swells."""

    slug = "kling-expansion"
    title = "Kling Expansion"
    usual_latency = 118.2
    usual_cost = 0.95


class SquishEffect(_UnseenEffect):
    """A picture whose subject is squeezed."""

    slug = "kling-squish"
    title = "Kling Squish"
    usual_latency = 120.3
    usual_cost = 0.9673


class _EffectForTwo(PartlyKnownPayload):
    output = "video"
    seen = Seen.CLIENT

    first_reference_image: Annotated[Picture, Field(description="The first of the two.")]
    second_reference_image: Annotated[Picture, Field(description="The second of the two.")]
    mode: Annotated[str | None, Field(description="Quality, such as std or pro.")] = None
    duration: Annotated[_Seconds | None, NumberSeconds, Field(description="Length of the video in seconds.")] = None


class HugEffect(_EffectForTwo):
    """Two who hug."""

    slug = "kling-hug"
    title = "Kling Hug"
    usual_latency = 206.6
    usual_cost = 0.98


class KissEffect(_EffectForTwo):
    """Two who kiss."""

    slug = "kling-kiss"
    title = "Kling Kiss"
    usual_latency = 235.8
    usual_cost = 1.0006


class HeartGestureEffect(_EffectForTwo):
    """Two who make a heart with their hands."""

    slug = "kling-heart-gesture"
    title = "Kling Heart Gesture"
    usual_latency = 208.4
    usual_cost = 0.945
