"""The band below every picture: which model, which prompt, made from what.

The band's share of the height is noted in the file, so that a picture or film that comes in again as an input
is cut to what it shows and captions do not pile up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont, ImageOps

if TYPE_CHECKING:
    from collections.abc import Sequence

EXIF_DESCRIPTION = 0x010E
MARK = "segmind-simulator caption "
INK = (20, 22, 34)
ACCENT = (255, 190, 92)
PAPER = (240, 241, 246)
FAINT = (140, 146, 168)
SHARE_OF_SHORT_SIDE = 0.19
SMALLEST_FONT = 5
LARGEST_SHARE = 0.5

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def band_height(size: tuple[int, int]) -> int:
    """Say how many of the lowest rows the caption takes; even, for the film's colour planes."""
    return max(2, round(min(size) * SHARE_OF_SHORT_SIDE / 2) * 2)


def mark(size: tuple[int, int]) -> str:
    """Give the note that goes into the file."""
    return f"{MARK}{band_height(size) / size[1]:.6f}"


def picture_height(note: str | None, height: int) -> int:
    """Read the note back: how many rows are picture. All of them, where the note is not ours."""
    try:
        share = float((note or "").removeprefix(MARK)) if (note or "").startswith(MARK) else 0.0
    except ValueError:
        return height
    return height - round(height * share) if 0 < share < LARGEST_SHARE else height


def without_caption(picture: Image.Image) -> Image.Image:
    """Cut the caption off a picture of ours; any other picture stays as it is."""
    height = picture_height(picture.getexif().get(EXIF_DESCRIPTION), picture.height)
    return picture if height == picture.height else picture.crop((0, 0, picture.width, height))


def draw_band(
    size: tuple[int, int], title: str, prompt: str, thumbnails: Sequence[tuple[str, Image.Image]]
) -> Image.Image:
    """Draw the band of a picture of that size."""
    width, height = size[0], band_height(size)
    band = Image.new("RGB", (width, height), INK)
    draw = ImageDraw.Draw(band)
    draw.rectangle((0, 0, width, max(0, height // 48 - 1)), fill=ACCENT)
    pad = round(height * 0.15)
    right = _thumbnails(band, thumbnails, pad)
    heading = _font(height * 0.15)
    draw.text((pad, pad), title, font=heading, fill=ACCENT)
    note_at = pad + draw.textlength(title, font=heading) + pad
    if note_at + draw.textlength("simulated", font=heading) < right:
        draw.text((note_at, pad), "simulated", font=heading, fill=FAINT)
    font, lines = _wrapped(draw, prompt, right - 2 * pad, height)
    top = pad + height * 0.22
    for number, line in enumerate(lines):
        draw.text((pad, top + number * _size(font) * 1.22), line, font=font, fill=PAPER)
    return band


def _thumbnails(band: Image.Image, thumbnails: Sequence[tuple[str, Image.Image]], pad: int) -> int:
    """Put the inputs at the right end, the first leftmost; gives where they begin."""
    draw = ImageDraw.Draw(band)
    font = _font(band.height * 0.115)
    side = round(band.height * 0.56)
    right = band.width - pad
    # More than a few would leave the prompt no room; the first ones tell the story.
    room = max(1, int(band.width * 0.42) // (round(side * 1.35) + pad))
    for label, image in reversed(thumbnails[:room]):
        wide = round(side * min(max(image.width / image.height, 0.75), 1.6))
        small = ImageOps.fit(image, (wide, side), Image.Resampling.BICUBIC)
        label_width = round(draw.textlength(label, font=font))
        left = right - max(wide, label_width)
        band.paste(small, (left + (right - left - wide) // 2, pad), _rounded((wide, side), side // 8))
        draw.text(
            (left + (right - left - label_width) // 2, pad + side + band.height * 0.04), label, font=font, fill=FAINT
        )
        right = left - pad
    return right


def _wrapped(draw: ImageDraw.ImageDraw, text: str, width: float, height: int) -> tuple[Font, list[str]]:
    """Set the prompt in two large lines if it fits, else in three smaller ones with the rest cut."""
    text = " ".join(text.split())
    for share, most in ((0.2, 2), (0.15, 3)):
        font = _font(height * share)
        lines = _lines(draw, text, font, width)
        if len(lines) <= most:
            return font, lines
    last = lines[most - 1]
    while last and draw.textlength(last + "…", font=font) > width:
        last = last[:-1]
    return font, [*lines[: most - 1], last.rstrip() + "…"]


def _lines(draw: ImageDraw.ImageDraw, text: str, font: Font, width: float) -> list[str]:
    lines: list[str] = []
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and draw.textlength(longer, font=font) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _font(size: float) -> Font:
    return ImageFont.load_default(max(SMALLEST_FONT, size))


def _size(font: Font) -> float:
    return font.size if isinstance(font, ImageFont.FreeTypeFont) else SMALLEST_FONT


def _rounded(size: tuple[int, int], radius: int) -> Image.Image:
    mask = Image.new("L", (size[0] * 2, size[1] * 2), 0)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, *mask.size), radius * 2, fill=255)
    return mask.resize(size, Image.Resampling.BICUBIC)
