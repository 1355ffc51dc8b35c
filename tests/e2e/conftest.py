"""One Airflow and one simulator for all tests that kill."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_provider_kling.simulator import Simulator
from tests.conftest import connection_json
from tests.e2e.airflow_processes import airflow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.airflow_processes import Airflow


@pytest.fixture(scope="session")
def sim() -> Iterator[Simulator]:
    """Yield the Segmind that all tests share; they tell their jobs apart by run."""
    with Simulator(time_scale=60, requests_per_minute=0, height=72, credits=100_000) as simulator:
        yield simulator


@pytest.fixture(scope="session")
def running(sim: Simulator) -> Iterator[Airflow]:
    """Yield a running Airflow, connected to the simulator."""
    with airflow(connection_json(sim, extra={"time_scale": 60})) as processes:
        yield processes
