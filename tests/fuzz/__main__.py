"""
`make fuzz`: give every reader of foreign bytes as many examples as SECONDS or EXAMPLES allow, other ones each time.

Prints how many each got. What breaks one is kept in tests/fuzz/cases, and the run fails.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path

from tests.fuzz.harness import RUNNING, TARGETS, Target


def main() -> int:
    """Fuzz; return how many targets broke."""
    seconds, wanted = float(os.environ.get("SECONDS") or 120), int(os.environ.get("EXAMPLES") or 0)
    for module in sorted(Path(__file__).parent.glob("test_*.py")):
        importlib.import_module(f"tests.fuzz.{module.stem}")
    ends_at = time.monotonic() + seconds
    broken: set[str] = set()

    def is_over() -> bool:
        tried = sum(target.examples for target in TARGETS.values())
        return tried >= wanted if wanted else time.monotonic() >= ends_at

    with suppress(KeyboardInterrupt):
        while left := [target for name, target in TARGETS.items() if name not in broken]:
            for target in left:
                if is_over():
                    break
                if not _holds(target):
                    broken.add(target.name)
            if is_over():
                break
    for target in TARGETS.values():
        print(f"{target.examples:>9,}  {target.name.replace('_', ' ')}{'  BROKEN' if target.name in broken else ''}")
    print(f"{sum(target.examples for target in TARGETS.values()):>9,}  examples in all, {len(broken)} target(s) broken")
    return len(broken)


def _holds(target: Target) -> bool:
    try:
        target.fuzz()
    except BaseException as exc:
        if isinstance(exc, KeyboardInterrupt) or target.failed is None:
            raise
        traceback.print_exc()
        print(f"{target.name} is broken; the case is kept as {target.keep()}", flush=True)
        return False
    return True


if __name__ == "__main__":
    with RUNNING:
        sys.exit(main())
