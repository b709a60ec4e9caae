"""Destination: a phone or a mailbox, made canonical before any key is made of it.

Two spellings of one destination share every limit: "+86 138-0013-8000" and "008613800138000",
"Ann+news@Example.COM" and "ann@example.com".
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import cache
from string import ascii_uppercase
from typing import Any

import idna
import msgspec
import phonenumbers
from email_validator import EmailNotValidError, validate_email

from watchword.errors import RequestInvalid

LONGEST = 320
LONGEST_LOCAL = 64
"""RFC 5321, 4.5.3.1.1."""
_NO_COUNTRY = "001"
"""What the library calls a code that belongs to no country, as +800."""
_LOWER = {ord(letter): letter.lower() for letter in ascii_uppercase}
# The parser drops what it does not understand, and a digit too few is somebody else's number.
_SPELLING = re.compile(r"\+[0-9 ().-]{1,39}")


class Kind(StrEnum):
    PHONE = "phone"
    MAILBOX = "mailbox"


class Destination(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """`address` is where to deliver, in the spelling given; `identity` says who it is;
    `limit_key` under whom its limits are counted. `country` is an ISO 3166 code, "" if unknown.
    """

    kind: Kind
    address: str
    identity: str
    limit_key: str
    country: str = ""

    @property
    def masked(self) -> str:
        return mask(self.identity)

    @property
    def prefix(self) -> str:
        """A phone's 1,000-number block; "" for a mailbox."""
        return self.identity[:-3] if self.kind is Kind.PHONE else ""

    def __repr__(self) -> str:
        return f"Destination({self.masked})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("masked", self.masked)]

    __str__ = __repr__


def phone(text: str, *, field: str = "") -> Destination:
    """Read a number with its country code: +E.164, 00-prefixed, blanks and dashes allowed.

    Raises RequestInvalid at `field`.
    """
    spelled = text.strip()
    if spelled.startswith("00"):
        spelled = "+" + spelled[2:]
    if not _SPELLING.fullmatch(spelled):
        raise RequestInvalid("A phone number starts with + and its country code.", field=field)
    return _plain_phone(spelled) or _parsed_phone(spelled, field)


def _parsed_phone(spelled: str, field: str) -> Destination:
    try:
        number = phonenumbers.parse(spelled)
    except phonenumbers.NumberParseException:
        raise RequestInvalid("This is not a phone number.", field=field) from None
    if number.extension or not phonenumbers.is_possible_number(number):
        raise RequestInvalid("This is not a phone number.", field=field)
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    country = phonenumbers.region_code_for_number(number)
    if country is None:
        raise RequestInvalid("No country has such a phone number.", field=field)
    return _phone(e164, country)


def _phone(e164: str, country: str) -> Destination:
    return Destination(
        kind=Kind.PHONE, address=e164, identity=e164, limit_key=e164, country=country
    )


def _plain_phone(spelled: str) -> Destination | None:
    """What the parser makes of a number that leaves it nothing to do, at a tenth of its price.

    That is: + and digits alone, the code of one country, no zero to keep or drop behind it, nothing
    that could be a national prefix, and as many digits as its numbers may have. None for any other.
    """
    digits = spelled[1:]
    if not digits.isdigit():
        return None
    for length in (1, 2, 3):
        country, prefix = _country(digits[:length])
        rest = digits[length:]
        if country:
            plain = rest[:1] not in ("", "0") and not (prefix and prefix.match(rest))
            possible = plain and _is_possible(digits[:length], len(rest))
            return _phone(spelled, country) if possible else None
    return None


@cache
def _country(digits: str) -> tuple[str, re.Pattern[str] | None]:
    """The one country that has this code, "" where none or several do; and what a national prefix
    looks like there."""
    regions = (
        ()
        if digits.startswith("0")
        else phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(int(digits or "0"), ())
    )
    if len(regions) != 1 or regions[0] == _NO_COUNTRY:
        return "", None
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(regions[0])
    prefix = metadata.national_prefix_for_parsing if metadata else None
    return regions[0], re.compile(prefix) if prefix else None


@cache
def _is_possible(country_code: str, length: int) -> bool:
    """Whether numbers of a country may have so many digits; which ones they are does not matter."""
    number = phonenumbers.PhoneNumber(
        country_code=int(country_code), national_number=int("1" * length)
    )
    return phonenumbers.is_possible_number(number)


def mailbox(text: str, *, field: str = "") -> Destination:
    """Read a mailbox (RFC 5321, with SMTPUTF8 and IDN). Raises RequestInvalid at `field`.

    Its identity is the local part in small ASCII letters at the IDNA domain: folding more would
    take straße for strasse, who may be somebody else. Limits fold everything and ignore a +tag.
    """
    if len(text) > LONGEST:
        raise RequestInvalid("A mailbox has at most 320 characters.", field=field)
    try:
        parsed = validate_email(
            text,
            check_deliverability=False,
            allow_quoted_local=True,
            test_environment=True,
        )
    except (EmailNotValidError, UnicodeError, idna.IDNAError):
        raise RequestInvalid("This is not a mailbox.", field=field) from None
    if len(parsed.local_part.encode()) > LONGEST_LOCAL:
        raise RequestInvalid("The part before the @ has at most 64 bytes.", field=field)
    local = parsed.local_part.translate(_LOWER)
    return Destination(
        kind=Kind.MAILBOX,
        address=parsed.original,
        identity=f"{local}@{parsed.ascii_domain}",
        limit_key=f"{_tagless(local.casefold())}@{parsed.ascii_domain}",
    )


def _tagless(local: str) -> str:
    """Without quotes too: "ann+a b" may well end in ann's mailbox."""
    bare = local[1:-1] if local.startswith('"') else local
    return bare.partition("+")[0] or bare


def read(text: str, *, field: str = "") -> Destination:
    """Read either: what has an @ is a mailbox."""
    return mailbox(text, field=field) if "@" in text else phone(text, field=field)


def mask(identity: str) -> str:
    """Enough to recognise one's own address, too little to use another's."""
    if "@" in identity:
        local, _, domain = identity.rpartition("@")
        return f"{local[:1]}***@{domain}"
    return f"{identity[:3]}{'*' * max(3, len(identity) - 5)}{identity[-2:]}"
