"""A Segmind on this machine: for the demo, for tests of this package and for tests of yours.

Answers the routes of all three Segmind hosts on one port, draws what it is asked for, and fails on order.
It imports nothing else of this package, so that it can disagree with it as the real service can.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_kling.simulator.server import Simulator

__all__ = ["Simulator"]

DRAWING_LIBRARIES = ("PIL", "av")


def __getattr__(name: str) -> Any:
    # Lazy: a DAG processor that walks the package must not load Pillow, PyAV and a web server.
    if name != "Simulator":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from airflow_provider_kling.simulator.server import Simulator
    except ModuleNotFoundError as error:
        raise missing_extra(error) from None
    return Simulator


def missing_extra(error: ModuleNotFoundError) -> ModuleNotFoundError:
    """Say what to install where a drawing library is missing; any other error stays as it is."""
    if error.name not in DRAWING_LIBRARIES:
        return error
    advice = f"The simulator draws with {error.name}: pip install 'airflow-provider-kling[simulator]'"
    return ModuleNotFoundError(advice, name=error.name)
