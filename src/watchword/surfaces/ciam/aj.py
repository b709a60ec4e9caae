"""AJ-Captcha's own two calls, so that its stock front ends work: contracts/ciam.md, section 6.

The status is always 200; what came of a call stands in the envelope. Codes and Chinese texts are
those of the vendor's RepCodeEnum, English ones those of its messages_en_US. We serve its slider
and, in the same envelope, proof of work; words to click are refused as a wrong type.

A front end names no number. The pass it earns is for whichever number shows it first, once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
from msgspec import UNSET, Raw, UnsetType

from watchword.errors import (
    KeyUnknown,
    ProviderUnavailable,
    QuotaExceeded,
    RequestInvalid,
    StoreUnavailable,
    WatchwordError,
)
from watchword.service.gate import Asker, CaptchaState
from watchword.service.show_captcha import Shown, show
from watchword.service.solve_captcha import Answer as Solving
from watchword.service.solve_captcha import solve
from watchword.surfaces.ciam import replies
from watchword.surfaces.ciam.calls import Call
from watchword.surfaces.ciam.replies import Language
from watchword.surfaces.exchange import Answer, BodyTooSlow, Exchange, Headers
from watchword.surfaces.metrics import TALLY
from watchword.surfaces.problems import retry_after
from watchword.surfaces.strict_json import decode, require_json
from watchword.surfaces.telling import tell_defect, tell_refused
from watchword.surfaces.untold import Untold

KINDS = {"blockPuzzle": "jigsaw", "altcha": "altcha"}
"""What a captchaType is to us."""


class Reply(msgspec.Struct, frozen=True):
    """{} stands for the name of what is wrong."""

    code: str
    zh: str
    en: str


BROKEN = Reply("9999", "服务器内部异常", "Internal Server Error")
FAILED = Reply("0001", "操作失败", "Operation Failed")
BLANK = Reply("0011", "{}不能为空", "{} cannot be empty")
TYPE_WRONG = Reply("0015", "{}类型错误", "{} is of the wrong type")
FORMAT_WRONG = Reply("0016", "{}格式错误", "{} is of the wrong format")
GONE = Reply("6110", "验证码已失效，请重新获取", "Captcha expired, please try again")
WRONG = Reply("6111", "验证失败", "Verification failed")
UNDRAWN = Reply(
    "6112",
    "获取验证码失败,请联系管理员",
    "Failed to get captcha, please contact administrator",
)
TOO_MANY_GETS = Reply(
    "6201",
    "get接口请求次数超限，请稍后再试!",
    "GET request limit exceeded, please try again later!",
)
LOCKED = Reply(
    "6202",
    "接口验证失败数过多，请稍后再试",
    "Too many verification failures, please try again later",
)

STATES: dict[CaptchaState, Reply | None] = {
    CaptchaState.RIGHT: None,
    CaptchaState.WRONG: WRONG,
    CaptchaState.GONE: GONE,
}


class Asked(Untold, frozen=True, kw_only=True, rename="camel"):
    """What both calls take of their body; its clientUid and ts are whatever the caller likes."""

    captcha_type: str | None = None
    token: str | None = None
    point_json: str | None = None


class Captcha(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """AJ's CaptchaVO, with all its members. `challenge` is ours, of a proof of work."""

    captcha_id: None = None
    project_code: None = None
    captcha_type: str
    captcha_original_path: None = None
    captcha_font_type: None = None
    captcha_font_size: None = None
    secret_key: str | None = None
    original_image_base64: str | None = None
    point: None = None
    jigsaw_image_base64: str | None = None
    word_list: None = None
    point_list: None = None
    point_json: str | None = None
    token: str
    result: bool = False
    captcha_verification: None = None
    challenge: Raw | UnsetType = UNSET


class Envelope(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`success` and `error` say again what `rep_code` says, for the front ends that look there."""

    rep_code: str = "0000"
    rep_msg: str | None = None
    rep_data: Captcha | None = None
    success: bool = True
    error: bool = False


class _Refused(Exception):
    def __init__(self, reply: Reply, name: str = "", cause: WatchwordError | None = None) -> None:
        super().__init__(reply.code)
        self.reply, self.name, self.cause = reply, name, cause


_ASKED = msgspec.json.Decoder(Asked)


async def get(call: Call) -> Answer:
    """POST /captcha/get: a captcha to solve."""
    return await _answered(call, _get, away=UNDRAWN)


async def check(call: Call) -> Answer:
    """POST /captcha/check: one answer to it. Where it is right, what the front end makes of it,
    `token---pointJson` plain or encrypted, is good for one send."""
    return await _answered(call, _check, away=FAILED)


def refused_by(error: WatchwordError, route: str, language: Language) -> Answer:
    """The envelope of a call that met this error before it came here."""
    return _refusal(_met(error, away=FAILED), route, language)


async def _get(call: Call, asked: Asked) -> Captcha:
    captcha_type, kind = _kind(call, asked)
    try:
        shown = await show(kind, _asker(call), call.directory.gate, now=call.now)
    except QuotaExceeded as error:
        raise _Refused(await _which_limit(call), cause=error) from None
    return _shown(captcha_type, shown)


async def _check(call: Call, asked: Asked) -> Captcha:
    captcha_type, _ = _kind(call, asked)
    answer = Solving(
        token=_given(asked.token, "token"),
        text=_given(asked.point_json, "pointJson"),
        asker=_asker(call),
    )
    solved = await solve(answer, call.directory.gate, now=call.now)
    if refusal := STATES[solved.state]:
        raise _Refused(refusal)
    return Captcha(
        captcha_type=captcha_type, token=answer.token, point_json=answer.text, result=True
    )


def _kind(call: Call, asked: Asked) -> tuple[str, str]:
    """The captcha's type, and what that is to us."""
    captcha_type = _given(asked.captcha_type, "captchaType")
    kind = KINDS.get(captcha_type)
    if kind is None or kind not in call.directory.gate.kinds:
        raise _Refused(TYPE_WRONG, "captchaType")
    return captcha_type, kind


def _given(text: str | None, name: str) -> str:
    if text is None or not text.strip():
        raise _Refused(BLANK, name)
    return text


def _asker(call: Call) -> Asker:
    return Asker(network=call.network)


async def _which_limit(call: Call) -> Reply:
    """Whether nothing is shown because too many answers were wrong, or because much was shown."""
    try:
        await call.directory.gate.refuse_guessers(call.network, call.now)
    except QuotaExceeded:
        return LOCKED
    return TOO_MANY_GETS


def _shown(captcha_type: str, shown: Shown) -> Captcha:
    challenge = shown.shown.get("challenge")
    return Captcha(
        captcha_type=captcha_type,
        token=shown.token,
        secret_key=shown.shown.get("key"),
        original_image_base64=shown.shown.get("picture"),
        jigsaw_image_base64=shown.shown.get("piece"),
        challenge=UNSET if challenge is None else Raw(challenge.encode()),
    )


async def _answered(
    call: Call, does: Callable[[Call, Asked], Awaitable[Captcha]], *, away: Reply
) -> Answer:
    """The envelope, whatever happens. `away` says that nobody can tell now."""
    try:
        captcha = await does(call, _read(call.exchange, call.body))
        return replies.told(replies.encode(Envelope(rep_data=captcha)))
    except _Refused as refused:
        met = refused
    except WatchwordError as error:
        met = _met(error, away=away)
    except Exception as defect:
        tell_defect(defect)
        met = _Refused(BROKEN)
    return _refusal(met, call.exchange.route, call.language or call.directory.language)


def _read(exchange: Exchange, body: bytes) -> Asked:
    """Raises RequestInvalid and kin."""
    if content_type := exchange.header(b"content-type"):
        require_json(content_type)
    return decode(body, _ASKED)


def _met(error: WatchwordError, *, away: Reply) -> _Refused:
    """An error as a refusal: what the caller can mend, what passes, what is over, what is ours."""
    match error:
        case RequestInvalid():
            return _Refused(FORMAT_WRONG, error.field.removeprefix("/") or "JSON", error)
        case QuotaExceeded():
            return _Refused(LOCKED, cause=error)
        case StoreUnavailable() | ProviderUnavailable():
            return _Refused(away, cause=error)
        case KeyUnknown():
            return _Refused(GONE, cause=error)
    return _Refused(BROKEN, cause=error)


def _refusal(refused: _Refused, route: str, language: Language) -> Answer:
    reply, cause = refused.reply, refused.cause
    if isinstance(cause, QuotaExceeded):
        TALLY.refused("", "captcha")
    if reply in (BROKEN, FAILED, UNDRAWN):  # else whoever comes could fill the log
        status = 500 if reply is BROKEN else 503
        tell_refused(route, status=status, code=reply.code, error=cause, account="", request_id="")
    envelope = Envelope(
        rep_code=reply.code,
        rep_msg=(reply.zh if language == "zh" else reply.en).format(refused.name),
        success=False,
        error=True,
    )
    return replies.told(replies.encode(envelope), *_headers(cause))


def _headers(cause: WatchwordError | None) -> Headers:
    """When to come back, where time helps."""
    match cause:
        case QuotaExceeded() | StoreUnavailable():
            return [retry_after(cause.retry_in)]
        case ProviderUnavailable():
            return [retry_after(StoreUnavailable.retry_in)]
        case BodyTooSlow():
            return [(b"connection", b"close")]
    return []
