"""Whether a secret can be found in what a run left behind."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SQLITE_MAGIC = b"SQLite format 3\x00"


def find_leaks(secret: str, *folders: Path) -> list[Path]:
    """List the files under the folders that hold the secret, the rows of SQLite databases included."""
    files = (file for folder in folders for file in sorted(folder.rglob("*")) if file.is_file())
    return [file for file in files if _holds(file, secret)]


def _holds(file: Path, secret: str) -> bool:
    content = file.read_bytes()
    if secret.encode() in content:
        return True
    # A long value goes over several pages of the database file, so its bytes need not be in one piece there.
    return content.startswith(_SQLITE_MAGIC) and any(
        secret in row or secret.encode().hex().upper() in row for row in _dump(file)
    )


def _dump(database: Path) -> Iterator[str]:
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        yield from connection.iterdump()
