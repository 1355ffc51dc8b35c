"""
`make prove`: every order of events within the bounds, then random walks beyond them.

BOUND=small does what CI has time for, STEPS=10000000 walks farther, KNOWN=1 lets documented weaknesses count, and
ARGS="--replay '<path>'" tells a path that an earlier run has printed.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time
from functools import partial
from multiprocessing import get_context
from typing import TYPE_CHECKING

from prove.explore import Result, explore
from prove.scenarios import SCENARIOS, Scenario
from prove.story import replay
from prove.walks import Walked, bound, walks

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Events of random walks: by default, and in the small bound.
WALKED, WALKED_SMALL = 2_000_000, 100_000
#: Events of walks that one process takes over at a time.
_STRETCH = 50_000
#: Seconds after which a scenario gives up and says how many states it has left out.
_PATIENCE = 1200.0
#: States are many and live long, and few are garbage.
_COLLECT_RARELY = (100_000, 50, 100)


def main(arguments: Sequence[str] | None = None) -> int:
    """Explore; the exit code is 1 where a promise was broken."""
    options = _parser().parse_args(arguments)
    if options.replay:
        return _replay(options.replay)
    if options.list:
        for scenario in SCENARIOS:
            print(scenario.name)
        return 0
    if options.first:
        return _first(options.patience)
    small = options.bound == "small"
    chosen = [scenario for scenario in SCENARIOS if (scenario.small or not small) and options.only in scenario.name]
    begun = time.monotonic()
    with get_context("spawn").Pool(options.processes, gc.set_threshold, _COLLECT_RARELY) as pool:
        failed = _explored(pool.imap(partial(explore, seconds=options.patience), chosen), chosen, known=options.known)
        if not options.only:
            steps = options.steps if options.steps is not None else WALKED_SMALL if small else WALKED
            stretches = [(options.seed + 1_000_000 * n, _STRETCH) for n in range(-(-steps // _STRETCH))]
            failed += _walked(pool.starmap(walks, stretches))
    print(f"{time.monotonic() - begun:.0f} s in all. {'A promise is BROKEN.' if failed else 'Every promise is kept.'}")
    return int(failed > 0)


def _first(seconds: float) -> int:
    """Stop at the first broken promise of the small bound; give each scenario so many seconds."""
    chosen = [scenario for scenario in SCENARIOS if scenario.small and not scenario.weakness]
    chosen.sort(key=lambda scenario: (len(scenario.tasks), scenario.total))
    for scenario in chosen:
        result = explore(scenario, seconds=seconds)
        if result.broken is not None:
            return _judged(scenario, result, known=True)
    return _walked([walks(0, WALKED_SMALL // 5)]) and 1


def _explored(results: object, chosen: Sequence[Scenario], *, known: bool) -> int:
    """Print what came of each scenario; return how many broke a promise."""
    failed = states = transitions = left_out = 0
    for scenario, result in zip(chosen, results, strict=True):  # type: ignore[call-overload]
        states, transitions = states + result.states, transitions + result.transitions
        left_out += result.left_out
        print(_line(result), flush=True)
        failed += _judged(scenario, result, known=known)
    print(f"{len(chosen)} scenarios, {states:,} states, {transitions:,} transitions, {left_out:,} states left out.")
    return failed


def _line(result: Result) -> str:
    covered = f"{result.left_out:,} states LEFT OUT" if result.left_out else "none left out"
    if result.broken:
        covered = "stopped at a broken promise"
    return (
        f"{result.scenario:<58} {result.states:>9,} states {result.transitions:>10,} transitions "
        f"{result.ends:>7,} ends ({result.asks:,} ask a person)  depth {result.depth:>3}  {result.seconds:>6.1f} s  "
        f"{covered}"
    )


def _judged(scenario: Scenario, result: Result, *, known: bool) -> int:
    if result.broken is None:
        if scenario.weakness:
            print(f"  The weakness is not seen any more: {scenario.weakness} Take its mark off the scenario.")
            return int(not result.left_out)
        return 0
    promise, path = result.broken
    if scenario.weakness and not known:
        print(f"  As documented: {scenario.weakness}\n    {promise}\n    {path}")
        return 0
    print(f"  BROKEN after {result.states:,} states  {promise}\n  python -m prove --replay '{path}'")
    return 1


def _walked(found: Sequence[Walked]) -> int:
    print(f"{sum(one.walks for one in found):,} random walks of {sum(one.events for one in found):,} events.")
    broken = [one.broken for one in found if one.broken is not None]
    for promise, path in broken:
        print(f"  BROKEN  {promise}\n  python -m prove --replay '{path}'")
    return len(broken)


def _replay(text: str) -> int:
    name, _, path = text.partition(":")
    walked = name.split()[-1] if name.startswith("walk ") else ""
    found = [bound(int(walked))] if walked else [scenario for scenario in SCENARIOS if scenario.name == name]
    if not found:
        print(f"There is no scenario {name!r}; --list names them.", file=sys.stderr)
        return 2
    lines = list(replay(found[0], path.split()))
    print("\n".join(lines))
    return int(lines[-1].startswith("BROKEN"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m prove", description=__doc__)
    parser.add_argument("--bound", choices=["small", "full"], default=os.environ.get("BOUND") or "full")
    parser.add_argument("--steps", type=int, default=int(os.environ["STEPS"]) if os.environ.get("STEPS") else None)
    parser.add_argument("--seed", type=int, default=0, help="of the first random walk")
    parser.add_argument("--only", default="", help="explore the scenarios with that in their name, and walk nowhere")
    parser.add_argument("--first", action="store_true", help="the small bound in one process, up to a broken promise")
    parser.add_argument("--patience", type=float, default=_PATIENCE, help="seconds for each scenario")
    parser.add_argument("--known", action="store_true", default=os.environ.get("KNOWN") == "1")
    parser.add_argument("--processes", type=int, default=None)
    parser.add_argument("--replay", metavar="PATH", help="tell a path step by step")
    parser.add_argument("--list", action="store_true", help="name the scenarios")
    return parser


if __name__ == "__main__":
    sys.exit(main())
