"""JSON from whoever sends some."""

from __future__ import annotations

import json
from typing import Any


def read_json(text: str | bytes) -> Any:
    """Read JSON; ValueError says that there is none, or that it is too deep."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is too deep") from None
