"""Check: settle one attempt. Of many right answers at once, exactly one wins."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from watchword.domain import code
from watchword.domain.app import App
from watchword.domain.challenge import Challenge, Given
from watchword.domain.destination import Destination
from watchword.domain.purpose import Purpose
from watchword.ports import Attempt, Judged, Once, Write
from watchword.service.house import Client, House
from watchword.service.issue import slot


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """What a person typed. `subject` None where the caller found the challenge by its key;
    `effect` is written in the same act that consumes the code."""

    app: App
    challenge_id: str
    code: str
    subject: bytes | None = None
    client: Client = Client()
    effect: Sequence[Write] = ()
    once: Once | None = None


async def check(asked: Check, house: House, *, now: datetime) -> Judged:
    """Count first, judge second, consume once: one act of the store.

    Raises ChallengeNotFound, FailureBudgetSpent, RecordConflict, IdempotencyKeyReused,
    StoreUnavailable.
    """
    typed = code.normalise(asked.code)
    tests_of = asked.app.id if asked.app.test_numbers else ""
    digests = house.keys.digests(asked.challenge_id, typed, tests_of=tests_of)
    attempt = Attempt(
        app_id=asked.app.id,
        challenge_id=asked.challenge_id,
        given=Given(digests, asked.subject),
        budget=house.budget,
        network=house.network(asked.app.id, asked.client),
        effect=asked.effect,
        once=asked.once,
    )
    return await house.store.attempt(attempt, now)


async def latest(
    app: App,
    purpose: Purpose,
    destination: Destination,
    subject: bytes,
    house: House,
    *,
    now: datetime,
) -> Challenge:
    """The challenge that a code for this destination answers, where a caller knows no id.

    Raises ChallengeNotFound, StoreUnavailable.
    """
    return await house.store.latest(app.id, slot(app, purpose, destination, subject, house, now))
