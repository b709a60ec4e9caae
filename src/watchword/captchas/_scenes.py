"""Little pictures to look at, each drawn anew: hills, balloons, a town at night, paper, meadows.

None is ever repeated: two captchas of the same picture would give both gaps away.
"""

from __future__ import annotations

import colorsys
import math
import secrets
from collections.abc import Callable, Sequence

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from watchword.captchas._pace import let_others_run

Colour = tuple[int, int, int]
Canvas = Image.Image
Paint = Callable[[int, int], Canvas]

_dice = secrets.SystemRandom()
_FINE = 2


def scene(width: int, height: int) -> Canvas:
    """An RGB picture of this size."""
    return _dice.choice(_SCENES)(width, height)


def _smooth(paint: Paint) -> Paint:
    """Painted larger and reduced, so that no edge is jagged."""
    return lambda width, height: paint(width * _FINE, height * _FINE).reduce(_FINE)


def blend(one: Colour, other: Colour, share: float) -> Colour:
    """`share` 0 is the one, 1 is the other."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def tone(hue: float, saturation: float, lightness: float) -> Colour:
    """A colour by hue (in turns), saturation and lightness (0 to 1)."""
    lightness = min(max(lightness, 0.0), 1.0)
    red, green, blue = colorsys.hls_to_rgb(hue % 1, lightness, min(max(saturation, 0.0), 1.0))
    return round(red * 255), round(green * 255), round(blue * 255)


def field(colours: Sequence[Colour], columns: int, width: int, height: int) -> Canvas:
    """A grid of colours, rows of `columns`, run into each other."""
    grid = Image.frombytes("RGB", (columns, len(colours) // columns), b"".join(map(bytes, colours)))
    # What is soft need not be fine, and smoothing is what takes long.
    across = 1 if columns == 1 else width // _FINE
    soft = grid.resize((across, height // _FINE), Image.Resampling.BICUBIC)
    return soft.resize((width, height), Image.Resampling.NEAREST)


def _hills(width: int, height: int) -> Canvas:
    """Ranges behind ranges, each paler with distance, below a low sun."""
    hue = _dice.random()
    near = tone(hue + _about(0.5, 0.12), 0.45, 0.2)
    low, high = tone(hue + 0.06, 0.75, 0.82), tone(hue, 0.55, _about(0.6, 0.1))
    canvas = field([high, blend(high, low, 0.6), low], 1, width, height)
    _sun(canvas, tone(hue + 0.1, 0.9, 0.9), low)
    ranges = _dice.randint(4, 6)
    for step in range(1, ranges + 1):
        depth = step / ranges
        level = height * (0.3 + 0.5 * depth) + _about(0, height * 0.04)
        ridge = _ridge(width, level, height * _about(0.13, 0.05), rough=1.4 - depth)
        colour = blend(low, near, depth**1.2)
        _fill_below(canvas, ridge, colour)
        if depth > 0.45 and _dice.random() < 0.7:
            _plant_firs(canvas, ridge, blend(colour, near, 0.5), height * 0.16 * depth)
        let_others_run()
    _fly_birds(canvas, near)
    return canvas


def _balloons(width: int, height: int) -> Canvas:
    """Hot-air balloons between clouds."""
    hue = _about(0.55, 0.1)
    high, low = tone(hue, 0.6, _about(0.6, 0.08)), tone(hue - _dice.random() * 0.5, 0.6, 0.87)
    canvas = field([high, blend(high, low, 0.5), low], 1, width, height)
    for _ in range(_dice.randint(5, 8)):
        _cloud(canvas, width * _dice.random(), height * _dice.uniform(0.05, 0.9), height * 0.08)
    _fill_below(canvas, _ridge(width, height * 0.85, height * 0.1), tone(hue - 0.25, 0.4, 0.45))
    _fill_below(canvas, _ridge(width, height * 0.93, height * 0.08), tone(hue - 0.27, 0.4, 0.35))
    count = _dice.randint(5, 7)
    for place in _dice.sample(range(count), count):
        across = width * (place + _dice.uniform(0.2, 0.8)) / count
        _balloon(canvas, across, height * _dice.uniform(0.15, 0.7), height * _about(0.14, 0.06))
        let_others_run()
    return canvas


def _town(width: int, height: int) -> Canvas:
    """A town at nightfall, some windows lit."""
    hue = _about(0.65, 0.12)
    dusk = tone(hue + _dice.uniform(0.1, 0.4), 0.65, 0.65)
    canvas = field([tone(hue, 0.6, 0.2), tone(hue + 0.05, 0.5, 0.4), dusk], 1, width, height)
    _stars(canvas)
    _sun(canvas, tone(0.13, 0.6, 0.93), tone(hue + 0.05, 0.5, 0.45))
    for depth in (0.3, 0.65, 1.0):
        _street(canvas, blend(dusk, tone(hue, 0.45, 0.13), 0.35 + 0.6 * depth), depth)
        let_others_run()
    return canvas


def _paper(width: int, height: int) -> Canvas:
    """Layers of coloured paper, cut in soft curves, each throwing a shadow on the one below."""
    hue, turn, layers = _dice.random(), _about(0, 0.28), _dice.randint(5, 7)
    shares = [layer / layers for layer in range(layers)]
    colours = [tone(hue + turn * share, 0.6, 0.88 - 0.66 * share) for share in shares]
    relief = _relief(width + _THROWN, height + _THROWN)
    let_others_run()
    lit = _layered(relief.crop((_THROWN, _THROWN, width + _THROWN, height + _THROWN)), colours)
    let_others_run()
    thrown = _layered(relief.crop((0, 0, width, height)), colours)
    # Higher layers are darker, so where the one thrown is darker there is a shadow.
    return Image.blend(lit, ImageChops.darker(lit, thrown), 0.5)


_THROWN = 3  # how far a shadow falls to the right and down


def _layered(relief: Image.Image, colours: Sequence[Colour]) -> Canvas:
    """Each height in the colour of its layer, with edges a few heights soft."""
    steps = [_on_layer(at / 256 * len(colours), colours) for at in range(256)]
    tables = ([step[channel] for step in steps] for channel in range(3))
    return Image.merge("RGB", [relief.point(table) for table in tables])


def _on_layer(height: float, colours: Sequence[Colour]) -> Colour:
    layer = int(height)
    edge = min((height - layer) * 256 / len(colours) / _SOFT, 1.0)
    return blend(colours[max(layer - 1, 0)], colours[layer], edge)


_SOFT = 5


def _facets(width: int, height: int) -> Canvas:
    """Triangles of neighbouring colours, as of folded paper."""
    columns, rows = _dice.randint(12, 16), _dice.randint(7, 9)
    across, down = width / (columns - 3), height / (rows - 3)
    colours = _hues(columns, rows)
    corners = [
        [
            (across * (x - 1 + _about(0, 0.36)), down * (y - 1 + _about(0, 0.36)))
            for x in range(columns)
        ]
        for y in range(rows)
    ]
    canvas = Image.new("RGB", (width, height))
    pen = ImageDraw.Draw(canvas)
    for y in range(rows - 1):
        for x in range(columns - 1):
            a, b, c, d = *corners[y][x : x + 2], *corners[y + 1][x : x + 2]
            halves = ((a, b, c), (b, c, d)) if _dice.random() < 0.5 else ((a, b, d), (a, c, d))
            for half in halves:
                pen.polygon(half, fill=_shaded(colours[y * columns + x], _about(0, 0.16)))
        let_others_run()
    return canvas


def _meadow(width: int, height: int) -> Canvas:
    """Flowers, near and far, in the grass."""
    hue = _about(0.3, 0.1)
    grass = [tone(hue + _about(0, 0.04), 0.4, _dice.uniform(0.2, 0.8)) for _ in range(15)]
    canvas = field(grass, 5, width, height)
    pen = ImageDraw.Draw(canvas)
    for _ in range(90):
        _blade(pen, width, height, tone(hue + _about(0, 0.06), 0.45, _dice.uniform(0.25, 0.7)))
    petals = _dice.random()
    for size in (0.05, 0.06, 0.075, 0.085, 0.1):
        let_others_run()
        for _ in range(6):
            colour = tone(petals + _about(0, 0.13), 0.8, _about(0.72, 0.14))
            place = (width * _dice.random(), height * _dice.random())
            _flower(pen, place, height * _about(size, 0.01), colour)
    return canvas


def _lights(width: int, height: int) -> Canvas:
    """Round lights of all sizes, some out of focus."""
    hue = _dice.random()
    dark = [tone(hue + _about(0, 0.12), 0.6, _dice.uniform(0.12, 0.42)) for _ in range(12)]
    canvas = field(dark, 4, width, height)
    for coarse, blurred in ((0.25, 2), (0.5, 1), (2, 0)):
        bright = [tone(hue + _about(0.05, 0.2), 0.85, _about(0.72, 0.1)) for _ in range(8)]
        rings = _rings(round(width * coarse), round(height * coarse), many=14)
        soft = rings.filter(ImageFilter.BoxBlur(blurred))
        mask = soft.resize((width, height), Image.Resampling.BICUBIC)
        canvas.paste(field(bright, 4, width, height), (0, 0), mask)
        let_others_run()
    return canvas


def _rings(width: int, height: int, *, many: int) -> Image.Image:
    """Discs of light with a brighter rim."""
    light = Image.new("L", (width, height))
    pen = ImageDraw.Draw(light)
    rim = max(1, height // 80)
    for _ in range(many):
        x, y = width * _dice.random(), height * _dice.random()
        size, strength = height * _dice.uniform(0.04, 0.17), _dice.randint(50, 190)
        box = (x - size, y - size, x + size, y + size)
        pen.ellipse(box, fill=strength, outline=min(strength + 50, 255), width=rim)
    return light


_SCENES: tuple[Paint, ...] = (
    _smooth(_hills),
    _smooth(_balloons),
    _smooth(_town),
    _smooth(_facets),
    _smooth(_meadow),
    _paper,
    _lights,
)


def _about(middle: float, spread: float) -> float:
    return _dice.uniform(middle - spread, middle + spread)


def _shaded(colour: Colour, share: float) -> Colour:
    return blend(colour, (255, 255, 255) if share > 0 else (0, 0, 0), abs(share))


def _hues(columns: int, rows: int) -> list[Colour]:
    """Row by row, neighbours alike."""
    hue, turn = _dice.random(), _dice.uniform(0.2, 0.45)
    few = [tone(hue + turn * _dice.random(), 0.6, _dice.uniform(0.2, 0.85)) for _ in range(12)]
    red, green, blue = (
        band.tobytes() for band in field(few, 4, columns * 2, rows * 2).reduce(2).split()
    )
    return list(zip(red, green, blue, strict=True))


def _relief(width: int, height: int) -> Image.Image:
    """Heights from 0 to 255, coarse and fine, soft everywhere."""
    coarse = _heights(_dice.randint(5, 7), 4).resize((width, height), Image.Resampling.BICUBIC)
    fine = _heights(12, 7).resize((width, height), Image.Resampling.BICUBIC)
    return Image.blend(coarse, fine, 0.3)


def _heights(columns: int, rows: int) -> Image.Image:
    steps = bytes(_dice.choices((0, 60, 130, 200, 255), k=columns * rows))
    return Image.frombytes("L", (columns, rows), steps)


def _ridge(
    width: int, level: float, swing: float, *, rough: float = 0.5
) -> list[tuple[float, float]]:
    """A line across the picture: a few waves over each other."""
    waves = [
        (_dice.uniform(0.6, 1.4) * turns, _dice.random() * math.tau, swing * share)
        for turns, share in ((1.5, 0.7), (4, 0.35), (11, 0.12 * rough), (27, 0.06 * rough))
    ]
    return [
        (
            x,
            level
            + sum(
                size * math.sin(x / width * math.tau * turns + start)
                for turns, start, size in waves
            ),
        )
        for x in range(0, width + 8, 8)
    ]


def _fill_below(canvas: Canvas, line: list[tuple[float, float]], colour: Colour) -> None:
    width, height = canvas.size
    ImageDraw.Draw(canvas).polygon([*line, (width + 8, height), (0, height)], fill=colour)


def _sun(canvas: Canvas, colour: Colour, around: Colour) -> None:
    width, height = canvas.size
    x, y, size = (
        width * _dice.random(),
        height * _dice.uniform(0.1, 0.4),
        height * _about(0.11, 0.04),
    )
    pen = ImageDraw.Draw(canvas)
    for ring, share in ((1.6, 0.25), (1.25, 0.5), (1.0, 1.0)):
        box = (x - size * ring, y - size * ring, x + size * ring, y + size * ring)
        pen.ellipse(box, fill=blend(around, colour, share))


def _plant_firs(
    canvas: Canvas, ridge: list[tuple[float, float]], colour: Colour, tall: float
) -> None:
    pen = ImageDraw.Draw(canvas)
    for x, y in ridge:
        if _dice.random() < 0.4:
            up = tall * _dice.uniform(0.5, 1.2)
            pen.polygon([(x - up * 0.25, y + 3), (x, y - up), (x + up * 0.25, y + 3)], fill=colour)


def _fly_birds(canvas: Canvas, colour: Colour) -> None:
    width, height = canvas.size
    pen = ImageDraw.Draw(canvas)
    x, y = width * _dice.uniform(0.1, 0.8), height * _dice.uniform(0.08, 0.35)
    for _ in range(_dice.randint(0, 5)):
        x, y = x + _dice.uniform(14, 34), y + _about(0, 16)
        for left in (x - 9, x):
            pen.arc((left, y, left + 9, y + 8), 180, 360, fill=colour, width=2)


def _cloud(canvas: Canvas, x: float, y: float, size: float) -> None:
    pen = ImageDraw.Draw(canvas)
    white = _dice.randint(235, 255)
    for _ in range(5):
        dx, r = _about(0, size * 1.6), size * _dice.uniform(0.5, 1)
        box = (x + dx - r * 1.4, y - r * 0.8, x + dx + r * 1.4, y + r * 0.8)
        pen.ellipse(box, fill=(white, white, min(white + 6, 255)))


def _balloon(canvas: Canvas, x: float, y: float, size: float) -> None:
    pen = ImageDraw.Draw(canvas)
    hue = _dice.random()
    one, other = tone(hue, 0.75, 0.55), tone(hue + _about(0.3, 0.25), 0.75, _about(0.7, 0.15))
    box_y, bottom = y + size * 1.7, y + size * 0.8
    for side in (-0.35, 0.35):
        pen.line(
            (x + size * side * 1.6, bottom, x + size * side * 0.5, box_y),
            fill=(90, 70, 60),
            width=2,
        )
    pen.polygon(
        [
            (x - size * 0.8, y + size * 0.6),
            (x + size * 0.8, y + size * 0.6),
            (x + size * 0.25, y + size * 1.35),
            (x - size * 0.25, y + size * 1.35),
        ],
        fill=_shaded(one, -0.25),
    )
    for stripe, share in enumerate((1.0, 0.72, 0.4, 0.13)):
        box = (x - size * share, y - size, x + size * share, y + size)
        pen.ellipse(box, fill=other if stripe % 2 else one)
    pen.rectangle((x - size * 0.2, box_y, x + size * 0.2, box_y + size * 0.3), fill=(120, 84, 54))


def _stars(canvas: Canvas) -> None:
    width, height = canvas.size
    spots = [(_dice.randrange(width), _dice.randrange(height * 2 // 3)) for _ in range(40)]
    pen = ImageDraw.Draw(canvas)
    for x, y in spots:
        pen.rectangle((x, y, x + 1, y + 1), fill=(235, 235, 255))


def _street(canvas: Canvas, colour: Colour, depth: float) -> None:
    width, height = canvas.size
    pen = ImageDraw.Draw(canvas)
    x = -_dice.random() * 40
    while x < width:
        wide = _dice.uniform(34, 74) * (0.5 + 0.5 * depth)
        top = height * (1 - _dice.uniform(0.2, 0.62) * (1.25 - 0.6 * depth))
        wall = _shaded(colour, _about(0, 0.07))
        pen.rectangle((x, top, x + wide, height), fill=wall)
        if _dice.random() < 0.5:
            pen.polygon([(x, top), (x + wide / 2, top - wide * 0.5), (x + wide, top)], fill=wall)
        _light_windows(pen, (x, top, wide, height), wall, depth)
        x += wide + _dice.choice((0, 0, 8))


def _light_windows(
    pen: ImageDraw.ImageDraw, house: tuple[float, float, float, int], wall: Colour, depth: float
) -> None:
    left, top, wide, bottom = house
    pane, gap = 4 + 3 * depth, 9 + 6 * depth
    lit = tone(_about(0.12, 0.03), 0.9, 0.7)
    for row in range(int((bottom - top) / gap)):
        for column in range(int((wide - 4) / gap)):
            if _dice.random() < 0.4:
                x, y = left + 5 + column * gap, top + 6 + row * gap
                pen.rectangle(
                    (x, y, x + pane, y + pane * 1.2), fill=blend(wall, lit, 0.3 + 0.6 * depth)
                )


def _blade(pen: ImageDraw.ImageDraw, width: int, height: int, colour: Colour) -> None:
    x, y, tall = (
        width * _dice.random(),
        height * _dice.random() * 1.2,
        height * _dice.uniform(0.1, 0.3),
    )
    lean = _about(0, tall * 0.5)
    pen.polygon([(x - 3, y), (x + 3, y), (x + lean, y - tall)], fill=colour)


def _flower(
    pen: ImageDraw.ImageDraw, place: tuple[float, float], size: float, colour: Colour
) -> None:
    x, y = place
    count, turned = _dice.randint(5, 8), _dice.random()
    petal = size * 2.4 / count
    shadow = _shaded(colour, -0.3)
    for shift, paint in ((3, shadow), (0, colour)):
        for step in range(count):
            angle = math.tau * (step + turned) / count
            px, py = x + size * 0.6 * math.cos(angle), y + shift + size * 0.6 * math.sin(angle)
            pen.ellipse((px - petal, py - petal, px + petal, py + petal), fill=paint)
    heart = size * 0.34
    pen.ellipse((x - heart, y - heart, x + heart, y + heart), fill=tone(0.13, 0.9, 0.6))
