"""What a file was made of, as the description beside it tells."""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def chain(sidecar: Path) -> str:
    """Follow a description back to the first pictures."""
    description = json.loads(sidecar.read_text())
    return " <- ".join([description["file"], *_inputs(description)])


def _inputs(description: dict[str, Any]) -> list[str]:
    inputs = description.get("inputs", [])
    if not inputs:
        return []
    names = ", ".join(_name(item) for item in inputs)
    made = next((item["made"] for item in inputs if item.get("made")), None)
    return [names, *(_inputs(made) if made else [])]


def _name(item: dict[str, Any]) -> str:
    made = item.get("made") or {}
    return made.get("file") or PurePosixPath(item.get("path") or item["url"]).name
