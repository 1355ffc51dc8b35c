"""Segmind's live list of models against the payload classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_kling.payloads import get_payload_class, known_slugs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_kling.segmind.schemas import ListedModel


@dataclass(frozen=True, slots=True)
class Comparison:
    """
    What differs.

    :param without_class: slugs of Kling models that are listed and have no class.
    :param not_listed: slugs that have a class and are not listed.
    :param retired: slugs that have a class and are listed as retired.
    :param added: for each model, the listed parameters that its class lacks.
    :param dropped: for each model, its class's parameters that are not listed.
    :param untold: how many of the models in both are listed without their parameters.
    """

    without_class: tuple[str, ...]
    not_listed: tuple[str, ...]
    retired: tuple[str, ...]
    added: dict[str, tuple[str, ...]]
    dropped: dict[str, tuple[str, ...]]
    untold: int

    def __bool__(self) -> bool:
        """Whether anything differs."""
        return any((self.without_class, self.not_listed, self.retired, self.added, self.dropped))


def compare(listed: Sequence[ListedModel]) -> Comparison:
    """Compare the Kling models of a list with the classes. A retired model needs no class."""
    live = {model.slug: model for model in listed if model.slug.startswith("kling")}
    known = known_slugs()
    added: dict[str, tuple[str, ...]] = {}
    dropped: dict[str, tuple[str, ...]] = {}
    untold = 0
    for slug in known:
        payload_class = get_payload_class(slug)
        if slug not in live or payload_class is None:
            continue
        names, ours = live[slug].parameter_names(), payload_class.model_fields.keys()
        if names is None:
            untold += 1
            continue
        if new := tuple(sorted(names - ours)):
            added[slug] = new
        if gone := tuple(sorted(ours - names)):
            dropped[slug] = gone
    return Comparison(
        without_class=tuple(slug for slug, model in live.items() if slug not in known and not model.is_retired),
        not_listed=tuple(slug for slug in known if slug not in live),
        retired=tuple(slug for slug in known if slug in live and live[slug].is_retired),
        added=added,
        dropped=dropped,
        untold=untold,
    )
