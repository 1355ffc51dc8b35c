"""Films: a picture in slow motion, or the frames of another film with an edit on them. H.264, 24 a second."""

from __future__ import annotations

import random
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import av
from PIL import Image, ImageDraw, ImageOps

from airflow_provider_kling.simulator.drawing.caption import mark, picture_height
from airflow_provider_kling.simulator.drawing.composite import overlay
from airflow_provider_kling.simulator.open_media import opened

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from av.container import InputContainer

FPS = 24
# A still is kept this much larger than the frame, as the room for the camera to move in.
MARGIN = 1.14
WIPE_SHARE = 0.3
COLD = ("snow", "winter", "frost", "blizzard")


def write(file: Path, frames: Iterator[Image.Image], band: Image.Image, size: tuple[int, int]) -> None:
    """Encode the frames with the caption below them, one by one: a film is never held in memory."""
    canvas = Image.new("RGB", size)
    canvas.paste(band, (0, size[1] - band.height))
    options = {"movflags": "+faststart"}
    with av.open(str(file), "w", format="mp4", options=options) as container:
        container.metadata["comment"] = mark(size)
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "crf": "21"})
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.time_base = Fraction(1, FPS)
        for number, picture in enumerate(frames):
            canvas.paste(picture, (0, 0))
            frame = av.VideoFrame.from_image(canvas)  # type: ignore[no-untyped-call]  # PyAV leaves it untyped
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def seconds_of(file: Path, kind: str = "video") -> float:
    """Measure how long a film or a sound lasts."""
    with opened(file) as container:
        stream = next(stream for stream in container.streams if stream.type == kind)
        if stream.duration and stream.time_base:
            return float(stream.duration * stream.time_base)
        return (container.duration or 0) / av.time_base


def shape_of(file: Path) -> tuple[int, int]:
    """Measure a film's frames, a caption of ours included."""
    with opened(file) as container:
        stream = container.streams.video[0]
        return stream.width, stream.height


def first_frame(file: Path) -> Image.Image:
    """Take a film's first frame, without a caption of ours."""
    with opened(file) as container:
        return next(_pictures(container))


@dataclass(frozen=True)
class Motion:
    """A slow camera over a picture, and at the end into another one if there is one."""

    first: Image.Image
    last: Image.Image | None
    size: tuple[int, int]

    def frames(self, count: int) -> Iterator[Image.Image]:
        """Give every frame; the zoom goes in, the view drifts."""
        for number in range(count):
            share = number / max(1, count - 1)
            frame = self._view(self.first, share)
            if self.last is not None and share > 0.5:  # noqa: PLR2004  the second half belongs to the last frame
                frame = Image.blend(frame, self._view(self.last, share), min(1.0, (share - 0.5) / 0.4))
            yield frame

    def _view(self, still: Image.Image, share: float) -> Image.Image:
        eased = share * share * (3 - 2 * share)
        zoom = 1 / (1 + (MARGIN - 1) * eased)
        wide, tall = still.width * zoom, still.height * zoom
        left = (still.width - wide) * (0.35 + 0.3 * eased)
        top = (still.height - tall) * (0.6 - 0.3 * eased)
        box = (left, top, left + wide, top + tall)
        return still.resize(self.size, Image.Resampling.BILINEAR, box=box)


def roomy(size: tuple[int, int]) -> tuple[int, int]:
    """Give the size a still needs for the camera to move over it."""
    return round(size[0] * MARGIN), round(size[1] * MARGIN)


@dataclass(frozen=True)
class Edit:
    """Another film's own frames in new colours, with the reference pictures on them.

    The edit comes in from the left over the first frames, so that both versions are seen once.
    """

    film: Path
    prompt: str
    references: Sequence[Image.Image]
    size: tuple[int, int]

    def frames(self, count: int) -> Iterator[Image.Image]:
        """Give every frame; a film that is too short begins again."""
        grade = _grade(self.prompt)
        flakes = Flakes(self.size) if _mentions(self.prompt, *COLD) else None
        insets = overlay(self.references, self.size) if self.references else None
        wipe = max(1, round(count * WIPE_SHARE))
        for number, source in enumerate(self._source(count)):
            edited = source.point(grade)
            if insets:
                edited.paste(insets, (0, 0), insets)
            if flakes:
                flakes.fall(edited)
            yield _wiped(source, edited, number / wipe) if number < wipe else edited

    def _source(self, count: int) -> Iterator[Image.Image]:
        given = 0
        while given < count:
            before = given
            with opened(self.film) as container:
                rate = float(container.streams.video[0].average_rate or FPS)
                shown = 0
                for number, picture in enumerate(_pictures(container)):
                    # As many of ours as are due until this one's time is over.
                    due = round((number + 1) * FPS / rate)
                    fitted = (
                        picture
                        if picture.size == self.size
                        else ImageOps.fit(picture, self.size, Image.Resampling.BILINEAR)
                    )
                    while shown < due and given < count:
                        yield fitted
                        shown += 1
                        given += 1
            if given == before:
                raise ValueError("a film without frames")


class Flakes:
    """Snow: cheap, and unmistakably not in the film before."""

    def __init__(self, size: tuple[int, int]) -> None:
        chance = random.Random(3)  # noqa: S311  the same snow every time
        self._size = size
        self._flakes = [
            [chance.uniform(0, size[0]), chance.uniform(0, size[1]), chance.uniform(0.003, 0.009) * min(size)]
            for _ in range(110)
        ]

    def fall(self, image: Image.Image) -> None:
        """Draw the flakes and let them sink for the next frame."""
        draw = ImageDraw.Draw(image)
        for flake in self._flakes:
            x, y, radius = flake
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(248, 250, 255))
            flake[0] = (x + radius * 0.25) % self._size[0]
            flake[1] = (y + radius * 0.9) % self._size[1]


def _pictures(container: InputContainer) -> Iterator[Image.Image]:
    for frame in container.decode(video=0):
        picture = frame.to_image()  # type: ignore[no-untyped-call]  # PyAV leaves it untyped
        height = picture_height(container.metadata.get("comment"), picture.height)
        yield picture if height == picture.height else picture.crop((0, 0, picture.width, height))


def _wiped(before: Image.Image, after: Image.Image, share: float) -> Image.Image:
    edge = round(before.width * share)
    frame = before.copy()
    frame.paste(after.crop((0, 0, edge, after.height)), (0, 0))
    thick = max(1, before.width // 320)
    frame.paste((255, 255, 255), (edge, 0, min(edge + thick, frame.width), frame.height))
    return frame


def _mentions(prompt: str, *words: str) -> bool:
    return any(word in prompt.lower() for word in words)


def _grade(prompt: str) -> list[int]:
    """Choose new colours by what the prompt asks for; one table for each channel."""
    if _mentions(prompt, "night", "moon", "dark"):
        red, green, blue = (0.5, 0), (0.6, 4), (0.86, 26)
    elif _mentions(prompt, *COLD):
        red, green, blue = (0.78, 22), (0.88, 28), (0.94, 46)
    elif _mentions(prompt, "sunset", "sunrise", "golden", "warm", "autumn", "desert"):
        red, green, blue = (1.08, 22), (0.92, 8), (0.66, 0)
    else:
        red, green, blue = (0.82, 34), (0.86, 2), (0.96, 44)
    return [min(255, round(level * gain + lift)) for gain, lift in (red, green, blue) for level in range(256)]
