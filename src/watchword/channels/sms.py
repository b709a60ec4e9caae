"""SMS: one short plain text to a phone."""

from __future__ import annotations

from watchword.channels._channel import Channel
from watchword.domain.destination import Kind

CHANNEL = Channel(name="sms", takes=Kind.PHONE)

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("\f^{}\\[~]|€")


def segments(text: str) -> int:
    """How many messages a carrier charges for: 160 septets in one, or 70 UTF-16 units where a
    character is outside GSM 7-bit (3GPP TS 23.038); a longer text loses 7 or 3 of each to joining.
    """
    if set(text) <= _BASIC | _EXTENDED:
        return _parts(len(text) + sum(char in _EXTENDED for char in text), whole=160, joined=153)
    return _parts(len(text.encode("utf-16-le")) // 2, whole=70, joined=67)


def _parts(length: int, *, whole: int, joined: int) -> int:
    return 1 if length <= whole else -(-length // joined)
