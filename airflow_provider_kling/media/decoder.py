"""
Decodes one file in its own process: ``python decoder.py FORMAT SIZE``.

A file from outside is input for a decoder of many formats, written in C. In its own process the decoder can neither
hang a worker nor use up its memory: the process has limits, is killed when it takes too long, and holds no secrets. It
imports nothing of this package. It requests the file's bytes on its standard output, and gets them on its standard
input. It has no path or descriptor of the file, so a file in an object store is read in the same way as one on a disk.
"""

from __future__ import annotations

import io
import json
import resource
import struct
import sys
from typing import BinaryIO

#: A request for bytes: offset and length. After a request for 0 bytes the result follows.
QUESTION = struct.Struct(">QI")
#: Precedes bytes: how many follow.
LENGTH = struct.Struct(">I")
#: Bytes of memory and seconds of CPU time that the process may use.
MEMORY, PROCESSOR_SECONDS = 2 * 1024**3, 60
#: Most pixels of a picture: twice the width and height of the largest that a Kling model takes or makes.
MOST_PIXELS = 8192 * 8192


class Asked(io.RawIOBase):
    """A file that is read through another process."""

    def __init__(self, size: int, answers: BinaryIO, questions: BinaryIO) -> None:
        super().__init__()
        self._size = size
        self._answers = answers
        self._questions = questions
        self._at = 0

    def readable(self) -> bool:
        """Return that it is."""
        return True

    def seekable(self) -> bool:
        """Return that it is."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move to an offset."""
        self._at = max(offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence], 0)
        return self._at

    def tell(self) -> int:
        """Return the offset."""
        return self._at

    def readinto(self, buffer: bytearray, /) -> int:  # type: ignore[override] # a buffer of any kind, which is wider
        """Request the bytes at the offset."""
        self._questions.write(QUESTION.pack(self._at, len(buffer)))
        self._questions.flush()
        (length,) = LENGTH.unpack(self._answers.read(LENGTH.size))
        buffer[:length] = self._answers.read(length)
        self._at += length
        return int(length)


def measure(file: BinaryIO, form: str) -> dict[str, float | None]:
    """
    Decode the first frame of a file, and the last one of a video.

    :param form: FFmpeg's name of its format; no other is tried.
    :raises ValueError: it cannot be decoded.
    """
    import av

    try:
        # Some formats are lists of addresses; none of these may be opened.
        with av.open(file, mode="r", format=form, options={"protocol_whitelist": "none"}) as container:
            duration = container.duration / 1_000_000 if container.duration else None
            if not container.streams.video:
                next(container.decode(audio=0))
                return {"duration": duration}
            stream = container.streams.video[0]
            pixels = stream.codec_context.width * stream.codec_context.height
            if pixels > MOST_PIXELS:
                raise ValueError(f"it has {pixels:,} pixels, and more than {MOST_PIXELS:,} are not decoded")
            first = next(container.decode(stream))
            if stream.duration and stream.frames != 1:
                container.seek(stream.duration, stream=stream)  # to the last key frame
                for _ in container.decode(stream):
                    pass
            # To PyAV a picture is a video of one frame, with a made-up duration.
            lasts = stream.frames not in {0, 1} or stream.duration
            return {"width": first.width, "height": first.height, "duration": duration if lasts else None}
    except (av.FFmpegError, StopIteration, MemoryError) as exc:
        raise ValueError(f"it cannot be decoded ({type(exc).__name__}: {exc})") from None


def main() -> None:
    """Measure the parent process's file."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_SECONDS, PROCESSOR_SECONDS))
    form, size = sys.argv[1:]
    try:
        told: dict[str, object] = {"shape": measure(Asked(int(size), sys.stdin.buffer, sys.stdout.buffer), form)}  # type: ignore[arg-type] # a raw file is read as a binary one
    except ValueError as exc:
        told = {"error": str(exc)}
    answer = json.dumps(told).encode()
    sys.stdout.buffer.write(QUESTION.pack(len(answer), 0) + answer)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
