"""One picture out of several: figures before plain grounds are cut out and stand in the landscape."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps, ImageStat

if TYPE_CHECKING:
    from collections.abc import Sequence

# How far border pixels of a plain ground may differ, and how far a figure must differ from it.
PLAIN_SPREAD = 14.0
FIGURE_DISTANCE = 26
FIGURE_HEIGHT = 0.8
CARD_HEIGHT = 0.46
INSET_HEIGHT = 0.26
WIDEST_FIGURE = 0.6
WIDEST_PRINT = 0.42
PROBE = 160
# The fill from the border goes pixel by pixel, in Python.
FILL = 80


def merge(pictures: Sequence[Image.Image], size: tuple[int, int]) -> Image.Image:
    """Put the pictures into one of that size: the last that is a scene is the ground of all the others."""
    scene = next((picture for picture in reversed(pictures) if not _is_plain(picture)), None)
    if scene is None:
        image = Image.new("RGB", size, _corner_colour(pictures[-1]))
        light = None
    else:
        image = ImageOps.fit(scene, size, Image.Resampling.BICUBIC)
        light = tuple(round(level) for level in ImageStat.Stat(image).mean)
    others = [picture for picture in pictures if picture is not scene]
    # A figure in a scene stands left of its middle, one by itself in the middle; several share the width.
    places = [0.36 if scene else 0.5]
    if len(others) > 1:
        places = [(number + 0.7) / (len(others) + 0.4) for number in range(len(others))]
    for picture, place in zip(others, places, strict=False):
        if _is_plain(picture):
            _stand(image, _cut_out(picture), place, FIGURE_HEIGHT / len(others) ** 0.25, light)
        else:
            _hang(image, picture, CARD_HEIGHT, place, 0.5)
    return image


def overlay(pictures: Sequence[Image.Image], size: tuple[int, int]) -> Image.Image:
    """Put reference pictures on glass, to lie on every frame: figures stand, scenes hang as small prints."""
    glass = Image.new("RGBA", size, (0, 0, 0, 0))
    for number, picture in enumerate(pictures):
        if _is_plain(picture):
            _stand(glass, _cut_out(picture), 0.8 - 0.24 * number, FIGURE_HEIGHT * 0.7, None)
        else:
            _hang(glass, picture, INSET_HEIGHT, 0.98 - 0.2 * number, 0.2)
    return glass


def _is_plain(picture: Image.Image) -> bool:
    small = picture.resize((PROBE, PROBE), Image.Resampling.BILINEAR)
    inner = Image.new("L", small.size, 255)
    ImageDraw.Draw(inner).rectangle((4, 4, PROBE - 5, PROBE - 5), fill=0)
    return max(ImageStat.Stat(small, inner).stddev) < PLAIN_SPREAD


def _cut_out(picture: Image.Image) -> Image.Image:
    """Make the plain ground transparent and cut to the figure."""
    ground = _corner_colour(picture)
    distance = ImageChops.difference(picture, Image.new("RGB", picture.size, ground))
    red, green, blue = distance.split()
    farthest = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    figure = farthest.point(lambda value: min(255, max(0, (value - FIGURE_DISTANCE // 2) * 12)))
    # Light parts inside the figure belong to it: only what connects to the border is ground.
    small = figure.resize((FILL, FILL), Image.Resampling.BOX).point(lambda value: 255 if value > 40 else 0)  # noqa: PLR2004
    framed = ImageOps.expand(small, 1, 0)
    ImageDraw.floodfill(framed, (0, 0), 128)
    inside = framed.crop((1, 1, FILL + 1, FILL + 1)).point(lambda value: 0 if value == 128 else 255)  # noqa: PLR2004
    inside = inside.filter(ImageFilter.MinFilter(3)).resize(picture.size, Image.Resampling.BILINEAR)
    alpha = ImageChops.lighter(figure, inside.point(lambda value: 255 if value > 250 else 0))  # noqa: PLR2004
    cut = picture.copy()
    cut.putalpha(alpha)
    return cut.crop(alpha.getbbox() or (0, 0, *picture.size))


def _corner_colour(picture: Image.Image) -> tuple[int, int, int]:
    corner = picture.crop((0, 0, max(1, picture.width // 40), max(1, picture.height // 40)))
    red, green, blue = (round(level) for level in ImageStat.Stat(corner).mean)
    return red, green, blue


def _stand(image: Image.Image, figure: Image.Image, place: float, share: float, light: tuple[int, ...] | None) -> None:
    """Stand a figure on the lower edge, with a shadow, in the light of the scene."""
    tall = round(image.height * share)
    wide = round(figure.width * tall / figure.height)
    if wide > image.width * WIDEST_FIGURE:
        wide = round(image.width * WIDEST_FIGURE)
        tall = round(figure.height * wide / figure.width)
    figure = figure.resize((max(1, wide), max(1, tall)), Image.Resampling.LANCZOS)
    left, bottom = round(image.width * place - wide / 2), round(image.height * 0.95)
    thick = tall * 0.05
    shadow = Image.new("L", image.size, 0)
    ImageDraw.Draw(shadow).ellipse(
        (left + wide * 0.08, bottom - thick * 1.2, left + wide * 0.98, bottom + thick * 0.9), fill=130
    )
    _shade(image, shadow.filter(ImageFilter.GaussianBlur(max(1, tall / 60))))
    lit = figure.convert("RGB")
    if light:
        lit = Image.blend(lit, Image.new("RGB", figure.size, light), 0.14)
    lit.putalpha(figure.getchannel("A"))
    _lay(image, lit, (left, bottom - tall))


def _hang(image: Image.Image, picture: Image.Image, share: float, across: float, down: float) -> None:
    """Hang a picture that cannot be cut out as a framed print, wholly inside."""
    tall = round(image.height * share)
    wide = round(min(tall * picture.width / picture.height, image.width * WIDEST_PRINT))
    frame = max(1, tall // 36)
    framed = ImageOps.expand(
        ImageOps.fit(picture, (max(1, wide), max(1, tall)), Image.Resampling.BICUBIC), frame, (250, 249, 245)
    )
    margin = frame * 4
    left = min(max(round(image.width * across - framed.width / 2), margin), image.width - framed.width - margin)
    top = max(round(image.height * down - framed.height / 2), margin)
    shadow = Image.new("L", image.size, 0)
    ImageDraw.Draw(shadow).rectangle(
        (left + frame, top + frame * 2, left + framed.width + frame, top + framed.height + frame * 2), fill=140
    )
    _shade(image, shadow.filter(ImageFilter.GaussianBlur(frame * 1.6)))
    _lay(image, framed.convert("RGBA"), (left, top))


def _shade(image: Image.Image, shadow: Image.Image) -> None:
    dark = Image.new("RGBA", image.size, (24, 18, 30, 255))
    dark.putalpha(shadow)
    _lay(image, dark, (0, 0))


def _lay(image: Image.Image, cut: Image.Image, corner: tuple[int, int]) -> None:
    if image.mode == "RGBA":
        layer = Image.new("RGBA", image.size, (0, 0, 0, 0))
        layer.paste(cut, corner)
        image.alpha_composite(layer)
    else:
        image.paste(cut, corner, cut)
