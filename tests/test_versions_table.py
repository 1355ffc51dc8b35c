"""What docs/versions.md says is tested is what CI runs."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[1]


def matrix() -> dict[tuple[str, str], list[str]]:
    """Return what CI runs on each Airflow and Python."""
    lines = (ROOT / ".ci" / "matrix").read_text().splitlines()
    rows = [line.split() for line in lines if line and not line.startswith("#")]
    return {(airflow, python): runs for airflow, python, *runs in rows}


def documented() -> dict[tuple[str, str], list[str]]:
    """Return the rows of the page's last table."""
    page = (ROOT / "docs" / "versions.md").read_text()
    table = page[page.index("| Airflow | Python |") :].split("\n\n")[0].splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    return {(airflow, python): runs.split(", ") for airflow, python, runs in rows}


def test_the_page_tells_users_what_ci_runs():
    assert documented() == matrix()


def test_ci_takes_what_it_runs_from_the_matrix_and_each_airflow_has_its_constraints():
    assert ".ci/matrix" in (ROOT / ".ci" / "run").read_text()
    constraints = {file.stem.removeprefix("airflow-") for file in (ROOT / "constraints").glob("airflow-*.txt")}
    assert {airflow for airflow, _ in matrix()} == constraints


def test_each_supported_minor_version_and_each_supported_python_is_there():
    assert {".".join(airflow.split(".")[:2]) for airflow, _ in matrix()} == {"2.11", "3.0", "3.1", "3.2", "3.3", "3.4"}
    classifiers = (ROOT / "pyproject.toml").read_text()
    pythons = {python for _, python in matrix()}
    assert pythons == {f"3.{minor}" for minor in range(10, 20) if f"Python :: 3.{minor}" in classifiers}
