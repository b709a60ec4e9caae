"""Find: what became of the codes of an address, and whether it would be sent another one now."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from watchword.domain.app import App
from watchword.domain.challenge import Challenge, State
from watchword.domain.delivery import Delivery
from watchword.domain.destination import Destination
from watchword.domain.failures import Failures
from watchword.domain.quota import Scope, demand
from watchword.errors import QuotaExceeded
from watchword.ports import Store
from watchword.service.house import House

LATE = timedelta(seconds=15)
"""A lane that stands has left something due for longer than this."""


class World(msgspec.Struct, frozen=True, kw_only=True):
    """An app as one dialect serves it; `is_suspended` where nobody of that dialect may call."""

    app: App
    dialect: str
    house: House
    is_suspended: bool = False


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A challenge, and each of its hand-overs. No code, no address."""

    id: str
    app_id: str
    purpose: str
    channel: str
    state: State
    opened_at: datetime
    expires_at: datetime
    resend_at: datetime
    closed_at: datetime | None
    attempts: int
    max_attempts: int
    deliveries: Sequence[Delivery]


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A limit without room. `amount` a `window_s`; `until` is when there is some."""

    scope: str
    amount: int
    window_s: int
    until: datetime


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a send would be refused now, as far as an address tells: limits that hang on the
    caller, his network or his device are not known here."""

    app_id: str
    app: str
    dialect: str
    is_suspended: bool
    is_test_number: bool
    refusals: Sequence[Refusal]
    failures: int
    """Wrong codes within the budget's window."""
    in_a_row: int
    locked_until: datetime | None


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """`standing_lanes` names channels whose lane hands nothing over, and since when."""

    to: str
    now: datetime
    challenges: Sequence[Told]
    standings: Sequence[Standing]
    standing_lanes: dict[str, datetime]


async def find(
    meanings: Sequence[Destination], worlds: Sequence[World], store: Store, *, now: datetime
) -> Found:
    """The first of the meanings that was sent anything, else the first. Raises StoreUnavailable."""
    for to in meanings:
        owners = {world.house.guesses(world.app.id, to): world for world in worlds}
        if challenges := await store.history(list(owners)):
            break
    else:
        to, challenges = meanings[0], ()
    return Found(
        to=to.masked,
        now=now,
        challenges=[await _told(one, store, now) for one in challenges],
        standings=[await _standing(world, to, now) for world in worlds],
        standing_lanes=await _standing_lanes(challenges, store, now),
    )


async def _told(challenge: Challenge, store: Store, now: datetime) -> Told:
    return Told(
        id=challenge.id,
        app_id=challenge.app_id,
        purpose=str(challenge.purpose),
        channel=challenge.channel,
        state=challenge.state_at(now),
        opened_at=challenge.opened_at,
        expires_at=challenge.expires_at,
        resend_at=challenge.resend_at,
        closed_at=challenge.closed_at,
        attempts=challenge.attempts,
        max_attempts=challenge.max_attempts,
        deliveries=await store.deliveries(challenge.app_id, challenge.id),
    )


async def _standing_lanes(
    challenges: Sequence[Challenge], store: Store, now: datetime
) -> dict[str, datetime]:
    due = {channel: await store.next_due(channel) for channel in {c.channel for c in challenges}}
    return {channel: at for channel, at in due.items() if at is not None and at + LATE < now}


async def _standing(world: World, to: Destination, now: datetime) -> Standing:
    house, app = world.house, world.app
    budget = house.budget
    failures = await house.store.failures(house.guesses(app.id, to))
    failures = failures.remembered(budget, now)
    wait = failures.wait(budget.per_destination, budget, now)
    return Standing(
        app_id=app.id,
        app=app.name,
        dialect=world.dialect,
        is_suspended=world.is_suspended,
        is_test_number=app.test_number(house.person(app.id, to), now) is not None,
        refusals=await _refusals(world, to, now),
        failures=_recent(failures, now - budget.window),
        in_a_row=failures.streak,
        locked_until=None if wait is None else now + wait,
    )


def _recent(failures: Failures, since: datetime) -> int:
    return sum(at > since for at in failures.instants)


async def _refusals(world: World, to: Destination, now: datetime) -> Sequence[Refusal]:
    """Every meter that an address alone names, looked at one by one; nothing is spent."""
    house, app = world.house, world.app
    values = {
        Scope.DESTINATION: to.limit_key,
        Scope.APP: app.id,
        Scope.PREFIX: to.prefix,
        Scope.COUNTRY: to.country,
        Scope.EVERYTHING: "everything",
    }
    found = []
    for meter in house.meters:
        if value := values.get(meter.scope, ""):
            counter = house.sends(app.id, meter.scope, value, meter.calendar)
            try:
                await house.store.spent([demand(meter, counter, now)], now)
            except QuotaExceeded as refusal:
                found.append(_refusal(refusal, now))
    return found


def _refusal(refusal: QuotaExceeded, now: datetime) -> Refusal:
    return Refusal(
        scope=refusal.scope,
        amount=refusal.amount,
        window_s=round(refusal.window.total_seconds()),
        until=now + refusal.retry_in,
    )
