"""Phones as Alibaba Cloud writes them, and which of them a site may text."""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec
import phonenumbers

from watchword.domain import destination
from watchword.domain.destination import Destination
from watchword.errors import RequestInvalid

Site = Literal["intl", "china"]

_CHINA = "86"
_WRITTEN = re.compile(r"([1-9][0-9]{0,2})-([0-9]{3,14})")


class PhoneMalformed(RequestInvalid):
    """A phone is written <country code>-<number>, as in 1-2025550100."""


class PhoneUnknown(PhoneMalformed):
    """No phone has such a number in that country."""


class Phone(msgspec.Struct, frozen=True):
    """A phone as it was written, what it means to us, and its country code."""

    spelled: str
    destination: Destination
    country_code: str

    def __repr__(self) -> str:
        return f"Phone({self.destination})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("destination", self.destination)]

    def is_served_at(self, site: Site) -> bool:
        """The international site texts everywhere but to China, the Chinese one there alone."""
        return (self.country_code == _CHINA) == (site == "china")


def phone(text: str) -> Phone:
    """Read <country code>-<number>. Raises PhoneMalformed."""
    written = _WRITTEN.fullmatch(text)
    if written is None:
        raise PhoneMalformed(field="SecureMobilePhone")
    code, number = written.groups()
    try:
        meant = destination.phone(f"+{code}{number}")
    except RequestInvalid:
        raise PhoneUnknown(field="SecureMobilePhone") from None
    # 12-025550100 has the digits of 1-2025550100, and is nobody's number.
    if phonenumbers.country_code_for_region(meant.country) != int(code):
        raise PhoneUnknown(field="SecureMobilePhone")
    return Phone(text, meant, code)
