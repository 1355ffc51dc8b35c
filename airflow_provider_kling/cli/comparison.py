"""What Segmind's live model list says that the payload classes do not, and the other way round."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_kling.payloads import get_payload_class, known_slugs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_provider_kling.segmind.schemas import ListedModel


def compare(listed: Sequence[ListedModel]) -> list[str]:
    """Return a line for each difference between the live list's Kling models and the classes; none if they agree."""
    live = {model.slug: model for model in listed if model.slug.startswith("kling")}
    new = sorted(slug for slug in live.keys() - set(known_slugs()) if not live[slug].is_retired)
    lines = [f"{slug}: listed, but has no class" for slug in new]
    for slug in known_slugs():
        if slug not in live:
            lines.append(f"{slug}: has a class, but is not listed")
        elif live[slug].is_retired:
            lines.append(f"{slug}: retired")
        else:
            lines.extend(_parameters(live[slug]))
    return lines


def _parameters(model: ListedModel) -> Iterator[str]:
    payload_class = get_payload_class(model.slug)
    if payload_class is None or model.parameter_names is None:
        return
    known = set(payload_class.model_fields)
    for name in sorted(model.parameter_names - known):
        yield f"{model.slug}: parameter {name} is listed, but not in {payload_class.__name__}"
    for name in sorted(known - model.parameter_names):
        yield f"{model.slug}: parameter {name} is in {payload_class.__name__}, but not listed"
