"""The CIAM dialect on the wire: what may be asked, what is told, and what each means to us.

Absent, null, empty and blank are all the same, and what we do not know is not looked at
(contracts/ciam.md, section 2.1).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from watchword.domain.destination import Destination, mailbox
from watchword.domain.purpose import Purpose
from watchword.errors import RequestInvalid
from watchword.service.show_captcha import Shown
from watchword.surfaces.ciam.calls import Refusal
from watchword.surfaces.ciam.mobiles import mobile
from watchword.surfaces.ciam.replies import Reply
from watchword.surfaces.untold import Untold

JIGSAW = "jigsaw"
LONGEST_RECEIVER = 320
LONGEST_ANSWER = 8192

encode = msgspec.json.Encoder().encode


class Scene(StrEnum):
    """What a code is sent for, in the words that SMS and e-mail share."""

    REGISTER = "REGISTER"
    LOGIN = "LOGIN"
    FORGET_PASSWORD = "FORGET_PWD"  # noqa: S105  a scene's name
    UPDATE_PASSWORD = "UPDATE_PWD"  # noqa: S105
    UPDATE_ADDRESS = "UPDATE_ADDRESS"
    BIND = "BIND"


PURPOSES = {
    Scene.REGISTER: Purpose.SIGN_UP,
    Scene.LOGIN: Purpose.SIGN_IN,
    Scene.FORGET_PASSWORD: Purpose.RESET,
    Scene.UPDATE_PASSWORD: Purpose.CHANGE,
    Scene.UPDATE_ADDRESS: Purpose.CHANGE,
    Scene.BIND: Purpose.BIND,
}
SMS_SCENES = {
    "REGISTER_SMS": Scene.REGISTER,
    "LOGIN_SMS": Scene.LOGIN,
    "FORGET_PWD_SMS": Scene.FORGET_PASSWORD,
    "UPDATE_PWD_SMS": Scene.UPDATE_PASSWORD,
    "UPDATE_MOBILE_SMS": Scene.UPDATE_ADDRESS,
    "BIND_MOBILE_SMS": Scene.BIND,
}
EMAIL_SCENES = {
    "REGISTER_EMS": Scene.REGISTER,
    "LOGIN_EMS": Scene.LOGIN,
    "FORGET_PWD_EMS": Scene.FORGET_PASSWORD,
    "UPDATE_PWD_EMS": Scene.UPDATE_PASSWORD,
    "UPDATE_EMAIL_EMS": Scene.UPDATE_ADDRESS,
    "BIND_EMAIL_EMS": Scene.BIND,
}


class SmsWanted(Untold, frozen=True, kw_only=True):
    mobile: str | None = None
    type: str | None = None
    captcha_token: str | None = None


class EmailWanted(Untold, frozen=True, kw_only=True):
    email: str | None = None
    type: str | None = None
    captcha_token: str | None = None


class SmsTyped(Untold, frozen=True, kw_only=True):
    """Ours: a code that came by SMS, for a program that keeps its own users."""

    mobile: str | None = None
    type: str | None = None
    verify_code: str | None = None


class EmailTyped(Untold, frozen=True, kw_only=True):
    email: str | None = None
    type: str | None = None
    verify_code: str | None = None


class CaptchaSolved(Untold, frozen=True, kw_only=True):
    """`point_json` is a text that holds JSON, plain or encrypted as AJ-Captcha's clients do; of
    another kind of captcha, whatever solves it. `sender` is who will receive the code."""

    point_json: str | None = None
    token: str | None = None
    sender: str | None = None


class Receiver(msgspec.Struct, frozen=True):
    """Who is to receive a code. What is no address has a key all the same, so that it is refused
    where the page has it refused: when the code is to be sent."""

    key: str
    destination: Destination | None

    def __repr__(self) -> str:
        return f"Receiver({self.destination})"


def required(text: str | None, empty: Reply) -> str:
    """The text. Raises Refusal where there is none."""
    found = (text or "").strip()
    if not found:
        raise Refusal(empty)
    return found


def phone_of(text: str, region: str) -> Receiver:
    try:
        found = mobile(text, region)
    except RequestInvalid:
        return _nobody(text)
    return Receiver(found.identity, found)


def mailbox_of(text: str) -> Receiver:
    try:
        found = mailbox(text)
    except RequestInvalid:
        return _nobody(text)
    return Receiver(found.identity, found)


def receiver_of(text: str, region: str) -> Receiver:
    """Either: what has an @ is a mailbox."""
    return mailbox_of(text) if "@" in text else phone_of(text, region)


def _nobody(text: str) -> Receiver:
    return Receiver(f"? {text[:LONGEST_RECEIVER]}", None)


def told_captcha(shown: Shown) -> bytes:
    """A jigsaw has the members of AJ-Captcha's CaptchaVO, no more and no fewer, nulls included
    (section 3). The other kinds are ours."""
    if shown.kind == JIGSAW:
        return encode(jigsaw_members(shown))
    members: dict[str, Any] = {"captchaType": shown.kind, "token": shown.token, "result": False}
    if shown.kind == "altcha":
        members["challenge"] = msgspec.Raw(shown.shown["challenge"].encode())
    else:
        members |= {"siteKey": shown.shown["site_key"], "action": shown.shown["action"]}
    return encode(members)


def jigsaw_members(shown: Shown) -> dict[str, Any]:
    return {
        "captchaId": None,
        "projectCode": None,
        "captchaOriginalPath": None,
        "captchaFontType": None,
        "captchaFontSize": None,
        "secretKey": shown.shown["key"],
        "originalImageBase64": shown.shown["picture"],
        "point": None,
        "jigsawImageBase64": shown.shown["piece"],
        "wordList": None,
        "pointList": None,
        "pointJson": None,
        "token": shown.token,
        "result": False,
        "captchaVerification": None,
    }


def told_pass(captcha_token: str) -> bytes:
    return encode({"captcha_token": captcha_token})
