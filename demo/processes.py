"""Processes that end with the demo, whatever ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

#: How a person, `kill` and a terminal that is closed stop a program.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def stop_on_signals() -> None:
    """Let each of the signals end this process as Ctrl-C does, so that it ends what it has started."""
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as `nohup` wants it
            signal.signal(number, _interrupt)


def _interrupt(*_: object) -> None:
    with suppress(OSError):  # a terminal that is closed shows nothing
        print("\nStopping …", flush=True)
    raise KeyboardInterrupt


def start(command: Sequence[str], *, env: Mapping[str, str], folder: Path, log: Path) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, with all that it says going to a log."""
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            env=env,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches the demo alone, which stops what it started
        )


def end(processes: Sequence[subprocess.Popen[bytes]], *, patience: float) -> None:
    """End processes in order, and kill whatever is left of them, or of what they started, after some seconds."""
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + patience
    for process in processes:
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(deadline - time.monotonic(), 0))
    survivors = _members({process.pid for process in processes})
    for survivor in survivors:
        with suppress(psutil.NoSuchProcess):
            survivor.kill()
    for process in processes:
        process.wait()
    psutil.wait_procs(survivors)


@contextmanager
def signals_held() -> Iterator[None]:
    """Let nothing interrupt what is half done; a signal that came meanwhile takes effect at the end."""
    held: list[int] = []
    handlers = {number: signal.signal(number, lambda came, _: held.append(came)) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if held:
        raise KeyboardInterrupt


def _members(sessions: set[int]) -> list[psutil.Process]:
    """List the processes of some sessions. A parent that died is no way to its children, their session is."""
    members = []
    for pid in psutil.pids():
        with suppress(ProcessLookupError, PermissionError, psutil.NoSuchProcess):
            if os.getsid(pid) in sessions:
                members.append(psutil.Process(pid))
    return members
