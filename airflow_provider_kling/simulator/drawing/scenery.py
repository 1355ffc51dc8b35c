"""What the simulator paints without being shown anything: two sample pictures and a landscape for a prompt."""

from __future__ import annotations

import hashlib
import math
import random
from itertools import pairwise

from PIL import Image, ImageDraw, ImageFilter, ImageOps

Colour = tuple[int, int, int]

SAMPLE_SIZE = (1280, 720)
# Drawn larger and scaled down: Pillow's shapes have no smooth edges of their own.
OVERSAMPLING = 2

PALETTES: tuple[tuple[Colour, Colour, Colour, Colour], ...] = (
    ((43, 45, 91), (222, 110, 122), (255, 214, 150), (38, 33, 64)),
    ((24, 66, 110), (122, 184, 214), (246, 236, 208), (22, 58, 74)),
    ((30, 74, 80), (140, 196, 160), (250, 232, 180), (20, 52, 54)),
    ((66, 34, 90), (190, 96, 168), (255, 196, 168), (44, 24, 66)),
    ((20, 28, 66), (70, 96, 160), (190, 206, 226), (14, 22, 44)),
)


def robot() -> Image.Image:
    """Paint a toy robot on a plain ground, to be put into other pictures."""
    scale = OVERSAMPLING
    image = Image.new("RGB", (SAMPLE_SIZE[0] * scale, SAMPLE_SIZE[1] * scale), (233, 238, 243))
    draw = ImageDraw.Draw(image)

    def box(left: int, top: int, right: int, bottom: int, radius: int, fill: Colour) -> None:
        draw.rounded_rectangle((left * scale, top * scale, right * scale, bottom * scale), radius * scale, fill=fill)

    def dot(x: int, y: int, radius: int, fill: Colour) -> None:
        draw.ellipse(
            ((x - radius) * scale, (y - radius) * scale, (x + radius) * scale, (y + radius) * scale), fill=fill
        )

    teal, dark, light, steel = (38, 150, 158), (24, 102, 114), (94, 200, 200), (92, 106, 124)
    red, cream, ink, amber = (236, 92, 78), (250, 246, 234), (30, 40, 58), (255, 190, 92)
    box(634, 58, 646, 112, 4, steel)
    dot(640, 52, 18, red)
    dot(634, 46, 5, (255, 170, 160))
    for left, right in ((452, 478), (802, 828)):
        box(left, 168, right, 248, 12, steel)
    box(474, 104, 806, 308, 54, teal)
    box(474, 104, 806, 180, 54, light)
    box(474, 140, 806, 308, 54, teal)
    box(508, 140, 772, 276, 38, ink)
    for x in (584, 696):
        dot(x, 196, 27, cream)
        dot(x + 4, 200, 14, teal)
        dot(x + 9, 194, 5, cream)
    draw.arc((598 * scale, 206 * scale, 682 * scale, 258 * scale), 20, 160, fill=cream, width=7 * scale)
    for x in (534, 746):
        dot(x, 240, 10, red)
    box(596, 304, 684, 330, 6, steel)
    # The left arm hangs, the right one waves.
    box(396, 350, 444, 500, 24, dark)
    dot(420, 512, 32, steel)
    draw.line(
        [(836 * scale, 372 * scale), (906 * scale, 318 * scale), (922 * scale, 236 * scale)],
        fill=dark,
        width=46 * scale,
        joint="curve",
    )
    dot(922, 226, 34, steel)
    dot(836, 372, 24, dark)
    box(436, 326, 844, 570, 46, teal)
    box(436, 470, 844, 570, 46, dark)
    box(436, 470, 844, 524, 0, dark)
    box(500, 364, 780, 500, 24, cream)
    for x, fill in ((544, red), (590, amber), (636, light)):
        dot(x, 402, 15, fill)
    box(530, 438, 650, 452, 7, steel)
    box(530, 464, 620, 478, 7, steel)
    dot(718, 432, 42, steel)
    dot(718, 432, 32, cream)
    draw.line([(718 * scale, 432 * scale), (736 * scale, 412 * scale)], fill=red, width=6 * scale)
    for left in (508, 680):
        box(left, 566, left + 92, 628, 10, steel)
        box(left - 18, 616, left + 110, 668, 24, ink)
    return image.resize(SAMPLE_SIZE, Image.Resampling.LANCZOS)


def beach() -> Image.Image:
    """Paint a beach at sunset, for things to be put into."""
    width, height = SAMPLE_SIZE[0] * OVERSAMPLING, SAMPLE_SIZE[1] * OVERSAMPLING
    horizon, shore = round(height * 0.52), round(height * 0.74)
    image = gradient((width, height), ((52, 48, 108), (226, 104, 116), (255, 200, 128)), stop=horizon)
    sun = (round(width * 0.68), round(horizon * 0.86))
    glow(image, sun, round(width * 0.34), (255, 224, 150))
    draw = ImageDraw.Draw(image)
    _disc(draw, sun, round(height * 0.11), (255, 240, 196))
    chance = random.Random(7)  # noqa: S311  the same clouds every time
    for top, reach in ((0.16, 0.2), (0.26, 0.28), (0.36, 0.16)):
        left = chance.uniform(0.02, 0.6) * width
        _cloud(image, (round(left), round(top * height)), round(reach * width))
    sea = gradient((width, shore + height // 12 - horizon), ((240, 150, 124), (70, 98, 150), (28, 86, 122)))
    image.paste(sea, (0, horizon))
    draw = ImageDraw.Draw(image)
    for step in range(26):
        y = horizon + round((step / 26) ** 1.4 * (shore - horizon)) + 4
        half = round(width * (0.03 + 0.05 * step / 26) * chance.uniform(0.35, 1.2))
        draw.rounded_rectangle((sun[0] - half, y, sun[0] + half, y + 2 + step // 5), 4, fill=(255, 226, 166))
    _band(image, shore - 18, 26, 1.0, (246, 240, 226))
    _band(image, shore, 26, 1.0, (196, 158, 118))
    _band(image, shore + 34, 24, 1.2, (232, 198, 150))
    draw = ImageDraw.Draw(image)
    for _ in range(420):
        x, y = chance.randrange(width), shore + 100 + chance.randrange(max(1, height - shore - 100))
        draw.ellipse((x, y, x + 5, y + 3), fill=(212, 176, 128))
    _palm(draw, (round(width * 0.9), round(height * 0.86)), round(height * 0.62))
    for across, down in ((0.53, 0.21), (0.575, 0.175), (0.62, 0.225)):
        _bird(draw, (round(across * width), round(down * height)), 30)
    return image.resize(SAMPLE_SIZE, Image.Resampling.LANCZOS)


def imagined(prompt: str, size: tuple[int, int]) -> Image.Image:
    """Paint a landscape that is the same for the same prompt and another for another."""
    chance = random.Random(hashlib.sha256(prompt.encode()).digest())  # noqa: S311  a picture, not a secret
    top, middle, low, ground = chance.choice(PALETTES)
    width, height = size[0] * OVERSAMPLING, size[1] * OVERSAMPLING
    image = gradient((width, height), (top, middle, low), stop=round(height * 0.72))
    sun = (round(width * chance.uniform(0.2, 0.8)), round(height * chance.uniform(0.24, 0.5)))
    glow(image, sun, round(max(width, height) * 0.4), low)
    draw = ImageDraw.Draw(image)
    _disc(draw, sun, round(min(width, height) * chance.uniform(0.07, 0.12)), _mix(low, (255, 255, 255), 0.6))
    layers = 5
    for layer in range(layers):
        share = (layer + 1) / layers
        base = round(height * (0.5 + 0.42 * share - 0.06))
        colour = _mix(_mix(middle, low, 0.35), ground, 0.25 + 0.75 * share)
        _band(image, base, round(height * (0.1 - 0.05 * share)), chance.uniform(1.2, 3.4), colour, chance.random() * 9)
    return image.resize(size, Image.Resampling.LANCZOS)


def gradient(size: tuple[int, int], colours: tuple[Colour, Colour, Colour], stop: int | None = None) -> Image.Image:
    """Fill from top to bottom through three colours; below `stop` the last one goes on."""
    ramp = Image.linear_gradient("L").resize((1, stop or size[1]), Image.Resampling.BILINEAR)
    column = Image.new("L", (1, size[1]), 255)
    column.paste(ramp, (0, 0))
    return ImageOps.colorize(column, colours[0], colours[2], mid=colours[1]).resize(size)


def glow(image: Image.Image, centre: tuple[int, int], radius: int, colour: Colour) -> None:
    """Lay a soft light around a point."""
    # The gradient has 181 of its 255 levels within the circle; the power lets it end without an edge.
    light = Image.radial_gradient("L").point(lambda value: 225 * max(0.0, 1 - value / 181) ** 1.7)
    light = light.resize((radius * 2, radius * 2), Image.Resampling.BILINEAR)
    image.paste(colour, (centre[0] - radius, centre[1] - radius), light)


def _mix(one: Colour, other: Colour, share: float) -> Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def _disc(draw: ImageDraw.ImageDraw, centre: tuple[int, int], radius: int, colour: Colour) -> None:
    x, y = centre
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)


def _band(image: Image.Image, top: int, swing: int, waves: float, colour: Colour, phase: float = 0.6) -> None:
    """Fill everything below a wavy line."""
    width, height = image.size
    edge = [
        (
            x,
            top
            + swing * math.sin(phase + waves * math.tau * x / width)
            + swing * 0.4 * math.sin(phase * 3 + waves * 2.3 * math.tau * x / width),
        )
        for x in range(0, width + 9, 8)
    ]
    ImageDraw.Draw(image).polygon([(0, height), *edge, (width, height)], fill=colour)


def _cloud(image: Image.Image, corner: tuple[int, int], reach: int) -> None:
    mask = Image.new("L", (reach, reach // 5), 0)
    draw = ImageDraw.Draw(mask)
    for share, lift, thick in ((0.5, 0.55, 0.3), (0.32, 0.7, 0.2), (0.7, 0.72, 0.22)):
        half = reach * 0.28
        x, y = reach * share, mask.height * lift
        draw.ellipse((x - half, y - mask.height * thick, x + half, y + mask.height * thick), fill=120)
    image.paste((255, 196, 170), corner, mask.filter(ImageFilter.GaussianBlur(reach / 60)))


def _palm(draw: ImageDraw.ImageDraw, foot: tuple[int, int], tall: int) -> None:
    dark = (38, 30, 50)
    trunk = [
        (foot[0] - 0.16 * tall * (share**1.6), foot[1] - tall * share) for share in (step / 20 for step in range(21))
    ]
    mound = tall * 0.1
    draw.ellipse((foot[0] - mound, foot[1] - mound * 0.3, foot[0] + mound, foot[1] + mound * 0.3), fill=(190, 152, 110))
    for number, ((x, y), (x2, y2)) in enumerate(pairwise(trunk)):
        draw.line([(x, y), (x2, y2 - 3)], fill=dark, width=round(tall * (0.045 - 0.0012 * number)))
    crown_x, crown_y = trunk[-1]
    for degrees in (-172, -146, -112, -72, -40, -12, 10, 168):
        angle = math.radians(degrees)
        reach = tall * 0.42
        tip = (crown_x + reach * math.cos(angle), crown_y + reach * 0.55 * math.sin(angle) + reach * 0.34)
        bend = (crown_x + reach * 0.55 * math.cos(angle), crown_y + reach * 0.75 * math.sin(angle))
        upper, lower = (
            _curve((crown_x, crown_y), bend, tip),
            _curve((crown_x, crown_y), (bend[0], bend[1] + reach * 0.2), tip),
        )
        draw.polygon([*upper, *reversed(lower)], fill=dark)


def _curve(
    start: tuple[float, float], bend: tuple[float, float], end: tuple[float, float]
) -> list[tuple[float, float]]:
    points = []
    for step in range(17):
        t = step / 16
        points.append(
            (
                (1 - t) ** 2 * start[0] + 2 * t * (1 - t) * bend[0] + t**2 * end[0],
                (1 - t) ** 2 * start[1] + 2 * t * (1 - t) * bend[1] + t**2 * end[1],
            )
        )
    return points


def _bird(draw: ImageDraw.ImageDraw, centre: tuple[int, int], span: int) -> None:
    x, y = centre
    for side in (-1, 1):
        wing = _curve((x, y), (x + side * span * 0.5, y - span * 0.6), (x + side * span, y - span * 0.1))
        draw.line(wing, fill=(60, 44, 74), width=5, joint="curve")
