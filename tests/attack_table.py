"""`make attack`: what somebody may try, what should come of it and what did, as a table."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator

CASE, EXPECTED, SEEN = "case", "expected", "seen"
#: What is seen where the test asserts what is expected, and has nothing to quote.
UNTOLD = "as expected"
_VERDICTS = {"passed": "[green]held[/]", "failed": "[red]BROKEN[/]", "skipped": "skipped"}


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Note the case, so that its report tells it, from whichever process it comes."""
    if mark := item.get_closest_marker("attack"):
        case, expected = mark.args
        item.user_properties += [(CASE, case), (EXPECTED, expected)]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table: a row for each case, with the number of its variants and what came of one of them."""
    cases: dict[tuple[str, str, str], list[str]] = {}
    for case, expected, seen, outcome in _rows(terminalreporter):
        cases.setdefault((case, expected, outcome), []).append(seen)
    table = Table(CASE, EXPECTED, SEEN, "verdict", title="Attacks", show_lines=True)
    for (case, expected, outcome), seen in cases.items():
        verdict = f"{_VERDICTS[outcome]}, {len(seen)} variants" if len(seen) > 1 else _VERDICTS[outcome]
        told = max(seen, key=lambda text: text != UNTOLD)
        table.add_row(escape(case), escape(expected), escape(told), verdict)
    console = Console(width=160)
    console.print(table)
    totals = Counter(outcome for *_, outcome in cases)
    console.print(f"{len(cases)} cases: {', '.join(f'{count} {outcome}' for outcome, count in totals.items())}")


def _rows(reporter: pytest.TerminalReporter) -> Iterator[tuple[str, str, str, str]]:
    for outcome in ("failed", "error", "skipped", "passed"):
        for report in reporter.stats.get(outcome, ()):
            told = dict(getattr(report, "user_properties", ()))
            if CASE not in told or (outcome == "passed" and report.when != "call"):
                continue
            seen = told.get(SEEN, UNTOLD) if outcome == "passed" else f"{report.nodeid}: {_reason(report)}"
            yield str(told[CASE]), str(told[EXPECTED]), str(seen), "failed" if outcome == "error" else outcome


def _reason(report: pytest.TestReport) -> str:
    lines = report.longreprtext.splitlines() or [""]
    return next((line[1:].strip() for line in lines if line.startswith("E ")), lines[-1])
