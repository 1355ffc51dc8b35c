"""Amounts of money."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

#: More than anything here costs or may cost, so that every sum is finite.
MOST = 1_000_000_000.0
#: What has been or may be paid: a job never pays anything back, so an amount below 0 is not accepted.
Dollars = Annotated[float, Field(ge=0, le=MOST, allow_inf_nan=False)]


def over(amount: float, limit: float) -> bool:
    """Whether an amount is above a limit by more than the error of adding floating numbers."""
    return round(amount - limit, 6) > 0


def dollars(amount: float) -> str:
    """Return an amount with cents, and a third digit where it counts."""
    return f"${amount:.3f}".removesuffix("0")
