"""Opens films and sounds, which anybody may have sent: as bytes, and as what films and sounds are."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import av

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from av.container import InputContainer

#: No playlist is among the formats, and what leads elsewhere in one of them all the same leads nowhere.
OPTIONS = {"format_whitelist": "mov,matroska,wav,mp3,aac,flac,ogg", "protocol_whitelist": "none"}


@contextmanager
def opened(file: Path) -> Iterator[InputContainer]:
    """
    Open a file, by its bytes alone.

    :raises av.FFmpegError: it is neither a film nor a sound.
    """
    with file.open("rb") as content, av.open(content, mode="r", options=OPTIONS) as container:
        yield container
