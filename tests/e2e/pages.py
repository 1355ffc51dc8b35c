"""The code in the documentation, taken from the pages themselves."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"\s*```(?P<language>.*)")


@dataclass(frozen=True)
class Block:
    """A block of code, and the line of the page on which its code begins."""

    page: str
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        """Where it stands, for a reader."""
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """Return all pages that users read."""
    return [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> Iterator[Block]:
    """Yield the blocks of code of a page."""
    begun: tuple[int, str] | None = None
    lines: list[str] = []
    for number, line in enumerate(page.read_text("utf-8").splitlines(), start=1):
        fence = FENCE.fullmatch(line)
        if fence and begun is None:
            begun, lines = (number + 1, fence["language"].strip()), []
        elif fence and begun:
            yield Block(str(page.relative_to(ROOT)), *begun, textwrap.dedent("\n".join(lines)) + "\n")
            begun = None
        else:
            lines.append(line)
    assert begun is None, f"{page.name}:{begun}: the block is not closed"


def written_in(language: str) -> list[Block]:
    """Return the blocks of all pages that are written in a language."""
    return [block for page in pages() for block in blocks(page) if block.language == language]
