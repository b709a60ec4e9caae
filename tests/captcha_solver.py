"""Solves the jigsaw as an attacker would: from picture and piece alone, in hundredths of a second.

The piece tells height and outline of the gap. Where that outline is a line in the picture there is
a gap; of several gaps it is the one where the piece goes on where the picture leaves off.
"""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Numbers = NDArray[np.float64]
Mask = NDArray[np.bool_]

_LEFTMOST = 100  # AJ-Captcha never has a gap further left
_REACH = 6
_STIFFNESS = 2000.0
_LIFT = 8.0
_APART = 20
_GAPS = 3


def solve(picture: str, piece: str) -> float:
    """How far from the left the gap is; both images are base64 of a PNG."""
    scene, strip = _pixels(picture)[..., :3], _pixels(piece)
    outline = _Outline(strip[..., 3] > 128)
    places = np.arange(_LEFTMOST, scene.shape[1] - strip.shape[1])
    lines = _line(scene, outline, places)
    gaps = _peaks(lines, _GAPS)
    likely = {
        gap: 4 * lines[gap] / lines.max()
        + 6 * _fit(scene, strip[..., :3], outline, places[gap])
        + _alike(scene, strip[..., :3], outline, places[gap])
        for gap in gaps
    }
    return float(places[max(gaps, key=lambda gap: likely[gap])])


class _Outline:
    """The piece's pixels by how deep they lie: 0 at its edge, less inside, more outside."""

    def __init__(self, mask: Mask) -> None:
        self.depth = _depth(mask)
        self.out = _outwards(mask)

    def at(self, *depths: int) -> NDArray[Any]:
        return np.argwhere(np.isin(self.depth, depths))

    def inside(self, depth: int) -> NDArray[Any]:
        return np.argwhere(self.depth <= -depth)

    def across(self, inner: float, outer: float) -> tuple[Numbers, Numbers]:
        """Pairs of points on either side of the edge."""
        edge = self.at(0)
        out = self.out[edge[:, 0], edge[:, 1]]
        return edge - inner * out, edge + outer * out


def _line(scene: Numbers, outline: _Outline, places: NDArray[Any]) -> Numbers:
    """How much steeper the picture is on the edge than beside it."""
    steep = _steepness(scene)
    beside = _along(steep, outline.at(-4, -3, 3, 4), places).mean(axis=1)
    return _along(steep, outline.at(-1, 0, 1), places).mean(axis=1) - beside


def _alike(scene: Numbers, piece: Numbers, outline: _Outline, place: int) -> float:
    """Much where it correlates with the piece what is there, as where a gap is but dimmed."""
    where = outline.inside(4)
    shown = scene[where[:, 0], where[:, 1] + place].mean(axis=1)
    wanted = piece[where[:, 0], where[:, 1]].mean(axis=1)
    return float(4 * max(0.0, (_normal(shown) * _normal(wanted)).mean()) ** 4)


def _fit(scene: Numbers, piece: Numbers, outline: _Outline, place: int) -> float:
    """How little the piece's rim differs, at the likeliest tint, from what is around the place.

    Logarithms, for a few points that differ much say little: lines begin and end somewhere.
    """
    inner, outer = outline.across(4, 3)
    rim = _at(piece, inner)
    arounds = [_at(scene, outer + np.array([0, place + shift])) for shift in (-1, 0, 1)]
    differences = (np.abs(_tinted(rim, each) - each).sum(axis=1) for each in arounds)
    return -min(float(np.log(each + 8).mean()) for each in differences)


def _tinted(rim: Numbers, around: Numbers) -> Numbers:
    """The rim, each channel with the gain and lift that fit best, both kept small."""
    middle, spread = rim.mean(axis=0), rim - rim.mean(axis=0)
    likely = _STIFFNESS * len(rim)
    gain = ((spread * around).sum(axis=0) + likely) / ((spread**2).sum(axis=0) + likely)
    lift = np.clip(around.mean(axis=0) - middle, -_LIFT, _LIFT)
    return middle + lift + gain * spread


def _pixels(content: str) -> Numbers:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))), dtype=np.float64)


def _peaks(values: Numbers, many: int) -> list[int]:
    """Where they are highest, well apart."""
    left, found = values.copy(), []
    for _ in range(many):
        peak = int(np.argmax(left))
        left[max(0, peak - _APART) : peak + _APART + 1] = -np.inf
        found.append(peak)
    return found


def _along(values: Numbers, where: NDArray[Any], places: NDArray[Any]) -> Numbers:
    """The values at these pixels of the mask, for every place it can be at."""
    rows = np.clip(where[:, 0], 0, values.shape[0] - 1)
    columns = np.clip(where[:, 1] + places[:, None], 0, values.shape[1] - 1)
    return values[rows, columns]


def _at(values: Numbers, points: Numbers) -> Numbers:
    return _along(values, np.rint(points).astype(int), np.zeros(1, dtype=int))[0]


def _normal(values: Numbers) -> Numbers:
    apart = values - values.mean(axis=-1, keepdims=True)
    return apart / (apart.std(axis=-1, keepdims=True) + 1e-9)


def _steepness(scene: Numbers) -> Numbers:
    down, right = np.gradient(scene, axis=(0, 1))
    return np.sqrt((down**2 + right**2).sum(axis=2))


def _smooth(values: Numbers) -> Numbers:
    """The mean of five by five."""
    total = np.zeros_like(values)
    for down in range(-2, 3):
        for right in range(-2, 3):
            total += np.roll(values, (down, right), axis=(0, 1))
    return total / 25


def _depth(mask: Mask) -> NDArray[Any]:
    """Steps to the edge, as if every step could go eight ways."""
    depth = np.zeros(mask.shape, dtype=int)
    grown, shrunk = mask, mask
    for step in range(1, _REACH + 1):
        depth -= shrunk & (step > 1)
        depth += ~grown
        grown, shrunk = _grown(grown), ~_grown(~shrunk)
    return depth


def _grown(mask: Mask) -> Mask:
    padded = np.pad(mask, 1, mode="edge")
    height, width = mask.shape
    return np.logical_or.reduce(
        [padded[y : y + height, x : x + width] for y in range(3) for x in range(3)]
    )


def _outwards(mask: Mask) -> Numbers:
    """Unit vectors from inside to outside."""
    soft = _smooth(_smooth(mask[..., None].astype(np.float64)))[..., 0]
    down, right = np.gradient(soft)
    out = -np.stack([down, right], axis=-1)
    return out / (np.linalg.norm(out, axis=-1, keepdims=True) + 1e-9)
