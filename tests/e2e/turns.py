"""
Counts, in the triggerer, what each turn of its event loop cost the loop's thread, and how much of it for waits.

In seconds of that thread's processor, not of the clock: on a busy machine a process stands still without a part
in it. (What waits by itself, a file or a blocking socket, `tests/triggers` forbids.) The garbage collector's runs
are told apart, whoever's step they fell into.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

#: Airflow's own threshold for "async thread was blocked".
STALL_SECONDS = 0.2

#: Airflow loads this file in every component, from the folder `config` in its home.
LOCAL_SETTINGS = f"""
import sys

sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from tests.e2e.turns import install

install()
"""


@dataclass
class Turn:
    """What the steps of one turn took, in seconds of the processor."""

    process: int
    waits: float = 0.0
    others: float = 0.0
    collector: float = 0.0


def install() -> None:
    """Watch the process that runs the triggers, which the triggerer forks."""
    if "triggerer" in sys.argv:
        os.register_at_fork(after_in_child=_watch)


def read(home: Path) -> list[Turn]:
    """Return the turns, of all triggerers that ran in this home, that cost more for waits than any before them."""
    return [Turn(**json.loads(line)) for line in (home / "turns.jsonl").read_text().splitlines()]


def _watch() -> None:
    handle_class: Any = asyncio.Handle
    loop_class: Any = asyncio.BaseEventLoop
    run_step, run_turn = handle_class._run, loop_class._run_once
    out = Path(os.environ["AIRFLOW_HOME"], "turns.jsonl")
    loop_thread = threading.get_ident()
    turn, longest, collected_since = Turn(os.getpid()), 0.0, 0.0

    def step(handle: asyncio.Handle) -> None:
        waits = _is_of_a_wait(handle)
        before, collected = time.thread_time(), turn.collector
        run_step(handle)
        spent = time.thread_time() - before - (turn.collector - collected)
        if waits:
            turn.waits += spent
        else:
            turn.others += spent

    def one_turn(loop: asyncio.BaseEventLoop) -> None:
        nonlocal turn, longest
        turn = Turn(os.getpid())
        run_turn(loop)
        if turn.waits > longest:
            longest = turn.waits
            with out.open("a") as file:
                file.write(json.dumps(asdict(turn)) + "\n")

    def collecting(phase: str, _: dict[str, int]) -> None:
        nonlocal collected_since
        if threading.get_ident() == loop_thread:
            if phase == "start":
                collected_since = time.thread_time()
            else:
                turn.collector += time.thread_time() - collected_since

    handle_class._run = step
    loop_class._run_once = one_turn
    gc.callbacks.append(collecting)


def _is_of_a_wait(handle: Any) -> bool:
    """Tell the steps of triggers, of what they have started, and of their connections from those of Airflow."""
    owner = getattr(handle._callback, "__self__", None)
    if isinstance(owner, asyncio.Task):
        code = getattr(owner.get_coro(), "cr_code", None)
        return " (ID " in owner.get_name() or bool(code and "airflow_provider_kling" in code.co_filename)
    return type(getattr(owner, "_protocol", None)).__module__.startswith("aiohttp")
