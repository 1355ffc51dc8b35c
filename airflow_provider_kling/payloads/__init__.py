"""
One class for each Kling model that Segmind serves, with its parameters, latency and price.

A class is imported when it is first asked for, so that a DAG file pays for the families it uses.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_kling.payloads.avatar import V1Avatar as V1Avatar
    from airflow_provider_kling.payloads.avatar import V1ProAvatar as V1ProAvatar
    from airflow_provider_kling.payloads.avatar import V2Avatar as V2Avatar
    from airflow_provider_kling.payloads.avatar import V2ProAvatar as V2ProAvatar
    from airflow_provider_kling.payloads.base import KlingPayload as KlingPayload
    from airflow_provider_kling.payloads.effects import BloomBloomEffect as BloomBloomEffect
    from airflow_provider_kling.payloads.effects import DizzyDizzyEffect as DizzyDizzyEffect
    from airflow_provider_kling.payloads.effects import ExpansionEffect as ExpansionEffect
    from airflow_provider_kling.payloads.effects import FuzzyFuzzyEffect as FuzzyFuzzyEffect
    from airflow_provider_kling.payloads.effects import HeartGestureEffect as HeartGestureEffect
    from airflow_provider_kling.payloads.effects import HugEffect as HugEffect
    from airflow_provider_kling.payloads.effects import KissEffect as KissEffect
    from airflow_provider_kling.payloads.effects import SquishEffect as SquishEffect
    from airflow_provider_kling.payloads.fields import Element as Element
    from airflow_provider_kling.payloads.fields import Shot as Shot
    from airflow_provider_kling.payloads.fields import V3Shot as V3Shot
    from airflow_provider_kling.payloads.o1 import O1Image as O1Image
    from airflow_provider_kling.payloads.o1 import O1ImageToVideo as O1ImageToVideo
    from airflow_provider_kling.payloads.o1 import O1ReferenceToVideo as O1ReferenceToVideo
    from airflow_provider_kling.payloads.o1 import O1VideoEdit as O1VideoEdit
    from airflow_provider_kling.payloads.o1 import O1VideoReference as O1VideoReference
    from airflow_provider_kling.payloads.o3 import O3ImageToVideo as O3ImageToVideo
    from airflow_provider_kling.payloads.o3 import O3TextToVideo as O3TextToVideo
    from airflow_provider_kling.payloads.o3 import O3VideoEdit as O3VideoEdit
    from airflow_provider_kling.payloads.o3 import O3VideoReference as O3VideoReference
    from airflow_provider_kling.payloads.v1 import V1ImageToVideo as V1ImageToVideo
    from airflow_provider_kling.payloads.v1 import V1TextToVideo as V1TextToVideo
    from airflow_provider_kling.payloads.v1 import V16ImageToVideo as V16ImageToVideo
    from airflow_provider_kling.payloads.v1 import V16TextToVideo as V16TextToVideo
    from airflow_provider_kling.payloads.v2 import V2Video as V2Video
    from airflow_provider_kling.payloads.v2 import V21ImageToVideo as V21ImageToVideo
    from airflow_provider_kling.payloads.v2 import V25TurboVideo as V25TurboVideo
    from airflow_provider_kling.payloads.v2 import V26MotionControl as V26MotionControl
    from airflow_provider_kling.payloads.v2 import V26ProMotionControl as V26ProMotionControl
    from airflow_provider_kling.payloads.v2 import V26Video as V26Video
    from airflow_provider_kling.payloads.v3 import V3ImageToImage as V3ImageToImage
    from airflow_provider_kling.payloads.v3 import V3ImageToVideo as V3ImageToVideo
    from airflow_provider_kling.payloads.v3 import V3ProImageToVideo as V3ProImageToVideo
    from airflow_provider_kling.payloads.v3 import V3ProTextToVideo as V3ProTextToVideo
    from airflow_provider_kling.payloads.v3 import V3TextToImage as V3TextToImage
    from airflow_provider_kling.payloads.v3 import V3TextToVideo as V3TextToVideo
    from airflow_provider_kling.payloads.voice import CreateVoice as CreateVoice

#: The module of each class, and the slug of its model.
_MODELS = {
    "O1Image": ("o1", "kling-o1"),
    "O1ImageToVideo": ("o1", "kling-o1-image-to-video"),
    "O1ReferenceToVideo": ("o1", "kling-o1-reference-image-to-video"),
    "O1VideoEdit": ("o1", "kling-o1-video-to-video-edit"),
    "O1VideoReference": ("o1", "kling-o1-video-to-video-reference"),
    "O3TextToVideo": ("o3", "kling-o3-text2video"),
    "O3ImageToVideo": ("o3", "kling-o3-image2video"),
    "O3VideoEdit": ("o3", "kling-o3-video2video-edit"),
    "O3VideoReference": ("o3", "kling-o3-video2video-reference"),
    "V3TextToVideo": ("v3", "kling-3-standard-text2video"),
    "V3ProTextToVideo": ("v3", "kling-3-pro-text2video"),
    "V3ImageToVideo": ("v3", "kling-3-standard-image2video"),
    "V3ProImageToVideo": ("v3", "kling-3-pro-image2video"),
    "V3TextToImage": ("v3", "kling-3-text2image"),
    "V3ImageToImage": ("v3", "kling-3-image2image"),
    "V26Video": ("v2", "kling-2.6"),
    "V26MotionControl": ("v2", "kling-2.6-standard-motion-control"),
    "V26ProMotionControl": ("v2", "kling-2.6-pro-motion-control"),
    "V25TurboVideo": ("v2", "kling-2.5-turbo"),
    "V21ImageToVideo": ("v2", "kling-2.1"),
    "V2Video": ("v2", "kling-2"),
    "V16TextToVideo": ("v1", "kling-1.6-text2video"),
    "V16ImageToVideo": ("v1", "kling-1.6-image2video"),
    "V1TextToVideo": ("v1", "kling-text2video"),
    "V1ImageToVideo": ("v1", "kling-image2video"),
    "V1Avatar": ("avatar", "kling-v1-standard-ai-avatar"),
    "V1ProAvatar": ("avatar", "kling-v1-pro-ai-avatar"),
    "V2Avatar": ("avatar", "kling-v2-standard-avatar"),
    "V2ProAvatar": ("avatar", "kling-v2-pro-avatar"),
    "BloomBloomEffect": ("effects", "kling-bloombloom"),
    "DizzyDizzyEffect": ("effects", "kling-dizzydizzy"),
    "FuzzyFuzzyEffect": ("effects", "kling-fuzzyfuzzy"),
    "ExpansionEffect": ("effects", "kling-expansion"),
    "SquishEffect": ("effects", "kling-squish"),
    "HugEffect": ("effects", "kling-hug"),
    "KissEffect": ("effects", "kling-kiss"),
    "HeartGestureEffect": ("effects", "kling-heart-gesture"),
    "CreateVoice": ("voice", "kling-create-voice"),
}
_PLACES = {
    "Element": "fields",
    "KlingPayload": "base",
    "Shot": "fields",
    "V3Shot": "fields",
    **{name: module for name, (module, _) in _MODELS.items()},
}

__all__ = [*_PLACES, "get_payload_class", "known_slugs"]  # noqa: PLE0604 reads only literals; these are all strings


def known_slugs() -> tuple[str, ...]:
    """Return the slugs of the models that have a class, family by family."""
    return tuple(slug for _, slug in _MODELS.values())


def get_payload_class(slug: str) -> type[KlingPayload] | None:
    """Return the class for a model's slug, or None where there is none."""
    for name, (_, known) in _MODELS.items():
        if known == slug:
            payload_class: type[KlingPayload] = __getattr__(name)
            return payload_class
    return None


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
