"""Measurements of simulators, as `make conform` takes them, only faster."""

from __future__ import annotations

import pytest

from airflow_provider_kling.hooks.segmind import SegmindHook
from airflow_provider_kling.simulator import Simulator
from conform.assumptions import findings
from conform.probe import measure
from tests.conftest import connection_json

SCALE = 100


class Measured:
    """What was seen of a simulator, and what it comes to."""

    def __init__(self, seen):
        self.seen = seen
        self.findings = {finding.assumption.name: finding for finding in findings(seen)}

    def named(self, verdict):
        return {name for name, finding in self.findings.items() if finding.verdict == verdict}

    def said(self, name):
        return self.findings[name].measured


@pytest.fixture(scope="session")
def take():
    """Return a function that measures a simulator that runs already."""

    def taking(simulator, scale=SCALE, ask_for_limit=0):
        extra = {"time_scale": scale, "requests_per_minute": 30_000}
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AIRFLOW_CONN_SEGMIND_CONFORM", connection_json(simulator, extra=extra))
            return Measured(measure(SegmindHook("segmind_conform"), ask_for_limit=ask_for_limit))

    return taking


@pytest.fixture
def measured(take):
    """Return a function that measures a simulator whose history has some habits."""

    def measuring(scale=SCALE, ahead=0, **history):
        with Simulator(time_scale=scale, requests_per_minute=0, height=72, history=history) as simulator:
            simulator.advance(ahead)
            return take(simulator, scale)

    return measuring


@pytest.fixture(scope="session")
def usual(take):
    """Return the measurement of a simulator as it is."""
    with Simulator(time_scale=SCALE, requests_per_minute=200, height=72) as simulator:
        return take(simulator, ask_for_limit=201)
