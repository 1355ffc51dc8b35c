"""Watches the triggerer's event loop from a thread, and notes what it was busy with whenever it stalled."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path

#: Airflow's own threshold for "async thread was blocked".
STALL_SECONDS = 0.2
SAMPLE_SECONDS = 0.02
PACKAGE = f"{os.sep}airflow_provider_kling{os.sep}"

#: Airflow loads this file in every component, from the folder `config` in its home.
LOCAL_SETTINGS = f"""
import sys

sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from tests.e2e.stalls import install

install()
"""


def install() -> None:
    """Watch the process that runs the triggers, which the triggerer forks."""
    if "triggerer" in sys.argv:
        os.register_at_fork(after_in_child=lambda: threading.Thread(target=_watch, daemon=True).start())


def read(home: Path) -> list[dict]:
    """Return the stalls: how many seconds each took, and for how many of them the provider was at work."""
    file = home / "stalls.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def _watch() -> None:
    loop_thread = threading.main_thread().ident
    busy: list[list[str]] = []
    while True:
        time.sleep(SAMPLE_SECONDS)
        frame = sys._current_frames().get(loop_thread)
        stack = []
        while frame is not None:
            stack.append(f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name}")
            frame = frame.f_back
        if stack and stack[0].endswith(" select"):  # the loop has nothing to do
            if len(busy) * SAMPLE_SECONDS >= STALL_SECONDS:
                _note(busy)
            busy = []
        else:
            busy.append(stack)


def _note(busy: list[list[str]]) -> None:
    ours = [stack for stack in busy if any(PACKAGE in line for line in stack)]
    typical = (ours or busy)[len(ours or busy) // 2][:6]
    stall = {"seconds": len(busy) * SAMPLE_SECONDS, "ours": len(ours) * SAMPLE_SECONDS, "stack": typical}
    with (Path(os.environ["AIRFLOW_HOME"]) / "stalls.jsonl").open("a") as file:
        file.write(json.dumps(stall) + "\n")
