"""A challenge: one question put to whoever reads a destination, and the verdict on each answer.

At most one challenge is open per (app, purpose, destination, subject). It owns the attempts, the
binding and its single use; time belongs to each draw, so a resend never moves an older code's
expiry and never grants another attempt.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from enum import StrEnum
from hmac import compare_digest

import msgspec

from watchword.domain.policy import Resend
from watchword.domain.purpose import Purpose

MOST_DRAWS = 3
_TAG_DIGITS = 3
_SERIAL_DIGITS = 15
_SALT_BYTES = 4


class State(StrEnum):
    PENDING = "pending"
    APPROVED = "approved"
    EXHAUSTED = "exhausted"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class Verdict(StrEnum):
    MATCH = "match"
    MISMATCH = "mismatch"
    ALREADY_USED = "already-approved"
    EXHAUSTED = "exhausted"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class Draw(msgspec.Struct, frozen=True, array_like=True):
    """One code that was drawn: its keyed digest, never the code itself.

    `sealed` is the code under the ring's seal key, kept only where a resend may repeat it.
    """

    digest: bytes
    drawn_at: datetime
    expires_at: datetime
    sealed: bytes | None = None

    def may_be_repeated(self, now: datetime) -> bool:
        """True while at least half of its lifetime is left."""
        return (
            self.sealed is not None
            and (self.expires_at - now) * 2 >= self.expires_at - self.drawn_at
        )


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What of a challenge decides on an answer. `destination` is the keyed digest of (app,
    destination), under which failures are counted."""

    destination: bytes
    subject: bytes
    max_attempts: int
    attempts: int = 0
    state: State = State.PENDING
    draws: tuple[Draw, ...] = ()
    expires_at: datetime

    @property
    def attempts_left(self) -> int:
        return max(0, self.max_attempts - self.attempts)

    def state_at(self, now: datetime) -> State:
        """The state an onlooker sees: time expires a challenge without anyone writing it down."""
        if self.state is State.PENDING and self.expires_at <= now:
            return State.EXPIRED
        return self.state

    def is_open(self, now: datetime) -> bool:
        return self.state_at(now) is State.PENDING

    def knows(self, given: Given, now: datetime) -> bool:
        """Whether what was given is a live code of this challenge, for the same subject.

        Every draw is compared, so that time does not tell which one came near.
        """
        right = False
        for draw in self.draws:
            alive = draw.expires_at > now
            for digest in given.digests:
                right |= compare_digest(draw.digest, digest) and alive
        return right & (given.subject is None or compare_digest(given.subject, self.subject))


class Challenge(Question, frozen=True, kw_only=True):
    """`slot` is the keyed digest of (app, purpose, destination, subject); `recipient` the address
    and the words' settings, sealed."""

    id: str
    app_id: str
    purpose: Purpose
    channel: str
    slot: bytes
    masked: str
    recipient: bytes
    code_length: int
    opened_at: datetime
    resend_at: datetime
    closed_at: datetime | None = None

    def repeatable(self, resend: Resend, now: datetime) -> Draw | None:
        """The draw that a resend repeats, None where it has to draw anew."""
        newest = self.draws[-1] if self.draws else None
        if resend is Resend.SAME and newest and newest.may_be_repeated(now):
            return newest
        return None


class Given(msgspec.Struct, frozen=True):
    """What a person typed, as digests under every live code key, and the subject it is for.

    No subject means that the caller named the challenge by its key, so the subject is known right.
    """

    digests: tuple[bytes, ...]
    subject: bytes | None = None


def extended(
    draws: tuple[Draw, ...], fresh: Draw, resend: Resend, now: datetime
) -> tuple[Draw, ...]:
    """The draws of a challenge after a resend that drew `fresh`."""
    if resend is Resend.NEWEST:
        return (fresh,)
    live = tuple(draw for draw in draws if draw.expires_at > now)
    return (*live, fresh)[-MOST_DRAWS:]


def judge(question: Question, given: Given, now: datetime) -> Verdict:
    """Say what an attempt amounts to. Only MATCH and MISMATCH ever say whether a code was right."""
    state = question.state_at(now)
    if state is State.PENDING:
        return Verdict.MATCH if question.knows(given, now) else Verdict.MISMATCH
    return CLOSED[state]


CLOSED = {
    State.APPROVED: Verdict.ALREADY_USED,
    State.EXHAUSTED: Verdict.EXHAUSTED,
    State.EXPIRED: Verdict.EXPIRED,
    State.CANCELLED: Verdict.CANCELLED,
}
"""The verdict on any answer to a challenge that is over."""


def new_id(routing: bytes, *, after: str | None = None) -> str:
    """26 hexadecimal digits: the tag, 12 bits of the destination's keyed digest; the serial, 60
    bits that grow with time; and 32 random bits.

    The tag lets any store find a challenge, its destination's counters and its deliveries in one
    place. The serial is microseconds since 1970 and 8 random bits, so that a store finds a
    challenge by number, and new ones lie side by side; it is more than that of `after`, whatever
    the clock says.
    """
    salt = os.urandom(1 + _SALT_BYTES)
    number = time.time_ns() // 1000 << 8 | salt[0]
    if after is not None:
        number = max(number, serial(after) + 1)
    return f"{routing.hex()[:_TAG_DIGITS]}{number:0{_SERIAL_DIGITS}x}{salt[1:].hex()}"


def opened_about(challenge_id: str) -> datetime:
    """When the challenge of this id was opened, by the clock of who made the id. Raises ValueError
    for what is no id."""
    return datetime.fromtimestamp((serial(challenge_id) >> 8) / 1_000_000, UTC)


def serial(challenge_id: str) -> int:
    """The serial of an id, below 2**60. Raises ValueError for what is no id."""
    return int(challenge_id[_TAG_DIGITS : _TAG_DIGITS + _SERIAL_DIGITS], 16)
