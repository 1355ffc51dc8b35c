"""What was asked of the simulator, for tests that count requests and look at what was sent."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

from airflow_provider_kling.simulator.json_body import read_json

KEPT_REQUESTS = 20_000
KEPT_BODY_BYTES = 65_536


@dataclass
class Entry:
    """One request. `key` is "valid", "wrong" or "absent"; the key itself is kept nowhere.

    `status` stays None where no answer was sent: the connection was reset, or the answer is still held.
    """

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    key: str
    time: float
    body: Any = None
    status: int | None = None

    def note_body(self, body: bytes) -> None:
        """Keep what was sent: as JSON where it is JSON, cut where it is long."""
        text = body[:KEPT_BODY_BYTES].decode("utf-8", "replace")
        try:
            self.body = read_json(text)
        except ValueError:
            self.body = text or None


class Journal:
    """The last requests, oldest first: API calls in one list, downloads of public files in another."""

    def __init__(self) -> None:
        self._calls: deque[Entry] = deque(maxlen=KEPT_REQUESTS)
        self._downloads: deque[Entry] = deque(maxlen=KEPT_REQUESTS)

    def note(self, entry: Entry, *, download: bool) -> None:
        """Keep the request; its body and status are filled in as they become known."""
        (self._downloads if download else self._calls).append(entry)

    def calls(self) -> list[dict[str, Any]]:
        """List the API requests."""
        return [asdict(entry) for entry in self._calls]

    def downloads(self) -> list[dict[str, Any]]:
        """List the requests for public files, the simulator's own among them."""
        return [asdict(entry) for entry in self._downloads]
