"""The countries a form may offer, and what their mobile numbers look like: GET country-codes.

The shape, the order of the first four and their names and China's pattern are those of the vendors'
pages (contracts/ciam.md, sections 2.4 and 5); all else is what libphonenumber and CLDR know. Every
number that a pattern takes in its usual spelling is one that a send takes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from unicodedata import normalize

import msgspec
import phonenumbers
from babel import Locale
from phonenumbers import PhoneMetadata

from watchword.errors import AccessDenied
from watchword.surfaces.ciam import replies
from watchword.surfaces.ciam.calls import Call
from watchword.surfaces.exchange import Answer

_CHINA = "CN"
_CHINESE_PATTERN = r"^(\+86){0,1}\-?1\d{10}$"
_NORTH_AMERICA = 1
_encode = msgspec.json.Encoder().encode


class Names(msgspec.Struct, frozen=True, kw_only=True):
    """A country's name in the languages that a form may be in."""

    taiwan: str = msgspec.field(name="zh-TW")
    english: str = msgspec.field(name="en")
    mainland: str = msgspec.field(name="zh-CN")


_AS_DOCUMENTED = {
    _CHINA: Names(taiwan="中國大陸", english="China", mainland="中国大陆"),
    "HK": Names(taiwan="中國香港", english="Hong Kong", mainland="中国香港"),
    "TW": Names(taiwan="中國臺灣", english="Taiwan", mainland="中国台湾"),
    "MO": Names(taiwan="中國澳門", english="Macau", mainland="中国澳门"),
}


class Country(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`area_code_suffixes` are the area codes by which countries that share a code are told apart,
    as in +1 876; the vendors' pages show none, so which ones they list is our guess."""

    area_code: str
    display_mapping: Names
    country_code: str
    mobile_regex: str
    area_code_suffixes: tuple[str, ...]


async def country_codes(call: Call) -> Answer:
    """Whose numbers can be texted. The caller's own country comes first where it says who it is."""
    asked = (call.exchange.header(b"x-client-id") or b"").decode("latin-1").strip()
    region = _CHINA
    with suppress(AccessDenied):
        region = (await call.directory.clients.known(asked, call.now))[0].region
    return replies.told(definitions(region))


def definitions(region: str) -> bytes:
    """What the call answers to an app that is at home in this region (ISO 3166)."""
    return _encode({"phoneAreaCodeDefinitions": listed(), "preferredAreaCode": region})


@cache
def listed() -> msgspec.Raw:
    """All of them, made once; the first time it takes a tenth of a second."""
    return msgspec.Raw(_encode(sorted(_countries(), key=_place)))


def _countries() -> Iterator[Country]:
    names = {tag: Locale.parse(tag).territories for tag in ("zh_Hant", "en", "zh_Hans")}
    for region in phonenumbers.SUPPORTED_REGIONS:
        known = PhoneMetadata.metadata_for_region(region)
        if known and known.mobile and known.mobile.national_number_pattern:
            yield Country(
                area_code=str(known.country_code),
                display_mapping=_AS_DOCUMENTED.get(region)
                or Names(
                    taiwan=names["zh_Hant"][region],
                    english=names["en"][region],
                    mainland=names["zh_Hans"][region],
                ),
                country_code=region,
                mobile_regex=_pattern(known, known.mobile.national_number_pattern),
                area_code_suffixes=tuple(_suffixes(known)),
            )


def _place(country: Country) -> tuple[int, str]:
    first = [*_AS_DOCUMENTED, country.country_code].index(country.country_code)
    return first, normalize("NFD", country.display_mapping.english)  # Åland among the As


def _pattern(known: PhoneMetadata, national: str) -> str:
    if known.id == _CHINA:
        return _CHINESE_PATTERN
    return rf"^\+{known.country_code}-?(?:{national})$"


def _suffixes(known: PhoneMetadata) -> Iterator[str]:
    if known.country_code == _NORTH_AMERICA and known.leading_digits:
        leading = re.compile(known.leading_digits)
        yield from (code for code in map(str, range(200, 1000)) if leading.fullmatch(code))
