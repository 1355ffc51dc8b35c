"""
What a job will cost, as far as that is published.

Segmind gives no quote. A page states one price, or the lowest and the highest of a model. The lowest is
taken to be that of the shortest video and the highest that of the longest, and prices to grow with the
length in seconds; how mode and sound share in the rest is not published, so they do not narrow it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from airflow_provider_kling.payloads.templates import is_template

if TYPE_CHECKING:
    from airflow_provider_kling.payloads.base import KlingPayload


@dataclass(frozen=True, slots=True)
class Estimate:
    """
    A price before it is paid, in US dollars.

    :param low: at the least, or None where no price is published.
    :param high: at the most, or None where no price is published.
    :param usual: the average of all jobs of the model.
    """

    low: float | None
    high: float | None
    usual: float

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"not published, {dollars(self.usual)} on average"
        return dollars(self.low) if self.low == self.high else f"{dollars(self.low)} to {dollars(self.high)}"


def dollars(amount: float) -> str:
    """Return an amount with cents, and a third digit where it counts."""
    text = f"${amount:.3f}"
    return text.removesuffix("0")


def estimate(payload: KlingPayload) -> Estimate:
    """Return what the payload's job costs."""
    if payload.price_range is None:
        return Estimate(None, None, payload.usual_cost)
    low, high = payload.price_range
    lengths = _lengths(payload)
    wanted = getattr(payload, "duration", None)
    if not lengths or wanted is None or is_template(wanted) or getattr(payload, "multi_prompt", None):
        return Estimate(low, high, payload.usual_cost)
    seconds = float(wanted)
    return Estimate(round(low / min(lengths) * seconds, 4), round(high / max(lengths) * seconds, 4), payload.usual_cost)


def _lengths(payload: KlingPayload) -> list[float]:
    """Return the lengths in seconds that the model can make."""
    field = type(payload).model_fields.get("duration")
    return [float(choice) for choice in get_args(field.annotation)] if field else []
