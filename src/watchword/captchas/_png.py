"""Pictures as PNG: three chunks, so nothing but the pixels, and written in half the usual time."""

from __future__ import annotations

import struct
import zlib

from PIL import Image, ImageChops

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPES = {"RGB": 2, "RGBA": 6}
_LEVEL = 1
_UP = b"\2"


def png(image: Image.Image) -> bytes:
    """Of an RGB or RGBA picture. Other threads run while it is compressed."""
    header = struct.pack(">IIBBBBB", *image.size, 8, _COLOUR_TYPES[image.mode], 0, 0, 0)
    content = zlib.compress(_filtered(image), _LEVEL)
    chunks = ((b"IHDR", header), (b"IDAT", content), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(kind, body) for kind, body in chunks)


def _filtered(image: Image.Image) -> bytes:
    """Every row as its difference from the row above, which packs well."""
    width, _ = image.size
    above = ImageChops.offset(image, 0, 1)
    above.paste((0,) * len(image.mode), (0, 0, width, 1))
    pixels = ImageChops.subtract_modulo(image, above).tobytes()
    row = width * len(image.mode)
    return b"".join(_UP + pixels[start : start + row] for start in range(0, len(pixels), row))


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
