"""Message: the words we send, ready for a provider."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

# Line breaks, other controls, lone surrogates and turns of direction: a mail header or the last
# line of an SMS must not be open to any of them.
_BREAKS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message to one address. `key` is the same each time this delivery is handed over.

    `text` is what an SMS says and the plain part of a mail; `subject` and `html` are a mail's;
    `code` is what they carry, `brand` who speaks. It prints without its words and its address:
    both are secrets.
    """

    key: str
    channel: str
    to: str
    text: str
    subject: str = ""
    html: str = ""
    language: str = "en-us"
    brand: str = ""
    code: str = ""
    expires_at: datetime | None = None
    """When the code dies: after that a provider does not begin to send it."""

    def __repr__(self) -> str:
        return f"Message(key={self.key!r}, channel={self.channel!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("key", self.key), ("channel", self.channel)]


class Words(msgspec.Struct, frozen=True, kw_only=True):
    """What a template may say. `minutes` is the lifetime as fixed when the code was sent; `brands`
    is what the app is called in some languages, `brand` in all others.

    It prints without its code.
    """

    code: str
    minutes: int
    brand: str
    origin: str = ""
    """The app's web origin host, as in example.com; "" where codes are not bound to an origin."""
    brands: Mapping[str, str] = {}

    def __repr__(self) -> str:
        return f"Words(minutes={self.minutes}, brand={self.brand!r}, origin={self.origin!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("minutes", self.minutes), ("brand", self.brand), ("origin", self.origin)]


def one_line(text: str) -> str:
    """The text without line breaks, control characters or turns of direction; blanks are single."""
    return " ".join(_BREAKS.sub(" ", text).split())
