"""Amounts of money."""

from __future__ import annotations


def over(amount: float, limit: float) -> bool:
    """Whether an amount is above a limit by more than the error of adding floating numbers."""
    return round(amount - limit, 6) > 0


def dollars(amount: float) -> str:
    """Return an amount with cents, and a third digit where it counts."""
    return f"${amount:.3f}".removesuffix("0")
