"""What an SMS costs: its encoding, and how many messages a carrier charges for it.

3GPP TS 23.038 and 23.040: one message holds 140 octets, that is 160 septets of the GSM alphabet or
70 units of UCS-2. A longer text travels in parts, each with a header of 6 octets: 153 or 67 are
left, and what takes two places (an extension character, an emoji) is never torn apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("\f^{}\\[~]|€")
_HEADER_OCTETS, _HEADER_SEPTETS = 6, 7


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """`units` are septets or UTF-16 units, `octets` all that travels, headers included. `forced_by`
    names the characters for which a text cannot be GSM-7, in the order in which they come."""

    encoding: Literal["GSM-7", "UCS-2"]
    units: int
    segments: int
    octets: int
    forced_by: tuple[str, ...] = ()


def cost(text: str) -> Cost:
    """What this text costs as an SMS."""
    forced_by = tuple(dict.fromkeys(c for c in text if c not in _BASIC and c not in _EXTENDED))
    if forced_by:
        return _ucs2(text, forced_by)
    widths = [1 + (char in _EXTENDED) for char in text]
    parts = _parts(widths, whole=160, joined=153)
    header = _HEADER_SEPTETS if len(parts) > 1 else 0
    return Cost(
        encoding="GSM-7",
        units=sum(widths),
        segments=len(parts),
        octets=sum(-(-(header + part) * 7 // 8) for part in parts),
    )


def _ucs2(text: str, forced_by: tuple[str, ...]) -> Cost:
    widths = [1 + (char > "\uffff") for char in text]
    parts = _parts(widths, whole=70, joined=67)
    header = _HEADER_OCTETS * len(parts) if len(parts) > 1 else 0
    return Cost(
        encoding="UCS-2",
        units=sum(widths),
        segments=len(parts),
        octets=header + 2 * sum(widths),
        forced_by=forced_by,
    )


def _parts(widths: Iterable[int], *, whole: int, joined: int) -> list[int]:
    """How full each part is. An empty text is one message, too."""
    widths = list(widths)
    if sum(widths) <= whole:
        return [sum(widths)]
    parts = [0]
    for width in widths:
        if parts[-1] + width > joined:
            parts.append(0)
        parts[-1] += width
    return parts
