"""Download what the steps made, and make sure that it is what it should be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import av
import requests
from PIL import Image, UnidentifiedImageError

from demo.problems import DemoError

if TYPE_CHECKING:
    from pathlib import Path

DOWNLOAD_TIMEOUT = (10, 120)


@dataclass(frozen=True)
class Video:
    """What is inside of a video file, counted by decoding all of it."""

    width: int
    height: int
    frames: int
    seconds: float


def download(url: str, file: Path) -> None:
    """Fetch a file by its public address; no key is sent."""
    try:
        with requests.get(url, timeout=DOWNLOAD_TIMEOUT, stream=True) as answer:
            answer.raise_for_status()
            with file.open("wb") as target:
                for chunk in answer.iter_content(1 << 16):
                    target.write(chunk)
    except requests.RequestException as error:
        raise DemoError(f"{url} could not be downloaded: {error}") from error


def describe(file: Path) -> str:
    """Open a media file and say what it is; raises when it cannot be opened to its end."""
    if file.suffix == ".mp4":
        video = open_video(file)
        return f"{video.width}x{video.height}, {video.frames} frames, {video.seconds:.2f} s"
    width, height = open_image(file).size
    return f"{width}x{height}"


def open_image(file: Path) -> Image.Image:
    """Decode a picture."""
    try:
        return Image.open(file).convert("RGB")
    except (OSError, UnidentifiedImageError) as error:
        raise DemoError(f"{file} is not a picture: {error}") from error


def open_video(file: Path) -> Video:
    """Decode a video to its end and count what is in it."""
    try:
        with av.open(file) as container:
            stream = container.streams.video[0]
            frames = sum(1 for _ in container.decode(stream))
            rate = float(stream.average_rate or 0)
            width, height = stream.codec_context.width, stream.codec_context.height
    except (av.FFmpegError, IndexError) as error:
        raise DemoError(f"{file} is not a video: {error}") from error
    if not frames or not rate:
        raise DemoError(f"{file} holds no frames")
    return Video(width, height, frames, frames / rate)


def sample_frames(file: Path, count: int) -> list[tuple[float, Image.Image]]:
    """Pick frames spread evenly over a video, each with its time in seconds."""
    video = open_video(file)
    wanted = [round((index + 0.5) * video.frames / count) for index in range(count)]
    with av.open(file) as container:
        return [
            (number * video.seconds / video.frames, frame.to_image())  # type: ignore[no-untyped-call]
            for number, frame in enumerate(container.decode(video=0))
            if number in wanted
        ]
