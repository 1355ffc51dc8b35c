"""Nothing that was started outlives the demo, whatever ends it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from demo import processes

ROOT = Path(__file__).parents[2]
# It ignores SIGTERM and starts a child; the child of `orphan` loses its parent.
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
if sys.argv[1] == "stays":
    time.sleep(600)
"""
SIGNALLED = """
import os, signal, sys
from demo import processes
processes.stop_on_signals()
try:
    with processes.signals_held():
        os.kill(os.getpid(), int(sys.argv[1]))
        os.kill(os.getpid(), int(sys.argv[1]))
        print("finished", flush=True)
    print("not reached")
except KeyboardInterrupt:
    print("interrupted")
"""


def start(code, log, *arguments):
    command = [sys.executable, "-c", code, *arguments]
    return processes.start(command, env={**os.environ, "PYTHONUNBUFFERED": "1"}, folder=ROOT, log=log)


def wait_for_line(log):
    deadline = time.monotonic() + 60
    while not (text := log.read_text()).endswith("\n"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return text.strip()


@pytest.mark.parametrize("parent", ["stays", "goes"])
def test_what_does_not_end_is_killed_with_all_that_it_started(tmp_path, parent):
    process = start(STUBBORN, tmp_path / "log", parent)
    child = psutil.Process(int(wait_for_line(tmp_path / "log")))
    if parent == "goes":
        process.wait(60)

    processes.end([process], patience=0.2)

    assert process.returncode == (-signal.SIGKILL if parent == "stays" else 0)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_what_ends_when_it_is_asked_to_is_not_killed(tmp_path):
    code = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); print('up'); signal.pause()"
    process = start(code, tmp_path / "log")
    wait_for_line(tmp_path / "log")

    processes.end([process], patience=60)

    assert process.returncode == 7


@pytest.mark.parametrize("number", processes.SIGNALS, ids=lambda number: number.name)
def test_a_signal_waits_for_what_must_not_be_cut_short(number):
    done = subprocess.run(  # noqa: S603 our own code
        [sys.executable, "-c", SIGNALLED, str(int(number))], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert done.stdout.split() == ["finished", "interrupted"]
