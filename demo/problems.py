"""The one exception of the demo."""

from __future__ import annotations


class DemoError(Exception):
    """The demo cannot go on; the message is one line that says what to do."""
