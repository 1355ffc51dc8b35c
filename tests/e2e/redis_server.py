"""A Redis server of its own in a temporary folder, gone with it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.e2e.packages import found_or_installed
from tests.e2e.postgres import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def redis() -> Iterator[str]:
    """Yield the URL of an empty Redis, which keeps everything in memory."""
    program = found_or_installed(
        lambda: shutil.which("redis-server"), "redis-server", "redis-server is not on this machine; install Redis."
    )
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="kling-redis-") as folder:
        options = {"bind": "127.0.0.1", "port": str(port), "dir": folder, "save": "", "appendonly": "no"}
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        server = subprocess.Popen([program, *arguments], stdout=subprocess.DEVNULL)  # noqa: S603 as found or installed
        try:
            _wait(port)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.terminate()
            server.wait(30)


def _wait(port: int, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
