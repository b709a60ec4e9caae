"""Text, as every store can keep it."""

from __future__ import annotations

import re

_ODD = re.compile("[\0\ud800-\udfff]")


def is_text(value: str) -> bool:
    """Whether it can be written: neither NUL nor half a character is in it. What cannot be names
    nothing that is there."""
    return (value.isascii() and value.isprintable()) or not _ODD.search(value)
