"""
One class for each Kling model that Segmind serves, with its parameters, latency and price.

A class is imported when it is first asked for, so that a DAG file pays for the families it uses.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_kling.payloads.base import Element as Element
    from airflow_provider_kling.payloads.base import KlingPayload as KlingPayload
    from airflow_provider_kling.payloads.o1 import O1Image as O1Image
    from airflow_provider_kling.payloads.o1 import O1ReferenceToVideo as O1ReferenceToVideo
    from airflow_provider_kling.payloads.o1 import O1VideoEdit as O1VideoEdit
    from airflow_provider_kling.payloads.o1 import O1VideoReference as O1VideoReference
    from airflow_provider_kling.payloads.o3 import O3VideoReference as O3VideoReference

#: Where each public name lives, and the slug that it is for.
_PLACES: dict[str, tuple[str, str | None]] = {
    "Element": ("base", None),
    "KlingPayload": ("base", None),
    "O1Image": ("o1", "kling-o1"),
    "O1ReferenceToVideo": ("o1", "kling-o1-reference-image-to-video"),
    "O1VideoEdit": ("o1", "kling-o1-video-to-video-edit"),
    "O1VideoReference": ("o1", "kling-o1-video-to-video-reference"),
    "O3VideoReference": ("o3", "kling-o3-video2video-reference"),
}

__all__ = [*_PLACES, "get_payload_class", "known_slugs"]  # noqa: PLE0604 reads only literals; these are all strings


def known_slugs() -> tuple[str, ...]:
    """Return the slugs that have a class."""
    return tuple(slug for _, slug in _PLACES.values() if slug)


def get_payload_class(slug: str) -> type[KlingPayload] | None:
    """Return the class for a model's slug, or None where there is none."""
    for name, (_, known) in _PLACES.items():
        if known == slug:
            payload_class: type[KlingPayload] = __getattr__(name)
            return payload_class
    return None


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_PLACES[name][0]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
