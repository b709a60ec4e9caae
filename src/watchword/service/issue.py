"""Issue: draw a code for a destination and queue its delivery, within every limit."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from watchword.domain import code
from watchword.domain.app import App, TestNumber
from watchword.domain.challenge import Challenge, Draw, new_id
from watchword.domain.destination import Destination
from watchword.domain.policy import Resend
from watchword.domain.purpose import Purpose
from watchword.domain.quota import Demand, Scope, demand
from watchword.errors import ChannelUnavailable, RequestInvalid, StoreUnavailable
from watchword.ports import Issued, Once, Order, Parcel, RedrawNeeded
from watchword.service.house import Client, House

_MOST_TRIES = 12


class Send(msgspec.Struct, frozen=True, kw_only=True):
    """A wish to prove a destination. `subject` is what else the code is bound to; `account` whom a
    dialect counts it for. `only` names the one challenge that may be extended."""

    app: App
    purpose: Purpose
    destination: Destination
    channel: str
    language: str = ""
    code_length: int | None = None
    ttl: timedelta | None = None
    subject: bytes = b""
    account: str = ""
    client: Client = Client()
    once: Once | None = None
    only: str | None = None
    cancel_if_refused: bool = False
    nobody: bool = False
    """Whoever asks is not to learn that nobody is there: the same act, with a code that nothing
    matches and a delivery that says nothing, which goes all the way to a provider but not to it."""


class Recipient(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Where a message goes and how it speaks, as it rests sealed in challenge and delivery."""

    to: Destination
    language: str
    app_language: str
    brand: str
    origin: str
    brands: dict[str, str] = {}
    """By language; one that was sealed before there were any has none."""


async def issue(send: Send, house: House, *, now: datetime) -> Issued:
    """Open a challenge, or resend the open one, and queue its message in one act.

    Raises ChannelUnavailable, QuotaExceeded and kin, ChallengeClosed, IdempotencyKeyReused,
    StoreUnavailable.
    """
    _refuse_unless_carried(send, house)
    draft = _Draft(send, house, now)
    order = draft.drawn_for(send.only)
    for _ in range(_MOST_TRIES):
        answer = await house.store.issue(order, now)
        if isinstance(answer, Issued):
            if answer.delivery is not None:
                house.queued(send.channel)
            return answer
        order = draft.redrawn(answer)
    raise StoreUnavailable


def _refuse_unless_carried(send: Send, house: House) -> None:
    takes = house.channels.get(send.channel)
    if takes is None:
        raise ChannelUnavailable
    if takes is not send.destination.kind:
        raise RequestInvalid(
            f"'{send.channel}' does not reach a {send.destination.kind}.", field="/channel"
        )


class _Draft:
    """An order in the making: all of it but the code, which is drawn per challenge."""

    def __init__(self, send: Send, house: House, now: datetime) -> None:
        self._send, self._house, self._now = send, house, now
        self._policy = send.app.policy(send.purpose, house.policy)
        self._length = send.code_length or self._policy.length
        self._destination = house.guesses(send.app.id, send.destination)
        self._slot = slot(send.app, send.purpose, send.destination, send.subject, house, now)
        self._test = _test_number(send.app, send.destination, house, now)
        self._network = house.network(send.app.id, send.client)
        self._demands = () if self._test else self._demanded()
        self._recipient = self._sealed_recipient()

    def redrawn(self, needed: RedrawNeeded) -> Order:
        self._length = needed.code_length
        return self.drawn_for(needed.challenge_id, after=needed.after)

    def drawn_for(self, standing: str | None, *, after: str | None = None) -> Order:
        """The order with a code drawn for the open challenge `standing`, or for a new one."""
        send, policy, now = self._send, self._policy, self._now
        challenge_id = standing or new_id(self._destination, after=after)
        draw, sealed = self._draw(challenge_id)
        parcel = None
        if not self._test:
            parcel = Parcel(
                channel=send.channel, code=sealed, cancel_if_refused=send.cancel_if_refused
            )
        return Order(
            challenge=Challenge(
                id=challenge_id,
                app_id=send.app.id,
                purpose=send.purpose,
                channel=send.channel,
                slot=self._slot,
                destination=self._destination,
                subject=send.subject,
                masked=send.destination.masked,
                recipient=self._recipient,
                code_length=self._length,
                max_attempts=policy.max_attempts,
                draws=(draw,),
                opened_at=now,
                resend_at=now + policy.resend_interval,
                expires_at=draw.expires_at,
            ),
            resend=policy.resend,
            resend_interval=policy.resend_interval,
            redraw_for=standing,
            only=send.only,
            demands=self._demands,
            budget=self._house.budget,
            network=self._network,
            parcel=parcel,
            once=send.once,
        )

    def _demanded(self) -> tuple[Demand, ...]:
        """One unit of every meter whose scope has a value here."""
        send, house = self._send, self._house
        counters = {(Scope.NETWORK, ""): self._network}
        if not house.dialect:
            counters[Scope.DESTINATION, ""] = self._destination
        demands = []
        for meter in house.meters:
            if value := _VALUES[meter.scope](send, house):
                counter = counters.get((meter.scope, meter.calendar)) or house.sends(
                    send.app.id, meter.scope, value, meter.calendar
                )
                demands.append(demand(meter, counter, self._now))
        return tuple(demands)

    def _draw(self, challenge_id: str) -> tuple[Draw, bytes]:
        """A draw, and its code sealed for the outbox; a test number has its code already."""
        keys, now = self._house.keys, self._now
        expires_at = now + (self._send.ttl or self._policy.ttl)
        if self._test and not self._send.nobody:
            return Draw(self._test.code, now, expires_at), b""
        drawn = code.draw(self._policy.alphabet, self._length)
        digest = keys.digest(challenge_id, drawn)
        if self._send.nobody:
            drawn, digest = "", os.urandom(len(digest))
        sealed = keys.seal(drawn.encode(), challenge_id.encode())
        kept = sealed if self._policy.resend is Resend.SAME else None
        return Draw(digest, now, expires_at, kept), sealed

    def _sealed_recipient(self) -> bytes:
        send = self._send
        recipient = Recipient(
            to=send.destination,
            language=send.language,
            app_language=send.app.language,
            brand=send.app.brand or send.app.name,
            origin=send.app.origin,
            brands=send.app.brands,
        )
        return self._house.keys.seal(msgspec.msgpack.encode(recipient), self._slot)


def _test_number(
    app: App, destination: Destination, house: House, now: datetime
) -> TestNumber | None:
    if not app.test_numbers:
        return None
    return app.test_number(house.person(app.id, destination), now)


def slot(
    app: App,
    purpose: Purpose,
    destination: Destination,
    subject: bytes,
    house: House,
    now: datetime,
) -> bytes:
    """The key of a challenge: at most one is open per slot. A test number has a slot of its own, so
    that its known code and a real one never stand in one challenge."""
    kind = "test" if _test_number(app, destination, house, now) else "slot"
    return house.keys.index(kind, app.id, purpose, destination.identity, subject)


_VALUES: dict[Scope, Callable[[Send, House], str]] = {
    Scope.DESTINATION: lambda send, _: send.destination.limit_key,
    Scope.APP: lambda send, _: send.app.id,
    Scope.ACCOUNT: lambda send, _: send.account,
    Scope.NETWORK: lambda send, house: send.client.network if house.by_network else "",
    Scope.FINGERPRINT: lambda send, house: send.client.fingerprint if house.by_network else "",
    Scope.PREFIX: lambda send, _: send.destination.prefix,
    Scope.COUNTRY: lambda send, _: send.destination.country,
    Scope.EVERYTHING: lambda *_: "everything",
}
"""What each scope counts in a send; nothing is counted where it is empty."""
