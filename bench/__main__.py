"""`make bench`: the benchmarks, as tables of ratios."""

from __future__ import annotations

import os
import sys

from rich.console import Console

from bench import kills, ledger, pacing, parsing, peers, polling, workers
from bench.report import machine


def main() -> int:
    """Run every benchmark."""
    console = Console(soft_wrap=True, highlight=False, width=120)
    console.print(machine())
    peers.install()
    parsing.run(console)
    with polling.waiting() as waits:
        pacing.run(console)
        polling.run(console, waits)
    ledger.run(console)
    workers.run(console)
    kills.run(console, int(os.environ.get("KILLS", "50")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
