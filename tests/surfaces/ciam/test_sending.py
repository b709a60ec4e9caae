"""Sending a code in all six scenes: what it takes, and what is said when something is missing."""

import json
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from tests.captcha_solver import solve
from tests.surfaces.ciam.calling import (
    CAPTCHA,
    EMAIL_SCENES,
    EMAIL_SEND,
    PREFIX,
    SCENES,
    SEND,
    TERMS,
    VERIFY,
    code_for,
    device,
    messages,
    mobile,
    queued,
    solved,
    wrong,
)
from watchword.config import Ciam

TEXTS = {
    "PARAM.0001": ("Device information is incomplete", "设备信息不完整"),
    "PARAM.0002": ("clientId cannot be empty", "clientId不能为空"),
    "PARAM.0003": (
        "The app is not registered, please register the app first",
        "应用未注册,请先注册应用",
    ),
    "USER.0004": ("Mobile number cannot be empty", "手机号不能为空"),
    "PARAM.0007": ("Send scene cannot be empty", "发送场景不能为空"),
    "PARAM.0008": (
        "Graphic verification code verification pass token cannot be empty",
        "图形验证码校验通过令牌不能为空",
    ),
    "CAPTCHA.0003": (
        "Graphic verification code verification passed the token has been invalid",
        "图形验证码校验通过令牌已失效",
    ),
    "CAPTCHA.0004": (
        "Graphic verification code verification passed token verification failed",
        "图形验证码校验通过令牌校验失败",
    ),
    "CAPTCHA.0005": ("Unknown sending scenario", "未知的发送场景"),
    "CAPTCHA.0006": ("Failed to send verification code", "验证码发送失败"),
}
"""The published table, to the letter and in its order (contract, section 2.2)."""
DEVICE = ("X_operating_sys_version", "X_device_fingerprint", "X_agent")
REFUSED = "15200000001"
"""A number that the virtual carrier refuses."""


@pytest.mark.parametrize("scene", SCENES)
def test_a_code_is_sent_and_used_in_every_scene(shop, ann, scene):
    """From the captcha to the used code; a success says nothing at all, and when to come back."""
    reply = shop.send(ann, scene)
    assert reply.is_done
    assert reply.headers["content-length"] == "0"
    assert "content-type" not in reply.headers
    assert (reply.headers["x-resend-after"], reply.headers["x-expires-in"]) == ("60", "600")
    assert len(reply.headers["x-request-id"]) == 32
    assert shop.judge(ann, code_for(shop.server, ann), scene).is_done


@pytest.mark.parametrize("scene", EMAIL_SCENES)
def test_a_code_is_mailed_and_used_in_every_scene(shop, box, scene):
    assert shop.judge(box, shop.code(box, scene), scene).is_done


@pytest.mark.parametrize(
    "spelling", ['{{"x":{},"y":5}}', '{{"x":{}.0,"y":5.0}}', '{{"y": 5.0, "x": {}.00}}']
)
def test_the_slider_leads_to_a_code(shop, ann, spelling):
    """By somebody who looks at the picture, however the point is spelled; the pass repeats it."""
    for _ in range(20):  # some pictures take a second look
        shown = shop.ask("GET", CAPTCHA, Content_Type=None).json
        x = solve(shown["originalImageBase64"], shown["jigsawImageBase64"])
        point = spelling.format(int(x))
        reply = shop.verify(ann, shown, point)
        if reply.status == 200:
            break
        assert reply.code == "CAPTCHA.0002"
    assert reply.json == {"captcha_token": f"{shown['token']}---{point}"}
    assert shop.send(ann, captcha_token=reply.json["captcha_token"]).is_done


def test_a_captcha_has_the_members_of_the_documented_one(shop):
    """All of them, nulls included, and the pictures are bare PNGs in base64 (section 3)."""
    reply = shop.ask("GET", CAPTCHA)
    assert reply.headers["content-type"] == "application/json;charset=UTF-8"
    told = reply.json
    filled = {"secretKey", "originalImageBase64", "jigsawImageBase64", "token"}
    nulls = {"captchaId", "projectCode", "captchaOriginalPath", "captchaFontType",
             "captchaFontSize", "point", "wordList", "pointList", "pointJson",
             "captchaVerification"}  # fmt: skip
    assert set(told) == filled | nulls | {"result"}
    assert {name for name, value in told.items() if value is None} == nulls
    assert told["result"] is False
    assert len(told["secretKey"]) == 16
    assert len(bytes.fromhex(told["token"])) == 16
    assert told["originalImageBase64"].startswith("iVBOR")


# Each code, for its own reason, in both languages


def asking(caller, path, body, headers):
    """`...` stands for what is left out."""
    given = {name: value for name, value in body.items() if value is not ...}
    return caller.post(path, given, **headers)


class Reasons:
    """How a good send is spoilt so that each refusal of the table is the right one: what changes in
    headers and in body. They are independent, so any two may come at once."""

    def __init__(self, caller, to, path=SEND, name="mobile", scene="LOGIN_SMS"):
        self.caller, self.to, self.path, self.name = caller, to, path, name
        self.good = {name: to, "type": scene, "captcha_token": "x"}

    def spoilt(self, *codes):
        """The answer to a send that has all these faults at once."""
        headers: dict[str, Any] = {}
        body, caller, to = dict(self.good), self.caller, self.to
        if "CAPTCHA.0006" in codes:
            to = body[self.name] = self.bad_address()
        if "CAPTCHA.0003" not in codes:
            body["captcha_token"] = caller.pass_for(to)
        if "CAPTCHA.0004" in codes:
            body["captcha_token"] = "x"
        if "CAPTCHA.0005" in codes:
            body["type"] = "login_sms"
        body |= {name: " " for code, name in self.blanks() if code in codes}
        headers |= {
            name: value
            for code, name, value in (
                ("PARAM.0001", "X_agent", None),
                ("PARAM.0002", "X_client_id", None),
                ("PARAM.0003", "X_client_id", "x" * 32),
            )
            if code in codes
        }
        if {"PARAM.0002", "PARAM.0003"} <= set(codes):
            headers["X_client_id"] = " "
        return asking(caller, self.path, body, headers)

    def blanks(self):
        return [
            ("USER.0004", self.name),
            ("PARAM.0007", "type"),
            ("PARAM.0008", "captcha_token"),
        ]

    def bad_address(self):
        return "12345" if self.name == "mobile" else "nobody"


ORDER = list(TEXTS)
PAIRS = list(pairwise(ORDER))


@pytest.mark.parametrize("code", ORDER)
def test_every_refusal_is_told_for_its_reason_in_both_languages(shop, ann, code):
    """400, the vendor's code and its very text; nobody is sent anything."""
    before, reasons = queued(shop.server), Reasons(shop, ann)
    english = reasons.spoilt(code)
    assert english.code == code
    assert english.json == {"error_code": PREFIX + code, "error_msg": TEXTS[code][0]}
    reasons.caller = shop.beside(X_L="zh")
    chinese = reasons.spoilt(code)
    assert chinese.code == code
    assert chinese.body.decode() == json.dumps(
        {"error_code": PREFIX + code, "error_msg": TEXTS[code][1]},
        ensure_ascii=False, separators=(",", ":"),
    )  # fmt: skip
    assert queued(shop.server) <= before
    assert not messages(shop.server, ann)


# Two of them exclude each other: a pass is not there, or it is and another one is shown.
TOGETHER = [pair for pair in PAIRS if pair != ("CAPTCHA.0003", "CAPTCHA.0004")]


@pytest.mark.parametrize(("first", "second"), TOGETHER)
def test_of_two_reasons_the_earlier_one_is_told(shop, ann, first, second):
    """For every two neighbours of the published table, which is the order of the checks."""
    assert Reasons(shop, ann).spoilt(first, second).code == first


def test_a_wrong_pass_is_told_only_of_whoever_has_a_live_one(shop, ann):
    """0003 before 0004: there is none that lives, whatever string is shown."""
    assert shop.send(ann, captcha_token="x").code == "CAPTCHA.0003"
    token = shop.pass_for(ann)
    assert shop.send(ann, captcha_token="x").code == "CAPTCHA.0004"
    assert shop.send(ann, captcha_token=token).is_done
    assert shop.send(ann, captcha_token="x").code == "CAPTCHA.0003"


@pytest.mark.parametrize(
    ("first", "second"),
    [pair for pair in pairwise(ORDER[3:]) if pair in TOGETHER],
)
def test_an_email_is_refused_in_the_same_order(shop, box, first, second):
    """By its neighbours, and for each reason alone."""
    reasons = Reasons(shop, box, EMAIL_SEND, "email", "LOGIN_EMS")
    assert reasons.spoilt(first, second).code == first
    assert reasons.spoilt(second).code == second


def test_a_missing_email_is_called_one(shop):
    for language, text in (("en", "Email cannot be empty"), ("zh", "邮箱不能为空")):
        reply = shop.post(EMAIL_SEND, {}, X_L=language)
        assert (reply.code, reply.json["error_msg"]) == ("USER.0004", text)


@pytest.mark.parametrize(("method", "path"), [("POST", SEND), ("POST", VERIFY), ("GET", CAPTCHA)])
def test_a_device_says_all_three_of_itself(shop, method, path):
    """Any of them absent, empty or blank, on every call with captchas and codes."""
    for name in DEVICE:
        for blank in (None, "", "  "):
            assert shop.ask(method, path, {}, **{name: blank}).code == "PARAM.0001"


@pytest.mark.parametrize(("method", "path"), [("POST", SEND), ("POST", VERIFY), ("GET", CAPTCHA)])
def test_a_client_names_itself(shop, method, path):
    """Blank is one thing, unknown another."""
    for client_id in (None, "", " "):
        assert shop.ask(method, path, {}, X_client_id=client_id).code == "PARAM.0002"
    for client_id in ("x" * 32, "x", "é" * 32, "0" * 1000, shop.client_id[:-1]):
        assert shop.ask(method, path, {}, X_client_id=client_id).code == "PARAM.0003"


def test_a_suspended_client_is_unknown(front, shop, ann):
    """Within a second, and until it is resumed."""
    token, clients = shop.pass_for(ann), front.service.ciam.clients
    front.do(clients.suspend(shop.client_id, front.clock()))
    assert shop.send(ann, captcha_token=token).code == "PARAM.0003"
    front.do(clients.resume(shop.client_id, front.clock()))
    assert shop.send(ann, captcha_token=token).is_done


@pytest.mark.parametrize(
    ("name", "code"),
    [("mobile", "USER.0004"), ("type", "PARAM.0007"), ("captcha_token", "PARAM.0008")],
)
def test_absent_null_empty_and_blank_are_one(shop, ann, name, code):
    for blank in (..., None, "", " \t"):
        body = {"mobile": ann, "type": "LOGIN_SMS", "captcha_token": "x", name: blank}
        assert asking(shop, SEND, body, {}).code == code


def test_a_scene_is_one_of_the_six_to_the_letter(shop, ann):
    """And an unknown one leaves the pass as it is."""
    token = shop.pass_for(ann)
    for scene in ("login_sms", "LOGIN_SMS ", "LOGIN_EMS", "MFA_AUTH_SMS", "0", "é", "LOGIN"):
        assert shop.send(ann, scene, token).code == "CAPTCHA.0005"
    assert shop.send(ann, captcha_token=token).is_done


def test_a_carrier_that_refuses_is_told_and_the_pass_is_gone(shop):
    """The code of that message is dead too."""
    token = shop.pass_for(REFUSED)
    assert shop.send(REFUSED, captcha_token=token).code == "CAPTCHA.0006"
    assert shop.send(REFUSED, captcha_token=token).code == "CAPTCHA.0003"
    assert not messages(shop.server, REFUSED)
    assert shop.judge(REFUSED, "123456").code == "CAPTCHA.0008"


@pytest.mark.parametrize("number", ["12345", "nobody", "1520000000012", "+", "x@"])
def test_what_is_no_number_fails_when_it_is_to_be_sent_to(shop, number):
    """There is no code for it in the table but 0006; its pass is spent."""
    body = {"mobile": number, "type": "LOGIN_SMS", "captcha_token": shop.pass_for(number)}
    assert shop.post(SEND, {**body, "captcha_token": "x"}).code == "CAPTCHA.0004"
    reply = shop.post(SEND, body)
    assert reply.code == "CAPTCHA.0006"
    assert "retry-after" not in reply.headers
    assert shop.post(SEND, body).code == "CAPTCHA.0003"


def test_members_that_nobody_knows_are_not_looked_at(shop, ann):
    body = {"mobile": ann, "type": "LOGIN_SMS", "captcha_token": shop.pass_for(ann), "x": [1]}
    assert shop.post(SEND, {**body, "areaCode": "86", "": None}).is_done


def test_names_of_headers_have_no_case(shop, ann):
    reply = shop.post(SEND, {}, **{"x-l": "zh"})
    assert reply.json["error_msg"] == "手机号不能为空"


# Languages


def test_the_language_is_the_one_asked_for_or_chinese(shop):
    """By its first part, whatever its case; junk is no failure, and neither is too much of it."""
    chinese = ("zh", "ZH", "zh-CN", "zh_TW", "zh-Hans-CN", " zh ", None, "", "fr", "english", "e",
               "zhen", "en;q=1", "é", "en-" + "x" * 14, "en" * 2000, "*")  # fmt: skip
    for asked in ("en", "EN", "en-US", "en_GB", *chinese):
        text = TEXTS["USER.0004"][asked in chinese]
        assert (asked, shop.post(SEND, {}, X_L=asked).json["error_msg"]) == (asked, text)


def test_another_language_may_be_the_usual_one(serving):
    """It is a setting."""
    with serving(**TERMS, ciam=Ciam(language="en")) as running:
        caller = device(running)
        assert caller.post(SEND, {}, X_L=None).json["error_msg"] == TEXTS["USER.0004"][0]
        assert caller.post(SEND, {}, X_L="zh").json["error_msg"] == TEXTS["USER.0004"][1]


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_message_speaks_it_too(shop, ann, language):
    assert shop.beside(X_L=language).send(ann).is_done
    ((message),) = messages(shop.server, ann)
    assert message.text.isascii() is (language == "en")


# Numbers


SPELLINGS = ["{}", "+86{}", "+86-{}", "86-{}", "86{}", "0086{}"]


@pytest.mark.parametrize("scene", ["LOGIN_SMS", "UPDATE_PWD_SMS"])
def test_every_spelling_of_a_number_shares_pass_limit_and_code(shop, scene):
    """Whichever of them earned the pass, and whichever the code was asked for (section 2.4)."""
    for spelling, other in zip(SPELLINGS, [*SPELLINGS[1:], SPELLINGS[0]], strict=True):
        to = mobile()
        token = shop.pass_for(spelling.format(to))
        assert shop.send(other.format(to), scene, token).is_done
        reply = shop.send(spelling.format(to), scene)
        assert (reply.code, "retry-after" in reply.headers) == ("CAPTCHA.0006", True)
        code = code_for(shop.server, to)
        assert shop.judge(spelling.format(to), code, scene).is_done
        assert shop.judge(other.format(to), code, scene).code == "CAPTCHA.0008"


def test_a_bare_number_is_one_of_the_apps_own_country(front):
    hong_kong = device(front, region="HK")
    assert hong_kong.send("+85251234567", captcha_token=hong_kong.pass_for("51234567")).is_done
    assert hong_kong.judge("51234567", code_for(front, "+85251234567")).is_done


# What a code is good for


@pytest.mark.parametrize("scene", SCENES)
def test_a_code_of_one_scene_is_right_for_no_other(shop, ann, scene):
    """There it is as if none had been sent."""
    code = shop.code(ann, scene)
    for other in SCENES:
        if other != scene:
            assert shop.judge(ann, code, other).code == "CAPTCHA.0008"
    assert shop.judge(ann, code, scene).is_done


def test_a_code_of_one_client_is_right_for_no_other(front, shop, ann):
    """Nor for another one of the same app."""
    ((app_id),) = {
        front.do(front.service.ciam.clients.client(shop.client_id, front.clock())).app_id
    }
    code = shop.code(ann)
    for other in (device(front), device(front, app_id=app_id)):
        assert other.judge(ann, code).code == "CAPTCHA.0008"
    assert shop.judge(ann, code).is_done


def test_a_code_of_one_number_is_right_for_no_other(shop, ann):
    code, other = shop.code(ann), mobile()
    assert shop.judge(other, code).code == "CAPTCHA.0008"
    assert shop.code(other) is not None
    if code_for(shop.server, other) != code:
        assert shop.judge(other, code).code == "CAPTCHA.0007"


def test_a_newer_code_ends_the_older(front, shop, ann):
    """What a resend sends is drawn anew (DESIGN, "Policy")."""
    first = shop.code(ann)
    front.clock.pass_by(timedelta(seconds=60))
    second = shop.code(ann)
    if first != second:
        assert shop.judge(ann, first).code == "CAPTCHA.0007"
    assert shop.judge(ann, second).is_done
    assert shop.judge(ann, wrong(second)).code == "CAPTCHA.0008"


# The order of what is asked of an answer to a captcha


VERIFYING: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "PARAM.0001": ({"X_agent": " "}, {}),
    "PARAM.0002": ({"X_client_id": None}, {}),
    "PARAM.0003": ({"X_client_id": "x" * 32}, {}),
    "PARAM.0009": ({}, {"token": " "}),
    "PARAM.0010": ({}, {"point_json": None}),
    "USER.0004": ({}, {"sender": ""}),
    "CAPTCHA.0001": ({}, {"token": "0" * 32}),
    "CAPTCHA.0002": ({}, {"point_json": "x"}),
}


def verifying(caller, to, *codes):
    """The answer to an answer that has all these faults."""
    shown = caller.captcha()
    headers: dict[str, Any] = {}
    body = {"token": shown["token"], "point_json": "", "sender": to}
    for code in reversed(codes):
        headers |= VERIFYING[code][0]
        body |= VERIFYING[code][1]
    if "PARAM.0010" not in codes and "CAPTCHA.0002" not in codes:
        body["point_json"] = solved(shown)
    return caller.post(VERIFY, body, **headers)


ANSWERING = list(VERIFYING)


@pytest.mark.parametrize(("first", "second"), [*pairwise(ANSWERING), (ANSWERING[-1], None)])
def test_an_answer_to_a_captcha_is_refused_in_order(shop, ann, first, second):
    """Of two neighbours at once the earlier is told; each alone is told as itself."""
    assert verifying(shop, ann, first).code == first
    if second:
        assert verifying(shop, ann, first, second).code == first


@pytest.mark.parametrize(
    ("code", "english", "chinese"),
    [
        ("CAPTCHA.0001", "Graphic verification code has been invalid", "图形验证码已失效"),
        ("CAPTCHA.0002", "Graphic verification code verification failed", "图形验证码校验失败"),
        ("USER.0004", "Mobile number or email cannot be empty", "手机号或邮箱不能为空"),
    ],
)
def test_an_answer_is_refused_in_both_languages(shop, ann, code, english, chinese):
    assert verifying(shop, ann, code).json["error_msg"] == english
    assert verifying(shop.beside(X_L="zh"), ann, code).json["error_msg"] == chinese
