"""What a partner's programs call: send a code, create a customer with it, ask who exists."""

from __future__ import annotations

from collections.abc import Sequence

from watchword.directory.huawei import customers
from watchword.directory.huawei.customers import Prepared, Registration
from watchword.domain.app import App
from watchword.domain.challenge import Challenge, Verdict
from watchword.domain.destination import Destination
from watchword.domain.purpose import Purpose
from watchword.errors import (
    ChallengeNotFound,
    FailureBudgetSpent,
    ProviderRefused,
    QuotaExceeded,
    RecordConflict,
)
from watchword.ports import Write
from watchword.service.check import Check, check, latest
from watchword.service.issue import Send
from watchword.surfaces.exchange import Answer
from watchword.surfaces.huawei import auth, replies, wire
from watchword.surfaces.huawei.calls import Call, Refusal
from watchword.surfaces.huawei.replies import REPLIES, Reply
from watchword.surfaces.metrics import TALLY
from watchword.surfaces.telling import sent, tell_judged


async def send_code(call: Call) -> Answer:
    """Send a code, and wait a moment for a carrier that refuses it (DESIGN, section 4)."""
    app, account = auth.partner(call.known), call.known.account
    wanted = wire.wanted(call.asked, app.language or call.directory.language)
    send = Send(
        app=app,
        purpose=wanted.purpose,
        destination=wanted.destination,
        channel=wanted.channel,
        language=wanted.language,
        code_length=wire.CODE_LENGTH,
        ttl=wanted.ttl,
        subject=_subject(account.id, wanted.customer_id),
        account=account.id,
        cancel_if_refused=True,
    )
    issued = await sent(send, call.directory.house, call.now)
    if issued.delivery is not None and await call.service.outcomes.was_refused(
        app.id, issued.challenge_id, issued.delivery, call.service.store
    ):
        raise ProviderRefused
    return replies.done()


async def create_customer(call: Call) -> Answer:
    """Make a customer; where an address comes along its code is burnt in the same act."""
    partner = auth.partner(call.known)
    asked, code = wire.registration(call.asked)
    challenge = None
    if asked.destination:
        challenge = await _challenge(call, partner, asked.destination)
        if not challenge.is_open(call.now):  # no answer can be right: no password is worked on
            await _use_up(call, partner, challenge, code)
    while True:
        prepared = await _prepared(call, asked)
        try:
            if challenge is None:
                await call.directory.customers.add(prepared, call.now)
            else:
                await _use_up(call, partner, challenge, code, prepared.writes)
        except RecordConflict as conflict:
            if await _has_another_place(call, conflict, asked.destination):
                continue
            raise Refusal(_taken(call, conflict), conflict) from None
        return replies.told(wire.registered(prepared.customer))


async def check_identity(call: Call) -> Answer:
    """Say whether a mailbox, a phone or a log-in name is somebody's already."""
    auth.partner(call.known)
    kind, value = wire.searched(call.asked)
    used = await call.directory.customers.used(kind, value, call.now)
    return replies.told(wire.found(kind, used, call.directory.customers.per_phone))


def _subject(partner_id: str, customer_id: str = "") -> bytes:
    """What a code is bound to besides its address: the partner, and whose bank card it is about."""
    return f"huawei {partner_id} {customer_id}".encode()


async def _challenge(call: Call, app: App, destination: Destination) -> Challenge:
    """What a code for this address answers. Raises ChallengeNotFound where its time is over, even
    if it was exhausted before."""
    house, subject = call.directory.house, _subject(call.known.account.id)
    challenge = await latest(app, Purpose.SIGN_UP, destination, subject, house, now=call.now)
    if challenge.expires_at <= call.now:
        raise ChallengeNotFound
    return challenge


async def _prepared(call: Call, asked: Registration) -> Prepared:
    try:
        return await call.directory.customers.prepare(call.known.account, asked, call.now)
    except QuotaExceeded as error:
        raise Refusal(replies.BUSY, error) from None


async def _use_up(
    call: Call, app: App, challenge: Challenge, code: str, effect: Sequence[Write] = ()
) -> None:
    """Judge in the contract's order (section 5): none or expired, too many failures, wrong; a right
    code is burnt in the act that makes the customer. Raises Refusal, RecordConflict."""
    try:
        judged = await check(
            Check(app=app, challenge_id=challenge.id, code=code, effect=effect),
            call.directory.house,
            now=call.now,
        )
    except FailureBudgetSpent as error:
        TALLY.refused(app.id, error.scope)
        raise Refusal(replies.GUESSED, error) from None
    tell_judged(app.id, challenge.id, judged, call.now)
    if judged.verdict is not Verdict.MATCH:
        raise Refusal(REPLIES[judged.verdict])


async def _has_another_place(
    call: Call, conflict: RecordConflict, destination: Destination | None
) -> bool:
    """Whether only the place of a phone was taken meanwhile that this customer was to have."""
    if conflict.kind != customers.PHONE or destination is None:
        return False
    used = await call.directory.customers.used("mobile", destination, call.now)
    return used < call.directory.customers.per_phone


def _taken(call: Call, conflict: RecordConflict) -> Reply:
    if conflict.kind == customers.PHONE and call.directory.customers.per_phone > 1:
        return replies.TOO_MANY
    return replies.TAKEN.get(conflict.kind) or REPLIES[RecordConflict]
