"""One picture of a whole run: what went in, the image made of it, the video, and its edit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont, ImageOps

from demo.media import open_image, sample_frames

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

COLUMNS = 4
MARGIN = 48
GAP = 16
CELL = (344, 194)
HERO = (2 * CELL[0] + GAP, 396)  # 16:9 as well
WIDTH = 2 * MARGIN + COLUMNS * CELL[0] + (COLUMNS - 1) * GAP
HEADER = 104
HEADING = 60
FOOTER = 64

PAPER = (17, 20, 27)
INK = (240, 243, 248)
FAINT = (142, 152, 168)
ACCENTS = ((245, 196, 84), (104, 196, 255), (255, 138, 101))
SMOOTHING = 4

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Scene:
    """A step's file with what is written above it."""

    title: str
    details: Sequence[str]
    file: Path


@dataclass(frozen=True)
class Storyboard:
    """All that the picture shows."""

    title: str
    subtitle: str
    figure: Path
    place: Path
    image: Scene
    video: Scene
    edit: Scene
    footer: str

    def draw(self) -> Image.Image:
        """Draw the contact sheet."""
        rows = (HEADING + HERO[1], HEADING + CELL[1], HEADING + CELL[1])
        sheet = _Sheet(HEADER + sum(rows) + FOOTER)
        sheet.text((MARGIN, 34), self.title, 34, INK)
        sheet.text((WIDTH - MARGIN, 48), self.subtitle, 18, FAINT, anchor="ra")

        top = HEADER
        sheet.heading(top, self.image, ACCENTS[0])
        below = top + HEADING
        tall = (CELL[0], HERO[1])
        sheet.picture((_column(0), below), tall, open_image(self.figure), label="figure")
        sheet.picture((_column(1), below), tall, open_image(self.place), label="place")
        sheet.picture((_column(2), below), HERO, open_image(self.image.file), border=ACCENTS[0])
        middle = below + HERO[1] // 2
        sheet.plus((_column(1) - GAP // 2, middle))
        sheet.arrow((_column(2) - GAP // 2, middle))

        for scene, accent, height in zip((self.video, self.edit), ACCENTS[1:], rows, strict=False):
            top += height
            sheet.heading(top, scene, accent)
            for index, (seconds, frame) in enumerate(sample_frames(scene.file, COLUMNS)):
                sheet.picture((_column(index), top + HEADING), CELL, frame, label=f"{seconds:.1f} s", border=accent)

        sheet.text((MARGIN, sheet.image.height - 24), self.footer, 18, FAINT, anchor="ls")
        return sheet.image


class _Sheet:
    """A dark page and the few things that are drawn on it."""

    def __init__(self, height: int) -> None:
        self.image = Image.new("RGB", (WIDTH, height), PAPER)
        self._draw = ImageDraw.Draw(self.image)

    def text(self, at: tuple[float, float], text: str, size: int, colour: Colour, *, anchor: str = "la") -> float:
        """Write a line and return where it ends."""
        font = ImageFont.load_default(size)
        self._draw.text(at, text, colour, font=font, anchor=anchor)
        return at[0] + self._draw.textlength(text, font=font)

    def heading(self, top: int, scene: Scene, accent: Colour) -> None:
        """Name a step above its pictures."""
        baseline = top + HEADING - 18
        end = self.text((MARGIN, baseline), scene.title, 24, accent, anchor="ls")
        for detail in scene.details:
            end = self.text((end + 18, baseline), detail, 18, FAINT, anchor="ls")

    def picture(
        self,
        at: tuple[int, int],
        size: tuple[int, int],
        picture: Image.Image,
        *,
        label: str = "",
        border: Colour | None = None,
    ) -> None:
        """Show a picture cut to size, with round corners, and a label inside of it."""
        fitted = ImageOps.fit(picture, size, Image.Resampling.LANCZOS)
        if border:
            self.image.paste(border, (at[0], at[1]), _rounded(size, 12))
            inner = (size[0] - 4, size[1] - 4)
            self.image.paste(fitted.crop((2, 2, size[0] - 2, size[1] - 2)), (at[0] + 2, at[1] + 2), _rounded(inner, 10))
        else:
            self.image.paste(fitted, at, _rounded(size, 12))
        if label:
            width = round(self._draw.textlength(label, font=ImageFont.load_default(15))) + 20
            pill = (width, 26)
            left, top = at[0] + 10, at[1] + 10
            self.image.paste(PAPER, (left, top), _rounded(pill, 13))
            self.text((left + width / 2, top + 13), label, 15, INK, anchor="mm")

    def plus(self, centre: tuple[int, int]) -> None:
        """Join two pictures."""
        x, y = self._disc(centre)
        self._draw.line((x - 8, y, x + 8, y), INK, 3)
        self._draw.line((x, y - 8, x, y + 8), INK, 3)

    def arrow(self, centre: tuple[int, int]) -> None:
        """Lead from what went in to what came out."""
        x, y = self._disc(centre)
        self._draw.line((x - 9, y, x + 6, y), INK, 3)
        self._draw.polygon(((x + 10, y), (x + 2, y - 7), (x + 2, y + 7)), INK)

    def _disc(self, centre: tuple[int, int]) -> tuple[int, int]:
        size = (44, 44)
        self.image.paste(PAPER, (centre[0] - 22, centre[1] - 22), _rounded(size, 22))
        return centre


def _column(index: int) -> int:
    return MARGIN + index * (CELL[0] + GAP)


def _rounded(size: tuple[int, int], radius: int) -> Image.Image:
    """Make a mask with round corners, drawn large and made small so that its edges are smooth."""
    large = (size[0] * SMOOTHING, size[1] * SMOOTHING)
    mask = Image.new("L", large, 0)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, large[0] - 1, large[1] - 1), radius * SMOOTHING, fill=255)
    return mask.resize(size, Image.Resampling.LANCZOS)
