"""What fuzzing has found once does not come back."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from tests.fuzz.harness import TARGETS, kept_cases, read_case

for module in sorted(Path(__file__).parent.glob("test_*.py")):
    importlib.import_module(f"tests.fuzz.{module.stem}")


@pytest.mark.parametrize(("name", "file"), kept_cases(), ids=lambda value: getattr(value, "stem", value))
def test_a_case_that_was_found_once_holds(name, file):
    TARGETS[name].check(**read_case(file))


def test_every_kept_case_is_of_a_target_that_there_is():
    assert {name for name, _ in kept_cases()} <= TARGETS.keys()
