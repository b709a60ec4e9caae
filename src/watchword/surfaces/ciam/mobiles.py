"""Mobile numbers as this dialect's clients spell them (contracts/ciam.md, section 2.4).

All of these are one number to an app at home in China: 15200000000, +8615200000000,
+86-15200000000, 86-15200000000, 008615200000000, 152 0000 0000, and any of them in the full-width
digits that a Chinese keyboard writes.
"""

from __future__ import annotations

import re

import phonenumbers

from watchword.domain.destination import Destination, phone
from watchword.errors import RequestInvalid

LONGEST = 40
_CHINA, _CHINESE = "CN", "+86"
_CHINESE_MOBILE = re.compile(r"1[0-9]{10}")
_CODE_WITHOUT_PLUS = re.compile(r"86(-?)(1[0-9]{10})")
# No dots: 1520000000.0 would be somebody else's number.
_NATIONAL = re.compile(r"[-(]?[0-9](?:[ ()-]{0,2}[0-9])*")
_TO_ASCII = str.maketrans("０１２３４５６７８９＋－　", "0123456789+- ")


def mobile(text: str, region: str) -> Destination:
    """Read a number; without a country code it is one of `region`, the app's own (ISO 3166).

    Raises RequestInvalid. Which numbers are given out changes by the month, so it only has to be a
    possible one; in China it has to be a mobile's, 1 and ten digits, as the vendor's pattern says.
    """
    if len(text) > LONGEST:
        raise _invalid()
    found = phone(_with_code(text.translate(_TO_ASCII).strip(), region), field="/mobile")
    if found.identity.startswith(_CHINESE):
        _require_chinese_mobile(found.identity.removeprefix(_CHINESE))
    return found


def _with_code(spelled: str, region: str) -> str:
    if spelled.startswith(("+", "00")):
        return spelled
    if (coded := _CODE_WITHOUT_PLUS.fullmatch(spelled)) and (coded[1] or region == _CHINA):
        return _CHINESE + coded[2]
    if not _NATIONAL.fullmatch(spelled):
        raise _invalid()
    digits = "".join(filter(str.isdigit, spelled))
    if region != _CHINA:
        return _at_home(digits, region)
    _require_chinese_mobile(digits)
    return _CHINESE + digits


def _require_chinese_mobile(digits: str) -> None:
    if not _CHINESE_MOBILE.fullmatch(digits):
        raise _invalid()


def _at_home(digits: str, region: str) -> str:
    """A number as it is dialled in its own country, where a national prefix may stand before it."""
    try:
        number = phonenumbers.parse(digits, region)
    except phonenumbers.NumberParseException:
        raise _invalid() from None
    if number.country_code != phonenumbers.country_code_for_region(region):
        raise _invalid()
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _invalid() -> RequestInvalid:
    return RequestInvalid("This is not a mobile number.", field="/mobile")
