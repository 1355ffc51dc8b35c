"""
What a job will cost, as far as that is published.

Segmind gives no quote. A page states one price, or the lowest and the highest of a model. The lowest is
taken to be that of the shortest video and the highest that of the longest, and prices to grow with the
length in seconds; how mode and sound share in the rest is not published, so they do not narrow it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_kling.segmind.money import dollars

if TYPE_CHECKING:
    from collections.abc import Sequence


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


def estimate(
    price_range: tuple[float, float] | None, usual: float, *, seconds: float | None, lengths: Sequence[float]
) -> Estimate:
    """
    Return what a job costs.

    :param price_range: the lowest and the highest price of the model in US dollars, where they are published.
    :param usual: the average price in US dollars.
    :param seconds: the length of the video that is wanted, where it is known and all that sets the length.
    :param lengths: the lengths in seconds that the model can make.
    """
    if price_range is None:
        return Estimate(None, None, usual)
    low, high = price_range
    if seconds is None or not lengths:
        return Estimate(low, high, usual)
    return Estimate(round(low / min(lengths) * seconds, 4), round(high / max(lengths) * seconds, 4), usual)
