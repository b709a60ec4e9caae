"""Every outcome and its answer in two languages, in one table: contracts/ciam.md, sections 2 to 5.

What the vendor's page says is kept to the letter; its clients know no status but 400. Numbers that
the page does not have are ours: PARAM.0000 and 0009 to 0015, USER.0005 to 0008, CAPTCHA.0001, 0008
and 0009, SYSTEM.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from watchword import errors
from watchword.directory.ciam import tokens, users
from watchword.domain.challenge import Verdict
from watchword.surfaces import exchange
from watchword.surfaces.exchange import Answer, Headers
from watchword.surfaces.problems import retry_after

Language = Literal["zh", "en"]

JSON = (b"content-type", b"application/json;charset=UTF-8")
NO_STORE = (b"cache-control", b"no-store")
LONGEST_MESSAGE = 512
encode = msgspec.json.Encoder().encode


class Reply(msgspec.Struct, frozen=True):
    """`is_told` adds what the error itself says, in English, where it is about the request."""

    code: str
    en: str
    zh: str
    status: int = 400
    is_told: bool = False


def _reply(code: str, en: str, zh: str, status: int = 400) -> Reply:
    return Reply(f"IDAAS.SDK.{code}", en, zh, status)


def _malformed(status: int = 400) -> Reply:
    return Reply(
        "IDAAS.SDK.PARAM.0000", "The request is invalid", "请求参数不正确", status, is_told=True
    )


DEVICE_INCOMPLETE = _reply("PARAM.0001", "Device information is incomplete", "设备信息不完整")
CLIENT_EMPTY = _reply("PARAM.0002", "clientId cannot be empty", "clientId不能为空")
CLIENT_UNKNOWN = _reply(
    "PARAM.0003",
    "The app is not registered, please register the app first",
    "应用未注册,请先注册应用",
)
MOBILE_EMPTY = _reply("USER.0004", "Mobile number cannot be empty", "手机号不能为空")
EMAIL_EMPTY = _reply("USER.0004", "Email cannot be empty", "邮箱不能为空")
RECEIVER_EMPTY = _reply(
    "USER.0004", "Mobile number or email cannot be empty", "手机号或邮箱不能为空"
)
SCENE_EMPTY = _reply("PARAM.0007", "Send scene cannot be empty", "发送场景不能为空")
PASS_EMPTY = _reply(
    "PARAM.0008",
    "Graphic verification code verification pass token cannot be empty",
    "图形验证码校验通过令牌不能为空",
)
TOKEN_EMPTY = _reply(
    "PARAM.0009", "Graphic verification code token cannot be empty", "图形验证码令牌不能为空"
)
POINT_EMPTY = _reply(
    "PARAM.0010",
    "Graphic verification code coordinates cannot be empty",
    "图形验证码坐标不能为空",
)
CODE_EMPTY = _reply("PARAM.0011", "Verification code cannot be empty", "验证码不能为空")
USERS_ELSEWHERE = _reply(
    "PARAM.0012",
    "This app keeps its users elsewhere, please call sms/verify or email/verify",
    "该应用的用户不在此处,请调用sms/verify或email/verify",
)
PASSWORD_EMPTY = _reply("PARAM.0013", "Password cannot be empty", "密码不能为空")
PASSWORD_WEAK = Reply("IDAAS.SDK.PARAM.0014", "Password is too weak", "密码强度不足", is_told=True)
PROFILE_INVALID = Reply(
    "IDAAS.SDK.PARAM.0015", "User information is invalid", "用户信息不正确", is_told=True
)
ID_TOKEN_INVALID = _reply("PARAM.0016", "IdToken is invalid or expired", "IdToken无效或已过期")
MOBILE_TAKEN = _reply("USER.0005", "Mobile number has been registered", "手机号已注册")
EMAIL_TAKEN = _reply("USER.0006", "Email has been registered", "邮箱已注册")
USER_NAME_TAKEN = _reply("USER.0007", "User name has been registered", "用户名已存在")
CAPTCHA_GONE = _reply(
    "CAPTCHA.0001", "Graphic verification code has been invalid", "图形验证码已失效"
)
CAPTCHA_WRONG = _reply(
    "CAPTCHA.0002", "Graphic verification code verification failed", "图形验证码校验失败"
)
PASS_GONE = _reply(
    "CAPTCHA.0003",
    "Graphic verification code verification passed the token has been invalid",
    "图形验证码校验通过令牌已失效",
)
PASS_WRONG = _reply(
    "CAPTCHA.0004",
    "Graphic verification code verification passed token verification failed",
    "图形验证码校验通过令牌校验失败",
)
SCENE_UNKNOWN = _reply("CAPTCHA.0005", "Unknown sending scenario", "未知的发送场景")
UNSENT = _reply("CAPTCHA.0006", "Failed to send verification code", "验证码发送失败")
CODE_WRONG = _reply("CAPTCHA.0007", "Incorrect verification code", "验证码错误")
CODE_EXPIRED = _reply("CAPTCHA.0008", "Verification code has expired", "验证码已失效")
TOO_MANY_TRIES = _reply(
    "CAPTCHA.0009", "Too many incorrect verification codes", "验证码错误次数过多"
)
NOT_FOUND = _reply("SYSTEM.0404", "The API does not exist", "接口不存在", 404)
NOT_ALLOWED = _reply("SYSTEM.0405", "The API does not take this method", "不支持该请求方法", 405)
_BROKEN = _reply("SYSTEM.0500", "System error", "系统错误", 500)
_AWAY = _reply("SYSTEM.0503", "System busy, please try again later", "系统繁忙,请稍后再试", 503)

REPLIES: dict[type[errors.WatchwordError] | Verdict, Reply] = {
    Verdict.MATCH: Reply("", "Success", "成功", 200),
    Verdict.MISMATCH: CODE_WRONG,
    Verdict.ALREADY_USED: CODE_EXPIRED,
    Verdict.EXHAUSTED: TOO_MANY_TRIES,
    Verdict.EXPIRED: CODE_EXPIRED,
    Verdict.CANCELLED: CODE_EXPIRED,
    errors.WatchwordError: _BROKEN,
    errors.RequestInvalid: _malformed(),
    exchange.BodyMalformed: _malformed(),
    exchange.HeaderInvalid: _malformed(),
    exchange.MediaTypeUnsupported: _malformed(415),
    exchange.BodyTooSlow: _malformed(408),
    exchange.BodyTooLarge: _malformed(413),
    users.PasswordWeak: PASSWORD_WEAK,
    errors.AccessDenied: CLIENT_UNKNOWN,
    errors.ScopeMissing: CLIENT_UNKNOWN,
    tokens.IdTokenInvalid: ID_TOKEN_INVALID,
    errors.ChallengeNotFound: CODE_EXPIRED,
    errors.ChallengeClosed: UNSENT,
    errors.QuotaExceeded: UNSENT,
    errors.ResendTooSoon: UNSENT,
    errors.FailureBudgetSpent: UNSENT,
    errors.IdempotencyKeyReused: _malformed(),
    errors.RecordConflict: _BROKEN,
    errors.DeliveryFailed: UNSENT,
    errors.ProviderRefused: UNSENT,
    errors.ProviderUnavailable: UNSENT,
    errors.OutcomeUnknown: UNSENT,
    errors.ChannelUnavailable: UNSENT,
    errors.StoreUnavailable: _AWAY,
    errors.KeyUnknown: UNSENT,
    errors.ConfigInvalid: _BROKEN,
}

TAKEN = {
    users.MOBILE: MOBILE_TAKEN,
    users.EMAIL: EMAIL_TAKEN,
    users.USER_NAME: USER_NAME_TAKEN,
}
"""What a refused record of a user was about."""


def done(*headers: tuple[bytes, bytes]) -> Answer:
    """A success that says nothing: 200 and no byte."""
    return Answer(200, list(headers), b"")


def told(body: bytes, *headers: tuple[bytes, bytes]) -> Answer:
    return Answer(200, [JSON, NO_STORE, *headers], body)


def refused(reply: Reply, error: Exception | None, language: Language) -> Answer:
    """The answer to a request that is refused; it says when to come back where time helps."""
    message = reply.zh if language == "zh" else reply.en
    if reply.is_told and error:
        message = f"{message}: {_said(error)}"[:LONGEST_MESSAGE]
    headers: Headers = [JSON, NO_STORE]
    if isinstance(error, errors.QuotaExceeded | errors.StoreUnavailable):
        headers.append(retry_after(error.retry_in))
    elif isinstance(error, errors.ProviderUnavailable):
        headers.append(retry_after(errors.StoreUnavailable.retry_in))
    if isinstance(error, exchange.BodyTooSlow):
        headers.append((b"connection", b"close"))
    body = encode({"error_code": reply.code, "error_msg": message})
    return Answer(reply.status, headers, body)


def _said(error: Exception) -> str:
    """The error in its own words, after the parameter that it is about."""
    name = error.field.removeprefix("/") if isinstance(error, errors.RequestInvalid) else ""
    said = str(error).removesuffix(".")
    return f"{name}: {said}" if name else said
