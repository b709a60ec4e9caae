"""Policy: the terms on which an app's codes for a purpose are drawn, sent and judged."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

import msgspec

from watchword.domain.code import DIGITS


class Resend(StrEnum):
    """What a resend sends while a challenge is open (DESIGN, "Challenge")."""

    SAME = "same"
    """The code already sent, while at least half its lifetime is left; else a new one."""
    NEWEST = "newest"
    """A new code; the older ones die."""
    ANY = "any"
    """A new code; the last three stay valid."""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Lengths in characters, spans as timedelta."""

    alphabet: str = DIGITS
    length: int = 6
    ttl: timedelta = timedelta(minutes=10)
    max_attempts: int = 5
    resend_interval: timedelta = timedelta(seconds=60)
    resend: Resend = Resend.SAME
    languages: tuple[str, ...] = ("en-us", "zh-cn")
    """Languages offered, the first being the one to fall back to."""
