"""What a file is, told by its bytes: its type by the first of them, its size and length by decoding it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Literal

if TYPE_CHECKING:
    from av.container import InputContainer

#: How many of a file's first bytes tell its type.
HEAD = 32


@dataclass(frozen=True, slots=True)
class MediaType:
    """A type of file that Kling models take or make."""

    mime: str
    extension: str
    kind: Literal["image", "video", "audio"]


PNG = MediaType("image/png", "png", "image")
JPEG = MediaType("image/jpeg", "jpg", "image")
WEBP = MediaType("image/webp", "webp", "image")
GIF = MediaType("image/gif", "gif", "image")
MP4 = MediaType("video/mp4", "mp4", "video")
MOV = MediaType("video/quicktime", "mov", "video")
WEBM = MediaType("video/webm", "webm", "video")
MP3 = MediaType("audio/mpeg", "mp3", "audio")
WAV = MediaType("audio/wav", "wav", "audio")


#: Dots stand for a length; an MP4 differs from a QuickTime film by its brand.
_SIGNATURES = (
    (rb"\x89PNG\r\n", PNG),
    (rb"\xff\xd8\xff", JPEG),
    (rb"RIFF....WEBP", WEBP),
    (rb"GIF8", GIF),
    (rb"....ftypqt  ", MOV),
    (rb"....ftyp", MP4),
    (rb"\x1a\x45\xdf\xa3", WEBM),
    (rb"RIFF....WAVE", WAV),
    (rb"ID3|\xff[\xf2\xf3\xfb]", MP3),
)


@dataclass(frozen=True, slots=True)
class Shape:
    """Width and height in pixels, duration in seconds; None is what a file of its kind has not."""

    width: int | None = None
    height: int | None = None
    duration: float | None = None


def media_type(head: bytes) -> MediaType | None:
    """Return what a file is by its first bytes (``HEAD`` of them suffice), or None."""
    return next((type_ for pattern, type_ in _SIGNATURES if re.match(pattern, head, re.DOTALL)), None)


def extensions(kind: str | None) -> list[str]:
    """Return the endings of files of a kind, ``"image"`` or ``"video"``; of all kinds for any other."""
    known = [type_ for _, type_ in _SIGNATURES]
    return sorted({type_.extension for type_ in known if type_.kind == kind} or {type_.extension for type_ in known})


def shape(file: BinaryIO) -> Shape | None:
    """
    Decode the first picture of a file, and the last one of a video; return its measures.

    None is that PyAV is not installed, so nobody knows.

    :raises ValueError: it cannot be decoded.
    """
    try:
        import av
    except ImportError:
        return None
    try:
        with av.open(file, mode="r") as container:
            return _measured(container)
    except (av.FFmpegError, StopIteration) as exc:
        raise ValueError(f"it cannot be decoded ({type(exc).__name__}: {exc})") from None


def _measured(container: InputContainer) -> Shape:
    duration = container.duration / 1_000_000 if container.duration else None
    if not container.streams.video:
        next(container.decode(audio=0))
        return Shape(duration=duration)
    stream = container.streams.video[0]
    first = next(container.decode(stream))
    if stream.duration and stream.frames != 1:
        container.seek(stream.duration, stream=stream)  # to the last key frame
        for _ in container.decode(stream):
            pass
    # A picture is a video of one frame to PyAV, and its duration is made up.
    return Shape(first.width, first.height, None if stream.frames in {0, 1} and not stream.duration else duration)
