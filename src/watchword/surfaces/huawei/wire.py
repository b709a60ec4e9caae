"""Huawei Cloud's dialect on the wire: what may be asked, what is told, and what each means to us.

Missing and null are the same, and what we do not know is not looked at: the vendor's clients leave
a member out by either, and send more than the pages name (contracts/huawei.md, sections 1 and 6).
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any, Literal

import msgspec
import phonenumbers

from watchword.directory.huawei.accounts import Account
from watchword.directory.huawei.customers import NameMalformed, Registration, domain_name
from watchword.domain.code import normalise
from watchword.domain.destination import Destination, mailbox, phone
from watchword.domain.purpose import Purpose
from watchword.errors import RequestInvalid
from watchword.surfaces.untold import Untold

CODE_LENGTH = 6
LONGEST_MAILBOX = 64
LONGEST_PHONE = 32
LONGEST_LANG = 16
LONGEST_TIMEOUT_MIN = 3000
LONGEST_LIFE_MIN = 60
USUAL_LIFE_MIN = 10
LIFE_BEYOND_MIN = 5
LANGUAGES = ("zh-cn", "en-us")
_SMS, _EMAIL = 1, 2
_REGISTER, _BANK_CARD = 29, 18
_AREA = re.compile(r"[A-Za-z]{2}")
_CHINESE_MOBILE = re.compile(r"\+861[3-9]\d{9}", re.ASCII)
_SEARCHED_PHONE = re.compile(r"00\d{2}-\d{1,59}", re.ASCII)

encode = msgspec.json.Encoder().encode


class EmailMalformed(RequestInvalid):
    """The email address is empty or malformed."""


class PhoneMalformed(RequestInvalid):
    """The mobile number is malformed."""


class ValueUnknown(RequestInvalid):
    """The parameter is well-formed and means nothing."""


class ResellerDenied(RequestInvalid):
    """You have no right on this reseller."""


class CodeWanted(Untold, frozen=True, kw_only=True):
    """Send a code. The China edition writes to phones, the international one to mailboxes."""

    receiver_type: int | None = None
    email: str | None = None
    mobile_phone: str | None = None
    timeout: int | None = None
    lang: str | None = None
    scene: int | None = None
    customer_id: str | None = None


class NewCustomer(Untold, frozen=True, kw_only=True):
    """Create a customer of the calling partner, with a code where an address comes with it."""

    domain_area: str | None = None
    xaccount_id: str | None = None
    xaccount_type: str | None = None
    domain_name: str | None = None
    email: str | None = None
    mobile_phone: str | None = None
    verification_code: str | None = None
    password: str | None = None
    is_close_market_ms: str | None = None
    indirect_partner_id: str | None = None
    include_association_result: bool | None = None


class Searched(Untold, frozen=True, kw_only=True):
    """Whether somebody has a mailbox, a phone or a log-in name already."""

    search_type: str | None = None
    search_value: str | None = None


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A code in our words: where to, for what, how long it lives, what else it is bound to."""

    destination: Destination
    channel: Literal["sms", "email"]
    purpose: Purpose
    ttl: timedelta
    language: str
    customer_id: str


def wanted(asked: CodeWanted, default_language: str) -> Wanted:
    """Raises RequestInvalid, and EmailMalformed where only the mailbox is wrong."""
    ttl, language = _ttl(asked.timeout), _language(asked.lang, default_language)
    if asked.receiver_type == _EMAIL:
        return Wanted(
            destination=_mailbox(asked.email),
            channel="email",
            purpose=Purpose.SIGN_UP,
            ttl=ttl,
            language=language,
            customer_id="",
        )
    if asked.receiver_type != _SMS:
        raise RequestInvalid("receiver_type is 2 (email) or 1 (SMS).", field="/receiver_type")
    purpose, customer_id = _scene(asked)
    return Wanted(
        destination=_chinese_phone(asked.mobile_phone or ""),
        channel="sms",
        purpose=purpose,
        ttl=ttl,
        language=language,
        customer_id=customer_id,
    )


def registration(asked: NewCustomer) -> tuple[Registration, str]:
    """A customer to be, and the code that came along ("" without an address). Raises RequestInvalid
    and kin."""
    destination = _address(asked)
    if asked.indirect_partner_id:
        raise ResellerDenied
    return (
        Registration(
            xaccount_id=_text(asked.xaccount_id, "xaccount_id", 128),
            xaccount_type=_text(asked.xaccount_type, "xaccount_type", 64),
            domain_name=asked.domain_name or "",
            destination=destination,
            password=asked.password or "",
            area=_area(asked.domain_area, required=asked.mobile_phone is None),
            wants_marketing=not _truth(asked.is_close_market_ms, "is_close_market_ms"),
        ),
        _code(asked.verification_code) if destination else "",
    )


def searched(asked: Searched) -> tuple[Literal["email", "mobile", "name"], str | Destination]:
    """What to look for, and whose. Raises RequestInvalid."""
    value = _text(asked.search_value, "search_value", 64)
    if asked.search_type == "email":
        return "email", mailbox(value, field="/search_value")
    if asked.search_type == "name":
        return "name", _searched_name(value)
    if asked.search_type != "mobile":
        raise RequestInvalid("search_type is email, mobile or name.", field="/search_type")
    if not _SEARCHED_PHONE.fullmatch(value):
        raise RequestInvalid("A mobile number is written 00XX-XXXXXXXX.", field="/search_value")
    return "mobile", phone(value, field="/search_value")


def _searched_name(name: str) -> str:
    try:
        return domain_name(name)
    except NameMalformed as error:
        raise RequestInvalid(str(error), field="/search_value") from None


def registered(customer: Account) -> bytes:
    return encode({"domain_id": customer.id, "domain_name": customer.name})


def found(kind: str, used: int, most: int) -> bytes:
    """`most` is how many may share a phone; only for one is it told how many are left."""
    left = max(0, most - used)
    taken = used > 0 if kind != "mobile" else left == 0
    told: dict[str, Any] = {
        "error_code": "CBC.0000",
        "error_msg": "Success.",
        "check_result": "used_by_user" if taken else "available",
    }
    if kind == "mobile":
        told["mobile_remain_available_num"] = left
    return encode(told)


def _ttl(timeout: int | None) -> timedelta:
    """The page's two rules together: 1 to 60 as asked, 61 to 3000 is 5 minutes."""
    if timeout is None:
        return timedelta(minutes=USUAL_LIFE_MIN)
    if not 1 <= timeout <= LONGEST_TIMEOUT_MIN:
        raise RequestInvalid(f"timeout is 1 to {LONGEST_TIMEOUT_MIN} minutes.", field="/timeout")
    return timedelta(minutes=timeout if timeout <= LONGEST_LIFE_MIN else LIFE_BEYOND_MIN)


def _language(lang: str | None, default: str) -> str:
    if lang and len(lang) > LONGEST_LANG:
        raise RequestInvalid(f"lang has at most {LONGEST_LANG} characters.", field="/lang")
    asked = (lang or "").casefold()
    return asked if asked in LANGUAGES else default


def _mailbox(text: str | None) -> Destination:
    if text and len(text) > LONGEST_MAILBOX:
        raise RequestInvalid(f"email has at most {LONGEST_MAILBOX} characters.", field="/email")
    try:
        return mailbox(text or "")
    except RequestInvalid:
        raise EmailMalformed(field="/email") from None


def _chinese_phone(text: str) -> Destination:
    """With or without its country code. Raises RequestInvalid for all others."""
    spelled = text if text.startswith(("+", "00")) else f"+86{text}"
    try:
        found = phone(spelled[: LONGEST_PHONE + 1])
    except RequestInvalid:
        found = None
    if len(text) > LONGEST_PHONE or not found or not _CHINESE_MOBILE.fullmatch(found.identity):
        raise RequestInvalid(
            "mobile_phone is a Chinese mobile number, 11 digits beginning with 1.",
            field="/mobile_phone",
        )
    return found


def _scene(asked: CodeWanted) -> tuple[Purpose, str]:
    scene = _REGISTER if asked.scene is None else asked.scene
    if scene == _REGISTER:
        return Purpose.SIGN_UP, ""
    if scene != _BANK_CARD:
        raise RequestInvalid("scene is 29 (register) or 18 (bank card).", field="/scene")
    return Purpose.BIND, _text(asked.customer_id, "customer_id", 64)


def _address(asked: NewCustomer) -> Destination | None:
    if asked.email is not None and asked.mobile_phone is not None:
        raise RequestInvalid("A customer has an email or a mobile_phone.", field="/mobile_phone")
    if asked.mobile_phone is not None:
        try:
            return _chinese_phone(asked.mobile_phone)
        except RequestInvalid as error:
            raise PhoneMalformed(str(error), field=error.field) from None
    return None if asked.email is None else mailbox(asked.email, field="/email")


def _code(code: str | None) -> str:
    """Blanks and dashes in it do not count, as ever."""
    if code is None or len(normalise(code)) != CODE_LENGTH:
        raise RequestInvalid(
            f"verification_code has {CODE_LENGTH} characters, and comes with an address.",
            field="/verification_code",
        )
    return code


def _area(area: str | None, *, required: bool) -> str:
    if area is None and not required:
        return ""
    if not _AREA.fullmatch(area or ""):
        raise RequestInvalid("domain_area is a country's two letters.", field="/domain_area")
    if (area or "").upper() not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueUnknown("domain_area names no country.", field="/domain_area")
    return (area or "").upper()


def _text(text: str | None, name: str, most: int) -> str:
    if not text or len(text) > most:
        raise RequestInvalid(f"{name} has 1 to {most} characters.", field=f"/{name}")
    return text


def _truth(text: str | None, name: str) -> bool:
    if text not in (None, "true", "false"):
        raise RequestInvalid(f'{name} is "true" or "false".', field=f"/{name}")
    return text == "true"
