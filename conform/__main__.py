"""`make conform`: measure what is assumed of Segmind, on the simulator or, with `LIVE=1`, on Segmind itself."""

from __future__ import annotations

import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from airflow_provider_kling.segmind.errors import SegmindError
from airflow_provider_kling.simulator import Simulator
from conform import report
from conform.assumptions import findings
from conform.judgements import Verdict
from conform.probe import measure
from conform.target import SIMULATED_LIMIT, TIME_SCALE, choose_live, connected
from demo.problems import DemoError
from demo.processes import stop_on_signals
from demo.target import Target, random_key

OUTPUT = Path("conform-output")


def main() -> int:
    """Measure; the exit code is 1 where an assumption is broken, or nothing could be measured."""
    stop_on_signals()
    console = Console(soft_wrap=not sys.stdout.isatty(), width=None if sys.stdout.isatty() else 120)
    try:
        return _conform(console)
    except (DemoError, SegmindError) as error:
        console.print(f"[red]conform:[/] {escape(str(error))}", highlight=False)
        return 1
    except KeyboardInterrupt:
        console.print("[red]conform:[/] stopped; what was submitted goes on and is billed")
        return 130


def _conform(console: Console) -> int:
    with ExitStack() as stack:
        if os.environ.get("LIVE") == "1":
            target = choose_live(console)
            limit = _requests(os.environ.get("RATE_LIMIT") or "0")
        else:
            simulator = stack.enter_context(
                Simulator(api_key=random_key(), time_scale=TIME_SCALE, requests_per_minute=SIMULATED_LIMIT, height=72)
            )
            target = Target(simulator.url, simulator.api_key, live=False)
            limit = SIMULATED_LIMIT + 1
        hook = stack.enter_context(connected(target))
        started = time.monotonic()

        def say(line: str) -> None:
            console.print(f"[dim]{time.monotonic() - started:6.1f} s[/]  {escape(line)}", highlight=False)

        say(f"Segmind is {target.host if target.live else f'a simulator that is {TIME_SCALE} times as fast'}")
        seen = measure(hook, ask_for_limit=limit, say=say)
    found = findings(seen)
    output = OUTPUT / time.strftime("live-%Y%m%d-%H%M%S") if target.live else OUTPUT
    output.mkdir(parents=True, exist_ok=True)
    report.write(output, found, seen, target)
    console.print(report.table(found))
    for line in report.summary(found, seen):
        console.print(line, markup=False, highlight=False)
    console.print(f"Written down in {output}/conform.md and conform.json", highlight=False)
    return int(any(finding.verdict is Verdict.BROKEN for finding in found))


def _requests(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise DemoError(f"RATE_LIMIT={text} is no number of requests") from None


if __name__ == "__main__":
    sys.exit(main())
