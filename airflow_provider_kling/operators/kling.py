"""The operators that start Kling jobs on Segmind, at the path that DAGs import them from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_kling.operators.submit import KlingSubmitOperator

if TYPE_CHECKING:
    from airflow_provider_kling.operators.generate import KlingGenerateOperator

__all__ = ["KlingGenerateOperator", "KlingSubmitOperator"]


def __getattr__(name: str) -> Any:
    """Load :class:`KlingGenerateOperator` only if a DAG uses it; an operator class is slow to build."""
    if name == "KlingGenerateOperator":
        from airflow_provider_kling.operators.generate import KlingGenerateOperator

        return KlingGenerateOperator
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
