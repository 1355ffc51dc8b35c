"""Simulators to test against, and a client that knows nothing but HTTP."""

from __future__ import annotations

import time
from contextlib import ExitStack

import pytest
import requests

from airflow_provider_kling.simulator import Simulator

# Fast enough that a job ends as soon as it is drawn, small enough that drawing takes no time.
FAST = {"time_scale": 20_000, "requests_per_minute": 0, "height": 72, "credits": 10_000}


class Client:
    """Calls a simulator over its socket, as any program would."""

    def __init__(self, simulator):
        self.simulator = simulator
        self.session = requests.Session()
        self.session.headers["x-api-key"] = simulator.api_key

    def get(self, path, **kwargs):
        return self.call("GET", path, **kwargs)

    def post(self, path, **kwargs):
        return self.call("POST", path, **kwargs)

    def call(self, method, path, *, timeout=20, **kwargs):
        url = path if path.startswith("http") else self.simulator.url + path
        return self.session.request(method, url, timeout=timeout, **kwargs)

    def submit(self, model, /, **inputs):
        return self.post(f"/v2/{model}", json=inputs)

    def finished(self, request_id):
        """Poll the status until the job has ended."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            answer = self.get(f"/v2/requests/{request_id}/status")
            if answer.json()["status"] in ("COMPLETED", "FAILED"):
                return answer
            time.sleep(0.02)
        raise AssertionError(f"{request_id} did not end")

    def run(self, model, /, **inputs):
        """Submit, wait, and give the answer of the result URL."""
        receipt = self.submit(model, **inputs).json()
        self.finished(receipt["request_id"])
        return self.get(f"/v2/requests/{receipt['request_id']}")


@pytest.fixture(scope="session")
def shared():
    """One simulator for every test that leaves nothing behind that another would trip over."""
    with Simulator(**FAST) as simulator:
        yield simulator


@pytest.fixture
def client(shared):
    shared.clear_faults()
    calling = Client(shared)
    yield calling
    calling.session.close()


@pytest.fixture
def start():
    """Start simulators with settings of the test's own."""

    def starting(**settings):
        calling = Client(stack.enter_context(Simulator(**{**FAST, **settings})))
        stack.callback(calling.session.close)
        return calling

    with ExitStack() as stack:
        yield starting


@pytest.fixture
def robot(shared):
    return f"{shared.url}/simulator/inputs/robot.png"


@pytest.fixture
def beach(shared):
    return f"{shared.url}/simulator/inputs/beach.png"
