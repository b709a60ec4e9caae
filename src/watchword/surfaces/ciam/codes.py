"""Send a code behind a captcha, and judge one for whoever keeps its own users: contracts/ciam.md,
sections 2 and 5. The order of the checks is the contract's."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime

from watchword.domain.challenge import Challenge, Verdict
from watchword.domain.destination import Destination, Kind
from watchword.errors import FailureBudgetSpent, ProviderRefused, RequestInvalid
from watchword.ports import Issued, Write
from watchword.service.check import Check, check, latest
from watchword.service.gate import CaptchaState, Holder
from watchword.service.issue import Send
from watchword.service.take_pass import look, take
from watchword.surfaces.ciam import replies, wire
from watchword.surfaces.ciam.calls import Call, Refusal
from watchword.surfaces.ciam.replies import REPLIES
from watchword.surfaces.ciam.wire import EMAIL_SCENES, SMS_SCENES, Receiver, Scene
from watchword.surfaces.exchange import Answer
from watchword.surfaces.metrics import TALLY
from watchword.surfaces.telling import sent, tell_judged

_LANGUAGES = {"zh": "zh-cn", "en": "en-us"}
_UNTOLD = frozenset({Scene.LOGIN, Scene.FORGET_PASSWORD})
"""Where an app keeps its users here, nobody learns from these whether somebody is one of them."""


async def send_sms(call: Call) -> Answer:
    mobile = wire.required(call.asked.mobile, replies.MOBILE_EMPTY)
    return await _send(call, wire.phone_of(mobile, call.known.client.region), SMS_SCENES)


async def send_email(call: Call) -> Answer:
    email = wire.required(call.asked.email, replies.EMAIL_EMPTY)
    return await _send(call, wire.mailbox_of(email), EMAIL_SCENES)


async def verify_sms(call: Call) -> Answer:
    """Ours: right is 200 and nothing; whatever the code was right for is the caller's affair."""
    mobile = wire.required(call.asked.mobile, replies.MOBILE_EMPTY)
    return await _verify(call, wire.phone_of(mobile, call.known.client.region), SMS_SCENES)


async def verify_email(call: Call) -> Answer:
    email = wire.required(call.asked.email, replies.EMAIL_EMPTY)
    return await _verify(call, wire.mailbox_of(email), EMAIL_SCENES)


async def is_open(call: Call, destination: Destination, scene: Scene) -> bool:
    """Whether any code could be right now. Raises ChallengeNotFound."""
    return (await _latest(call, destination, scene)).is_open(call.now)


async def use_up(
    call: Call,
    destination: Destination,
    scene: Scene,
    code: str,
    effect: Sequence[Write] = (),
) -> Verdict:
    """Judge a code; a right one is burnt in the act that its effect is part of. Raises
    ChallengeNotFound, FailureBudgetSpent, RecordConflict (with the code unspent)."""
    app, house = call.known.app, call.directory.house
    try:
        challenge = await _latest(call, destination, scene)
        asked = Check(
            app=app, challenge_id=challenge.id, code=code, client=call.end_user, effect=effect
        )
        judged = await check(asked, house, now=call.now)
    except FailureBudgetSpent as error:
        TALLY.refused(app.id, error.scope)
        raise
    tell_judged(app.id, challenge.id, judged, call.now)
    return judged.verdict


async def _send(call: Call, receiver: Receiver, scenes: Mapping[str, Scene]) -> Answer:
    wire.required(call.asked.type, replies.SCENE_EMPTY)
    wire.required(call.asked.captcha_token, replies.PASS_EMPTY)
    captcha_token, gate = call.asked.captcha_token, call.directory.gate
    holder = Holder(
        client_id=call.known.client.id,
        receiver=receiver.key,
        fingerprint=call.known.fingerprint,
    )
    state = await look(captcha_token, holder, gate, now=call.now)
    if state is CaptchaState.GONE:
        raise Refusal(replies.PASS_GONE)
    if state is CaptchaState.WRONG:
        raise Refusal(replies.PASS_WRONG)
    scene = scenes.get(call.asked.type)
    if scene is None:
        raise Refusal(replies.SCENE_UNKNOWN)
    if not await take(captcha_token, holder, gate, now=call.now):
        raise Refusal(replies.PASS_GONE)
    if receiver.destination is None:
        raise Refusal(replies.UNSENT, RequestInvalid("no such address"))
    issued = await _issued(call, receiver.destination, scene)
    return replies.done(
        (b"x-resend-after", b"%d" % _left(issued.resend_at, call)),
        (b"x-expires-in", b"%d" % _left(issued.expires_at, call)),
    )


def _left(until: datetime, call: Call) -> int:
    """Whole seconds, never too few."""
    return max(0, math.ceil((until - call.now).total_seconds()))


async def _issued(call: Call, destination: Destination, scene: Scene) -> Issued:
    """Send, and wait a moment for a carrier that refuses it, unless that told who is known here
    (DESIGN, section 4)."""
    app = call.known.app
    is_untold = _is_untold(call, scene)
    nobody = is_untold and not await _is_user(call, destination)
    send = Send(
        app=app,
        purpose=wire.PURPOSES[scene],
        destination=destination,
        channel="sms" if destination.kind is Kind.PHONE else "email",
        language=_spoken(call),
        subject=_subject(call, scene, destination, nobody=nobody),
        account=call.known.client.id,
        client=call.end_user,
        cancel_if_refused=not is_untold,
        nobody=nobody,
    )
    issued = await sent(send, call.directory.house, call.now)
    if issued.delivery is None or is_untold:
        return issued
    if await call.service.outcomes.was_refused(
        app.id, issued.challenge_id, issued.delivery, call.service.store
    ):
        raise ProviderRefused
    return issued


def _spoken(call: Call) -> str:
    """The language of the message: the one asked for, else the app's, else the dialect's."""
    if call.language is None and call.known.app.language:
        return call.known.app.language
    return _LANGUAGES[call.language or call.directory.language]


def _is_untold(call: Call, scene: Scene) -> bool:
    return call.known.client.users == "here" and scene in _UNTOLD


async def _is_user(call: Call, destination: Destination) -> bool:
    users, app_id = call.directory.users, call.known.app.id
    find = users.by_mobile if destination.kind is Kind.PHONE else users.by_email
    return await find(app_id, destination, call.now) is not None


async def _verify(call: Call, receiver: Receiver, scenes: Mapping[str, Scene]) -> Answer:
    wire.required(call.asked.type, replies.SCENE_EMPTY)
    code = wire.required(call.asked.verify_code, replies.CODE_EMPTY)
    scene = scenes.get(call.asked.type)
    if scene is None:
        raise Refusal(replies.SCENE_UNKNOWN)
    if receiver.destination is None:
        raise Refusal(replies.CODE_EXPIRED)
    try:
        verdict = await use_up(call, receiver.destination, scene, code)
    except FailureBudgetSpent as error:
        raise Refusal(replies.TOO_MANY_TRIES, error) from None
    if verdict is not Verdict.MATCH:
        raise Refusal(REPLIES[verdict])
    return replies.done()


async def _latest(call: Call, destination: Destination, scene: Scene) -> Challenge:
    """What a code for this destination and scene answers. Raises ChallengeNotFound."""
    app, house = call.known.app, call.directory.house
    nobody = _is_untold(call, scene) and not await _is_user(call, destination)
    subject, purpose = _subject(call, scene, destination, nobody=nobody), wire.PURPOSES[scene]
    return await latest(app, purpose, destination, subject, house, now=call.now)


def _subject(call: Call, scene: Scene, destination: Destination, *, nobody: bool) -> bytes:
    """A code sent for one scene of one application is right for no other (section 5). What is sent
    to nobody is kept apart, so that who registers now is not sent what was drawn for nobody."""
    kind = "nobody" if nobody else destination.kind
    return f"ciam {call.known.client.id} {scene} {kind}".encode()
