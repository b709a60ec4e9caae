"""Find: what became of the codes of an address, and whether it would be sent another one now. What
was swept since, the journal still tells."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

import msgspec

from watchword.domain.app import App
from watchword.domain.challenge import Challenge, State
from watchword.domain.delivery import Delivery, DeliveryState
from watchword.domain.destination import Destination
from watchword.domain.failures import Failures
from watchword.domain.quota import Scope, demand
from watchword.errors import ChallengeNotFound, QuotaExceeded
from watchword.ports import Store
from watchword.service.house import House
from watchword.service.pause import Pause, paused
from watchword.service.read_journal import Happened, Lately, about, lately

LATE = timedelta(seconds=15)
"""A lane that stands has left something due for longer than this."""
MOST_EVENTS = 40
"""So much of the journal is told; `watchword journal show` tells more."""


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
    waiting_before: dict[int, int] = {}
    """By delivery: how many of its channel were queued before it and wait, too."""


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
    """`standing_lanes` names channels whose lane hands nothing over, and since when; `paused` those
    where an operator wants it so. `events` are the journal's, of what is kept no more."""

    to: str
    now: datetime
    challenges: Sequence[Told]
    standings: Sequence[Standing]
    standing_lanes: dict[str, datetime]
    paused: dict[str, Pause]
    events: Lately


async def find(
    meanings: Sequence[Destination], worlds: Sequence[World], store: Store, *, now: datetime
) -> Found:
    """The first of the meanings that was sent anything, else the first. Raises StoreUnavailable."""
    for to in meanings:
        owners = {world.house.guesses(world.app.id, to): world for world in worlds}
        challenges = await store.history(list(owners))
        events = await _events(list(owners), {one.id for one in challenges}, store)
        if challenges or events.events:
            break
    else:
        to, challenges, events = meanings[0], (), Lately(())
    told = [await _told(one, store, now) for one in challenges]
    return Found(
        to=to.masked,
        now=now,
        challenges=told,
        standings=[await _standing(world, to, now) for world in worlds],
        standing_lanes=await _standing_lanes(told, store, now),
        paused=await _paused(told, store, now),
        events=events,
    )


async def find_challenge(
    challenge_id: str, app_ids: Sequence[str], store: Store, *, now: datetime
) -> Found:
    """One challenge, whichever of these apps it is of; else what the journal tells of it. Where it
    was sent to is not known, so neither is what holds there. Raises StoreUnavailable."""
    for app_id in app_ids:
        try:
            challenge = await store.challenge(app_id, challenge_id)
        except ChallengeNotFound:
            continue
        told = [await _told(challenge, store, now)]
        return Found(
            to=challenge.masked,
            now=now,
            challenges=told,
            standings=(),
            standing_lanes=await _standing_lanes(told, store, now),
            paused=await _paused(told, store, now),
            events=Lately(()),
        )

    def is_of_it(event: Happened) -> bool:
        return event.challenge_id == challenge_id and event.app_id in app_ids

    events = await lately(store, most=MOST_EVENTS, wanted=is_of_it)
    return Found(
        to=next((event.masked for event in events.events if event.masked), ""),
        now=now,
        challenges=(),
        standings=(),
        standing_lanes={},
        paused={},
        events=events,
    )


async def _events(subjects: Sequence[bytes], known: Collection[str], store: Store) -> Lately:
    """What the challenges that are known do not tell themselves."""
    found = await about(store, subjects, most=10 * MOST_EVENTS)
    untold = [event for event in found.events if event.challenge_id not in known]
    is_all = found.is_all and len(untold) <= MOST_EVENTS
    return Lately(untold[-MOST_EVENTS:], is_all=is_all)


async def _told(challenge: Challenge, store: Store, now: datetime) -> Told:
    deliveries = await store.deliveries(challenge.app_id, challenge.id)
    waiting = [one for one in deliveries if one.state is DeliveryState.QUEUED]
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
        deliveries=deliveries,
        waiting_before={one.id: await store.waiting_before(one) for one in waiting},
    )


def _channels(challenges: Sequence[Told]) -> set[str]:
    """Also those that a resend left: a challenge names its last one alone."""
    return {
        channel
        for told in challenges
        for channel in (told.channel, *(one.channel for one in told.deliveries))
    }


async def _standing_lanes(
    challenges: Sequence[Told], store: Store, now: datetime
) -> dict[str, datetime]:
    due = {channel: await store.next_due(channel) for channel in _channels(challenges)}
    return {channel: at for channel, at in due.items() if at is not None and at + LATE < now}


async def _paused(challenges: Sequence[Told], store: Store, now: datetime) -> dict[str, Pause]:
    asked = {channel: await paused(store, channel, now) for channel in _channels(challenges)}
    return {channel: pause for channel, pause in asked.items() if pause is not None}


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
