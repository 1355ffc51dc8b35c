"""`python -m prove.mutations`: break the protocol in many ways, and see whether prove or the tests find each."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from prove.mutants import MUTANTS, Mutant

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[1]
PACKAGE = "airflow_provider_kling"
#: What is there to find a defect: a glance at each scenario of the small bound, the tests of the protocol, and, where
#: these have not found it, the small bound to its end.
_GLANCE = ("-m", "prove", "--first", "--patience", "3")
_PROVE = ("-m", "prove", "--first")
_PYTEST = ("-m", "pytest", "-q", "-x", "-o", f"cache_dir={ROOT / '.pytest_cache'}")
_TESTS = (
    *_PYTEST,
    *("tests/submission/test_attempt.py", "tests/budget/test_guard.py", "tests/submission/test_record_store.py"),
)
_MACHINE = (*_PYTEST, "tests/submission/test_submission_machine.py", "-k", "World]")
#: Histories of the state machine, which only has what the others leave; its own counts need that many.
_EXAMPLES = "600"
_PATIENCE = 900.0
#: One in so many may survive: some change nothing that matters, since another step does the same.
MAY_SURVIVE = 20


@dataclass(frozen=True, slots=True)
class Caught:
    """Who found a defect first, what was said of it, and after how many seconds."""

    mutant: Mutant
    by: str
    said: str
    seconds: float


class StaleError(Exception):
    """A mutant no longer says what stands in the package."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Try each mutant; exit with 1 where more than one in twenty survives, and 2 where the unchanged protocol fails."""
    parser = argparse.ArgumentParser(prog="python -m prove.mutations", description=__doc__)
    parser.add_argument("--only", default="", help="those with that in their name")
    options = parser.parse_args(arguments)
    check(MUTANTS)
    chosen = [mutant for mutant in MUTANTS if options.only in mutant.name]
    unchanged = attempt(Mutant("nothing is changed", MUTANTS[0].file, MUTANTS[0].old, MUTANTS[0].old))
    if unchanged.by:
        print(f"The protocol as it is does not pass ({unchanged.by}): {unchanged.said}")
        return 2
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = []
        for caught in pool.map(attempt, chosen):
            results.append(caught)
            print(
                f"{caught.mutant.name:<82} {caught.by or 'SURVIVED':<13} {caught.seconds:5.0f} s  {caught.said[:90]}",
                flush=True,
            )
    survivors = [caught.mutant.name for caught in results if not caught.by]
    by_prove = sum(caught.by == "prove" for caught in results)
    print(f"{len(results) - len(survivors)} of {len(results)} are found, {by_prove} of them by prove.")
    for name in survivors:
        print(f"  survived: {name}")
    return int(len(survivors) * MAY_SURVIVE > len(results))


def check(mutants: Sequence[Mutant]) -> None:
    """
    Make sure that each mutant changes exactly one place.

    :raises StaleError: one does not.
    """
    for mutant in mutants:
        count = (ROOT / PACKAGE / mutant.file).read_text().count(mutant.old)
        if count != 1:
            raise StaleError(f"{mutant.name}: what it replaces is {count} times in {mutant.file}, not once.")


def attempt(mutant: Mutant) -> Caught:
    """Break a copy of the package and see who finds it."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="prove-") as folder:
        for name in (PACKAGE, "prove", "tests"):
            shutil.copytree(ROOT / name, Path(folder) / name, ignore=shutil.ignore_patterns("__pycache__", "e2e"))
        shutil.copy(ROOT / "pyproject.toml", folder)
        file = Path(folder) / PACKAGE / mutant.file
        file.write_text(file.read_text().replace(mutant.old, mutant.new))
        by = said = ""
        for name, arguments in (
            ("prove", _GLANCE),
            ("tests", _TESTS),
            ("state machine", _MACHINE),
            ("prove", _PROVE),
        ):
            code, output = _run(folder, arguments)
            if code:
                by = name
                said = _finding(output)
                break
    return Caught(mutant, by, said, time.monotonic() - begun)


def _finding(output: str) -> str:
    """Return the line that tells what was found: a broken promise, or the last word of a test."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    told = [line for line in lines if "BROKEN" in line or line.startswith(("E  ", "FAILED", "ERROR"))]
    return (told or lines or [""])[0 if told else -1]


def _run(folder: str, arguments: Sequence[str]) -> tuple[int, str]:
    """Return the exit code and what was printed; what never ends is found, too."""
    environment = {**os.environ, "PYTHONPATH": folder, "EXAMPLES": _EXAMPLES}
    try:
        done = subprocess.run(  # noqa: S603 it is this interpreter
            [sys.executable, *arguments],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return 1, "it never ends"
    return done.returncode, done.stdout + done.stderr


if __name__ == "__main__":
    sys.exit(main())
