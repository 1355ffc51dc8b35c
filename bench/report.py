"""How a measurement is told: what was measured, what it must be, and whether it is."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

from rich.table import Table


def machine() -> str:
    """Return where the numbers were measured."""
    cpu = next(
        (line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor() or platform.machine(),
    )
    return (
        f"{os.cpu_count()} x {cpu}, {platform.system()} {platform.release()}, Python {platform.python_version()}, "
        f"Airflow {version('apache-airflow')}, aiohttp {version('aiohttp')}"
    )


def _lines(file: str) -> list[str]:
    try:
        return Path(file).read_text().splitlines()
    except OSError:
        return []


def verdicts(title: str) -> Table:
    """Return an empty table of measurements."""
    table = Table(title=title, title_justify="left")
    for heading in ("measure", "must be", "measured", ""):
        table.add_column(heading)
    return table


def verdict(table: Table, what: str, must: str, measured: str, passed: bool) -> None:
    """Add a measurement, with its verdict."""
    table.add_row(what, must, measured, "pass" if passed else "SHORT")
