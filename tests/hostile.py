"""A server on this machine that answers with whatever bytes a test gives it."""

from __future__ import annotations

import socket
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass
class Hostile:
    """Where it listens, and what it was sent, connection by connection."""

    url: str
    port: int
    asked: list[bytes] = field(default_factory=list)
    connections: int = 0


@contextmanager
def hostile(
    *parts: bytes | Callable[[bytes], bytes], every: float = 0.0, endless: bool = False, host: str = "127.0.0.1"
) -> Iterator[Hostile]:
    """
    Serve each connection these bytes, one part after the other, and close it.

    :param parts: bytes, or what makes them of what was asked.
    :param every: seconds after each.
    :param endless: whether to begin again.
    """

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            asked = connection.recv(65536)
            server.asked.append(asked)
            while True:
                for part in parts:
                    connection.sendall(part(asked) if callable(part) else part)
                    time.sleep(every)
                if not endless:
                    break
            # What was asked and is not read would make a reset of the end, which loses what was answered.
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(2)
            while connection.recv(65536):
                pass

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                server.connections += 1
                Thread(target=serve, args=(connection,), daemon=True).start()

    with socket.create_server((host, 0)) as listener:
        port = listener.getsockname()[1]
        server = Hostile(f"http://{host}:{port}", port)
        Thread(target=accept, daemon=True).start()
        yield server
