"""Get a captcha, and trade the answer to it for a pass: contracts/ciam.md, sections 3 and 4."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs

from watchword.errors import QuotaExceeded
from watchword.service.gate import CaptchaState
from watchword.service.show_captcha import show
from watchword.service.solve_captcha import Answer as CaptchaAnswer
from watchword.service.solve_captcha import solve
from watchword.surfaces.ciam import replies, wire
from watchword.surfaces.ciam.calls import Call, Refusal
from watchword.surfaces.exchange import Answer
from watchword.surfaces.metrics import TALLY


async def get(call: Call) -> Answer:
    """A jigsaw, unless the query names another kind, or the settings offer none."""
    gate = call.directory.gate
    asked = parse_qs(call.exchange.scope["query_string"].decode("latin-1")).get("captchaType")
    usual = wire.JIGSAW if wire.JIGSAW in gate.kinds else next(iter(gate.kinds))
    with _counted(call):
        shown = await show(asked[0] if asked else usual, call.asker, gate, now=call.now)
    return replies.told(wire.told_captcha(shown))


async def verify(call: Call) -> Answer:
    """The pass is for the receiver that the answer names, and nobody else."""
    token = wire.required(call.asked.token, replies.TOKEN_EMPTY)
    wire.required(call.asked.point_json, replies.POINT_EMPTY)
    sender = wire.required(call.asked.sender, replies.RECEIVER_EMPTY)
    receiver = wire.receiver_of(sender, call.known.client.region)
    answer = CaptchaAnswer(
        token=token, text=call.asked.point_json, asker=call.asker, receiver=receiver.key
    )
    with _counted(call):
        solved = await solve(answer, call.directory.gate, now=call.now)
    if solved.state is CaptchaState.GONE:
        raise Refusal(replies.CAPTCHA_GONE)
    if solved.state is CaptchaState.WRONG:
        raise Refusal(replies.CAPTCHA_WRONG)
    return replies.told(wire.told_pass(solved.captcha_token))


@contextmanager
def _counted(call: Call) -> Iterator[None]:
    """What is refused here is in the refusals of its app."""
    try:
        yield
    except QuotaExceeded:
        TALLY.refused(call.known.app.id, "captcha")
        raise
