"""Outlines that a piece may have, as masks: puzzle pieces, clovers, leaves, hearts, shields."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable

from PIL import Image, ImageDraw

_dice = secrets.SystemRandom()
_FINE = 4


def shape(size: int) -> Image.Image:
    """255 inside, 0 outside, soft at the edge: a square mask with a margin of two pixels."""
    mask = Image.new("L", (size * _FINE, size * _FINE))
    _dice.choice(_SHAPES)(ImageDraw.Draw(mask), size * _FINE)
    return mask.reduce(_FINE)


def _piece(pen: ImageDraw.ImageDraw, size: int) -> None:
    """A square with a tab or a notch on each side, as of a puzzle."""
    edge = size * _dice.uniform(0.2, 0.23)
    far = size - edge
    pen.rounded_rectangle((edge, edge, far, far), radius=size * _dice.uniform(0.02, 0.08), fill=255)
    sides = [_dice.choice((-1, 1, 1, 0)) for _ in range(4)]
    if not any(sides):
        sides[_dice.randrange(4)] = 1
    for number, way in enumerate(sides):
        if way:
            _knob(pen, size, edge, number, way)


def _knob(pen: ImageDraw.ImageDraw, size: int, edge: float, number: int, way: int) -> None:
    """Number 0 is up, then clockwise; way 1 is a tab, -1 a notch."""
    round_ = size * _dice.uniform(0.085, 0.105)
    along = size * _dice.uniform(0.42, 0.58)
    out = edge - way * round_ * 0.7
    across = out if number in (0, 3) else size - out
    x, y = (along, across) if number % 2 == 0 else (across, along)
    pen.ellipse((x - round_, y - round_, x + round_, y + round_), fill=255 if way > 0 else 0)


def _clover(pen: ImageDraw.ImageDraw, size: int) -> None:
    """Three to six soft petals, or points where they are many and shallow."""
    petals, depth = _dice.randint(3, 6), _dice.uniform(0.1, 0.2)
    turned, sharp = _dice.random() * math.tau, _dice.choice((1.0, 1.0, 0.6))
    _around(pen, size, lambda angle: 1 - depth + depth * _wave(petals * angle + turned, sharp))


def _pebble(pen: ImageDraw.ImageDraw, size: int) -> None:
    """Round, but never quite."""
    waves = [(turns, _dice.random() * math.tau, 0.2 / turns) for turns in (2, 3, 5)]
    _around(pen, size, lambda angle: 0.8 + sum(s * math.cos(t * angle + a) for t, a, s in waves))


def _heart(pen: ImageDraw.ImageDraw, size: int) -> None:
    lean = _dice.uniform(-0.5, 0.5)
    unit = size * 0.027
    points = []
    for step in range(60):
        angle = math.tau * step / 60
        x = 16 * math.sin(angle) ** 3
        y = (
            -13 * math.cos(angle)
            + 5 * math.cos(2 * angle)
            + 2 * math.cos(3 * angle)
            + math.cos(4 * angle)
        )
        points.append(_turned(size, x * unit, y * unit, lean))
    pen.polygon(points, fill=255)


def _leaf(pen: ImageDraw.ImageDraw, size: int) -> None:
    lean, slim = _dice.random() * math.tau, _dice.uniform(0.6, 0.85)
    points = []
    for step in range(60):
        angle = math.tau * step / 60
        x, y = math.cos(angle), slim * math.sin(angle) * abs(math.sin(angle / 2)) ** 0.7
        points.append(_turned(size, x * size * 0.44, y * size * 0.5, lean))
    pen.polygon(points, fill=255)


_SHAPES: tuple[Callable[[ImageDraw.ImageDraw, int], None], ...] = (
    _piece,
    _piece,
    _piece,
    _clover,
    _pebble,
    _heart,
    _leaf,
)


def _around(pen: ImageDraw.ImageDraw, size: int, radius: Callable[[float], float]) -> None:
    """Fill what lies within this distance, by angle; the farthest touches the margin."""
    angles = [math.tau * step / 72 for step in range(72)]
    reach = [radius(angle) for angle in angles]
    unit = size * (0.5 - 2 / 47) / max(reach)
    pen.polygon(
        [
            (size / 2 + r * unit * math.cos(angle), size / 2 + r * unit * math.sin(angle))
            for angle, r in zip(angles, reach, strict=True)
        ],
        fill=255,
    )


def _turned(size: int, x: float, y: float, angle: float) -> tuple[float, float]:
    sine, cosine = math.sin(angle), math.cos(angle)
    return size / 2 + x * cosine - y * sine, size / 2 + x * sine + y * cosine


def _wave(angle: float, sharp: float) -> float:
    wave = math.cos(angle)
    return math.copysign(abs(wave) ** sharp, wave)
