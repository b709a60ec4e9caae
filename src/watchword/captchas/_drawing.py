"""One jigsaw captcha: a picture with a gap, another gap that is none, and the piece."""

from __future__ import annotations

import os
import secrets
from typing import NamedTuple

from PIL import Image, ImageChops, ImageFilter

from watchword.captchas._pace import let_others_run
from watchword.captchas._png import png
from watchword.captchas._scenes import scene
from watchword.captchas._shapes import shape

WIDTH, HEIGHT, SIDE = 310, 155, 47
LEFTMOST = 100
_RIGHTMOST = WIDTH - SIDE - 1
_APART = SIDE + 6
_MARGIN = 2  # above and below the piece
_PLAIN_TO_SEE = 120
_HEIGHTS, _DECOYS = 6, 5  # how many places are looked at
_LIGHT = 14.0
_CAST = 8.0

_dice = secrets.SystemRandom()

Colour = tuple[int, int, int]


class Drawn(NamedTuple):
    """Two PNGs without any metadata, and how far from the left the gap is."""

    picture: bytes
    piece: bytes
    x: int


class Hardening(NamedTuple):
    """What is done against programs. Each can be left out, to measure what it is good for."""

    decoy: bool = True
    noise: bool = True
    touch: bool = True
    """The piece has another tint, is a little soft, and light falls on its edges."""


def draw(hardening: Hardening = Hardening()) -> Drawn:  # noqa: B008 - it is frozen
    """Takes a few milliseconds."""
    original, mask = scene(WIDTH, HEIGHT), shape(SIDE)
    x, decoy, y = _places(original)
    let_others_run()
    edge = _Edge.any() if hardening.touch else _Edge(1.0, 0.0)
    cut = _cut(original, x, y)
    piece = _strip(_touched(cut, mask) if hardening.touch else cut, mask, y)
    picture = original.copy()
    for left in (x, decoy) if hardening.decoy else (x,):
        under = _cut(original, left, y)
        filling = _noise(original) if hardening.noise else _dimmed(under)
        picture.paste(_sunk(under, filling, mask, edge), (left, y))
        let_others_run()
    return Drawn(png(picture), png(piece), x)


class _Edge(NamedTuple):
    """How strong the line and the shadow around a gap are."""

    line: float
    shadow: float

    @classmethod
    def any(cls) -> _Edge:
        return cls(_dice.uniform(0.3, 0.8), _dice.uniform(0.2, 0.5))


def _places(original: Image.Image) -> tuple[int, int, int]:
    """How far from the left the gap and the decoy are, and how far from the top both.

    A person tells the two apart by what is around them, and a program can as well: the more
    easily, the more they differ. So of a few places the one is taken that is just plain to see.
    """
    x = _dice.randint(LEFTMOST, _RIGHTMOST)
    elsewhere = [left for left in range(LEFTMOST, _RIGHTMOST + 1) if abs(left - x) >= _APART]
    best = (0, 0, 0)
    for y in _dice.sample(range(_MARGIN, HEIGHT - SIDE - _MARGIN), _HEIGHTS):
        wanted = _cut(original, x, y)
        tried = [
            (_difference(wanted, _cut(original, left, y)), left, y)
            for left in _dice.sample(elsewhere, _DECOYS)
        ]
        best = max(best, *tried)
        if best[0] >= _PLAIN_TO_SEE:
            best = min(one for one in tried if one[0] >= _PLAIN_TO_SEE)
            break
    _, decoy, y = best
    return x, decoy, y


def _cut(original: Image.Image, x: int, y: int) -> Image.Image:
    return original.crop((x, y, x + SIDE, y + SIDE))


def _difference(one: Image.Image, other: Image.Image) -> int:
    """What pixels differ by in all channels, on the whole, small details left out."""
    pixel = ImageChops.difference(one.reduce(4), other.reduce(4)).reduce(12).getpixel((0, 0))
    return sum(_colour(pixel))


def _noise(original: Image.Image) -> Image.Image:
    """Clouds in colours of this picture, from anywhere in it: nothing of what was here."""
    colours = [bytes(_somewhere(original)) for _ in range(5)]
    coarse = Image.frombytes("RGB", (5, 5), b"".join(_dice.choices(colours, k=25)))
    fine = Image.frombytes("L", (16, 16), os.urandom(16 * 16)).convert("RGB")
    size = (SIDE, SIDE)
    return Image.blend(
        coarse.resize(size, Image.Resampling.BICUBIC),
        fine.resize(size, Image.Resampling.BICUBIC),
        0.22,
    )


def _somewhere(original: Image.Image) -> Colour:
    return _colour(original.getpixel((_dice.randrange(WIDTH), _dice.randrange(HEIGHT))))


def _colour(pixel: float | tuple[int, ...] | None) -> Colour:
    assert isinstance(pixel, tuple)  # noqa: S101 - the picture is RGB
    red, green, blue = pixel
    return red, green, blue


def _dimmed(under: Image.Image) -> Image.Image:
    return Image.blend(under, Image.new("RGB", under.size), 0.4)


def _sunk(under: Image.Image, filling: Image.Image, mask: Image.Image, edge: _Edge) -> Image.Image:
    """The filling, set into what is around it, with a shadow along its upper left."""
    sunk = Image.composite(filling, under, mask)
    soft = mask.filter(ImageFilter.GaussianBlur(2))
    inner = ImageChops.multiply(ImageChops.subtract(mask, ImageChops.offset(soft, 2, 3)), mask)
    sunk.paste((0, 0, 0), (0, 0), _faint(inner, edge.shadow))
    sunk.paste((255, 255, 255), (0, 0), _faint(_line(mask), edge.line))
    return sunk


def _touched(cut: Image.Image, mask: Image.Image) -> Image.Image:
    """Another tint, a little softer, and light from the upper left on its edge."""
    touched = cut.filter(ImageFilter.GaussianBlur(_dice.uniform(0.3, 0.7))).convert("RGB", _tint())
    around = mask.filter(ImageFilter.GaussianBlur(1.5))
    lit = ImageChops.subtract(mask, ImageChops.offset(around, 2, 2))
    shaded = ImageChops.subtract(mask, ImageChops.offset(around, -2, -2))
    touched.paste((255, 255, 255), (0, 0), _faint(lit, 0.7))
    touched.paste((0, 0, 0), (0, 0), _faint(shaded, 0.5))
    return touched


def _tint() -> tuple[float, ...]:
    """A matrix for `convert`: lighter or darker on the whole, and each channel in its own way."""
    light = _dice.uniform(-_LIGHT, _LIGHT)
    gains = [_dice.uniform(0.85, 1.05) for _ in range(3)]
    lifts = [light + 128 * (1 - gain) + _dice.uniform(-_CAST, _CAST) for gain in gains]
    red, green, blue = zip(gains, lifts, strict=True)
    return (red[0], 0, 0, red[1], 0, green[0], 0, green[1], 0, 0, blue[0], blue[1])


def _strip(piece: Image.Image, mask: Image.Image, y: int) -> Image.Image:
    """As high as the picture, clear but for the piece and its fine outline."""
    outlined = piece.copy()
    outlined.paste((255, 255, 255), (0, 0), _faint(_line(mask), 0.5))
    # What cannot be seen is not there either: it would tell what is around the gap.
    shown = Image.new("RGB", mask.size)
    shown.paste(outlined, (0, 0), mask.point(_ANY))
    shown.putalpha(mask)
    strip = Image.new("RGBA", (SIDE, HEIGHT))
    strip.paste(shown, (0, y))
    return strip


def _line(mask: Image.Image) -> Image.Image:
    """Where a mask is half there: its outline."""
    return mask.filter(ImageFilter.BoxBlur(0.7)).point(_HALF)


def _faint(mask: Image.Image, share: float) -> Image.Image:
    return Image.blend(Image.new("L", mask.size), mask, share)


_ANY = [0] + [255] * 255
_HALF = [min(255, 4 * level * (255 - level) // 255) for level in range(256)]
