"""The rate limit: so many requests a minute for each key, polls included."""

from __future__ import annotations

from datetime import UTC, datetime

WINDOW_SECONDS = 60.0


class RateLimit:
    """Fixed windows of a minute, opened by a key's first request."""

    def __init__(self, requests_per_minute: int) -> None:
        self._limit = requests_per_minute
        self._windows: dict[str, tuple[float, int]] = {}

    def take(self, key: str, now: float) -> bool:
        """Count the request, or refuse it; a refused one does not count."""
        opened, used = self._window(key, now)
        if self._limit and used >= self._limit:
            return False
        self._windows[key] = (opened, used + 1)
        return True

    def reset_at(self, key: str, now: float) -> str:
        """Say when the key's window ends, as the header `x-rate-limit-reset-at-utc` does."""
        opened, _ = self._window(key, now)
        return utc(opened + WINDOW_SECONDS)

    def _window(self, key: str, now: float) -> tuple[float, int]:
        opened, used = self._windows.get(key, (now, 0))
        return (now, 0) if now - opened >= WINDOW_SECONDS else (opened, used)


def utc(moment: float) -> str:
    """Write a moment as ISO 8601 in UTC."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
