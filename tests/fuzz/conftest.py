"""What the fuzz tests have started ends with them."""

from __future__ import annotations

import pytest

from tests.fuzz.harness import RUNNING


@pytest.fixture(scope="package", autouse=True)
def _running():
    with RUNNING:
        yield
