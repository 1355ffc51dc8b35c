"""A file's type, from its first bytes, and its size and duration, from decoding it."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import re
import struct
import subprocess
import sys
import threading
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal

from airflow_provider_kling.media import decoder

#: Seconds after which a file that is still being decoded counts as one that cannot be decoded.
LONGEST_DECODING = 120.0
#: The environment variables for the decoder's process: where Python and its libraries are, and no secrets.
_ENVIRONMENT = ("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "LANG", "HOME", "TMPDIR")
#: How many of a file's first bytes show its type.
HEAD = 32


@dataclass(frozen=True, slots=True)
class MediaType:
    """A type of file that Kling models take or make."""

    mime: str
    extension: str
    kind: Literal["image", "video", "audio"]
    #: FFmpeg's name of its format.
    form: str


PNG = MediaType("image/png", "png", "image", "png_pipe")
JPEG = MediaType("image/jpeg", "jpg", "image", "jpeg_pipe")
WEBP = MediaType("image/webp", "webp", "image", "webp_pipe")
GIF = MediaType("image/gif", "gif", "image", "gif")
MP4 = MediaType("video/mp4", "mp4", "video", "mov")
MOV = MediaType("video/quicktime", "mov", "video", "mov")
WEBM = MediaType("video/webm", "webm", "video", "matroska")
MP3 = MediaType("audio/mpeg", "mp3", "audio", "mp3")
WAV = MediaType("audio/wav", "wav", "audio", "wav")


#: The dots match a length; an MP4 differs from a QuickTime file by its brand.
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
    """Width and height in pixels, duration in seconds; None where a file of its kind has none."""

    width: int | None = None
    height: int | None = None
    duration: float | None = None


def media_type(head: bytes) -> MediaType | None:
    """Return a file's type from its first bytes (``HEAD`` of them suffice), or None."""
    return next((type_ for pattern, type_ in _SIGNATURES if re.match(pattern, head, re.DOTALL)), None)


def extensions(kind: str | None) -> list[str]:
    """Return the extensions of a kind of files, ``"image"`` or ``"video"``; those of all kinds for any other value."""
    known = [type_ for _, type_ in _SIGNATURES]
    return sorted({type_.extension for type_ in known if type_.kind == kind} or {type_.extension for type_ in known})


def shape(file: BinaryIO, seconds: float = LONGEST_DECODING) -> Shape | None:
    """
    Decode the first frame of a file, and the last one of a video, in another process; return its measures.

    Return None if PyAV is not installed: the measures are unknown.

    :param seconds: that it may take.
    :raises ValueError: it cannot be decoded, or not within the decoder's limits.
    """
    if importlib.util.find_spec("av") is None:
        return None
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    type_ = media_type(file.read(HEAD))
    if type_ is None:
        raise ValueError("it cannot be decoded (its first bytes are not those of a picture, video or sound)")
    child = subprocess.Popen(  # noqa: S603 this interpreter, and a module of this package
        [sys.executable, "-P", decoder.__file__, type_.form, str(size)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
    )
    late = threading.Timer(seconds, child.kill)
    late.start()
    try:
        told = _answered(child, file)
    except (OSError, struct.error):
        raise ValueError(f"it cannot be decoded within {seconds:g} s and 2 GiB") from None
    finally:
        late.cancel()
        child.kill()
        child.communicate()
    if "error" in told:
        raise ValueError(told["error"])
    return Shape(**told["shape"])


def _answered(child: subprocess.Popen[bytes], file: BinaryIO) -> dict[str, Any]:
    """Send the child the bytes that it requests, and return its result."""
    questions, answers = child.stdout, child.stdin
    if questions is None or answers is None:
        raise AssertionError("both were asked for")
    while True:
        offset, length = decoder.QUESTION.unpack(questions.read(decoder.QUESTION.size))
        if not length:
            told: dict[str, Any] = json.loads(questions.read(offset))
            return told
        file.seek(offset)
        block = file.read(length)
        answers.write(decoder.LENGTH.pack(len(block)) + block)
        answers.flush()
