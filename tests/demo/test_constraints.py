"""The constraints pin all that pyproject.toml asks for, exactly, and name no place to get it from."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
CONSTRAINTS = sorted((ROOT / "constraints").glob("airflow-*.txt"))


def pins(file):
    lines = [line for line in file.read_text().splitlines() if line and not line.startswith("#")]
    return [Requirement(line) for line in lines]


@pytest.mark.parametrize("file", CONSTRAINTS, ids=lambda file: file.stem)
def test_every_line_is_an_exact_pin(file):
    for pin in pins(file):
        assert re.fullmatch(r"==[^*,]+", str(pin.specifier)), pin
        assert pin.url is None
    assert "://" not in file.read_text()


@pytest.mark.parametrize("file", CONSTRAINTS, ids=lambda file: file.stem)
def test_what_the_project_asks_for_is_pinned_and_fits(file):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(item for extra in project["optional-dependencies"].values() for item in extra),
    ]
    pinned = {canonicalize_name(pin.name): pin for pin in pins(file)}

    for requirement in map(Requirement, wanted):
        if requirement.name == project["name"]:
            continue
        (version,) = (pin.version for pin in pinned[canonicalize_name(requirement.name)].specifier)
        assert requirement.specifier.contains(version), requirement


def test_the_airflow_in_a_file_name_is_the_airflow_in_the_file():
    for file in CONSTRAINTS:
        assert [str(pin.specifier) for pin in pins(file) if pin.name == "apache-airflow"] == [
            f"=={file.stem.removeprefix('airflow-')}"
        ]
