"""Resend: once more to the destination of an open challenge, under the same limits."""

from __future__ import annotations

from datetime import datetime

import msgspec

from watchword.domain.app import App
from watchword.ports import Issued, Once
from watchword.service.house import Client, House
from watchword.service.issue import Recipient, Send, issue


class ResendWish(msgspec.Struct, frozen=True, kw_only=True):
    """`channel` None stays with the one last used."""

    app: App
    challenge_id: str
    channel: str | None = None
    client: Client = Client()
    once: Once | None = None


async def resend(wish: ResendWish, house: House, *, now: datetime) -> Issued:
    """Send what the policy says a resend sends.

    Raises ChallengeNotFound, ChallengeClosed, and all that `issue` raises.
    """
    challenge = await house.store.challenge(wish.app.id, wish.challenge_id)
    recipient = msgspec.msgpack.decode(
        house.keys.unseal(challenge.recipient, challenge.slot), type=Recipient
    )
    send = Send(
        app=wish.app,
        purpose=challenge.purpose,
        destination=recipient.to,
        channel=wish.channel or challenge.channel,
        language=recipient.language,
        code_length=challenge.code_length,
        subject=challenge.subject,
        client=wish.client,
        once=wish.once,
        only=challenge.id,
    )
    return await issue(send, house, now=now)
