"""The acts on challenges: issue, attempt, cancel. Each looks before it writes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TypeVar

import apsw
import msgspec

from watchword.domain.challenge import (
    Challenge,
    Draw,
    Question,
    State,
    Verdict,
    extended,
    judge,
    serial,
)
from watchword.domain.policy import Resend
from watchword.errors import (
    ChallengeClosed,
    ChallengeNotFound,
    IdempotencyKeyReused,
    RecordConflict,
    ResendTooSoon,
)
from watchword.ports import (
    ONCE_KEPT,
    Attempt,
    Issued,
    Judged,
    Once,
    Order,
    Parcel,
    RedrawNeeded,
    Write,
)
from watchword.stores._instants import maybe_micros, micros, span
from watchword.stores._rows import naming
from watchword.stores.sqlite._connection import changed
from watchword.stores.sqlite._journal import tell_sent
from watchword.stores.sqlite._limits import FailureBudget, Spending, looks_at
from watchword.stores.sqlite._looking import Known, Look, look
from watchword.stores.sqlite._queries import SQL
from watchword.stores.sqlite._rows import challenge_from, encode, question_from

T = TypeVar("T")

_MINUTE = span(timedelta(minutes=1))
_ONCE_KEPT = span(ONCE_KEPT)


def issue(cursor: apsw.Cursor, order: Order, now: datetime) -> Issued | RedrawNeeded:
    """See ports.ChallengeStore.issue. Refusals first."""
    at, asked, once = micros(now), order.challenge, order.once
    looks = looks_at(order.demands)
    looks += [("latest", (asked.slot,)), ("failures", (asked.destination, b""))]
    known = _look_up(cursor, looks, once, at)
    if once and (earlier := _recall(known, once, Issued)):
        return msgspec.structs.replace(earlier, replayed=True)
    if ("failures", b"") in known:
        FailureBudget(
            cursor, known, asked.destination, order.network, order.budget, now
        ).refuse_if_spent(now)
    latest = _latest(cursor, asked) if ("latest", asked.slot) in known else None
    if order.only:
        _refuse_unless_open(cursor, latest, asked.app_id, order.only, now)
    standing = latest if latest and latest.is_open(now) else None
    repeated = None
    if standing:
        _refuse_if_too_soon(standing, order, now)
        repeated = standing.repeatable(order.resend, now)
    if not repeated and (misfit := _misfit(latest, standing, order)):
        return misfit
    spending = Spending(cursor, known, order.demands, at)
    spending.refuse_if_spent()
    if standing:
        challenge = _extend(cursor, standing, order, repeated, now)
    elif _opened(cursor, asked):
        challenge = asked
    else:
        return RedrawNeeded(None, asked.code_length, after=asked.id)
    spending.spend()
    delivery = _queue(cursor, challenge, order.parcel, repeated, at) if order.parcel else None
    issued = _issued(challenge, delivery, opened=standing is None)
    tell_sent(cursor, challenge, at, opened=issued.opened, is_test=order.parcel is None)
    _remember(cursor, once, issued, at)
    return issued


def attempt(cursor: apsw.Cursor, attempt: Attempt, now: datetime) -> Judged:
    """See ports.ChallengeStore.attempt: count, judge and consume, in that order, in one act."""
    at, once, network = micros(now), attempt.once, attempt.network
    named = naming(attempt.challenge_id, attempt.app_id)
    row = cursor.execute(SQL["question"], named).fetchone()
    question = question_from(row) if row else None
    destination = question.destination if question else b""
    known = _look_up(cursor, [("failures", (destination, b""))], once, at)
    if once and (earlier := _recall(known, once, Judged)):
        return msgspec.structs.replace(earlier, replayed=True)
    if question is None:
        raise ChallengeNotFound
    failures = FailureBudget(cursor, known, destination, network, attempt.budget, now)
    failures.refuse_if_spent(now)
    verdict, left = judge(question, attempt.given, now), question.attempts_left
    if verdict is Verdict.MATCH:
        apply(cursor, attempt.effect, now)
        _close(cursor, named[0], State.APPROVED, question.attempts, at)
        failures.clear()
    elif verdict is Verdict.MISMATCH:
        left -= 1
        _count(cursor, named[0], question, at)
        failures.add(now)
    judged = Judged(verdict=verdict, attempts_left=left)
    _remember(cursor, once, judged, at)
    return judged


def cancel(cursor: apsw.Cursor, app_id: str, challenge_id: str, now: datetime) -> Challenge:
    challenge = find(cursor, app_id, challenge_id)
    if not challenge.is_open(now):
        return challenge
    _close(cursor, serial(challenge.id), State.CANCELLED, challenge.attempts, micros(now))
    return msgspec.structs.replace(challenge, state=State.CANCELLED, draws=(), closed_at=now)


def find(cursor: apsw.Cursor, app_id: str, challenge_id: str) -> Challenge:
    """Raises ChallengeNotFound."""
    row = cursor.execute(SQL["challenge"], naming(challenge_id, app_id)).fetchone()
    if row is None:
        raise ChallengeNotFound
    return challenge_from(row)


def _close(cursor: apsw.Cursor, number: int, state: State, attempts: int, at: int) -> None:
    """Close a challenge, drop its codes, and drop what of it is still queued."""
    cursor.execute(SQL["close_challenge"], (str(state), attempts, at, number))
    cursor.execute(SQL["drop_queued"], (at, number))


def _count(cursor: apsw.Cursor, number: int, question: Question, at: int) -> None:
    """Spend an attempt. The last one closes the challenge."""
    cursor.execute(SQL["tell_failed"], (at, number))
    if question.attempts_left <= 1:
        _close(cursor, number, State.EXHAUSTED, question.attempts + 1, at)
    else:
        cursor.execute(SQL["count_attempt"], (number,))


def apply(cursor: apsw.Cursor, writes: Sequence[Write], now: datetime) -> None:
    """Conditional record writes, all or none. Raises RecordConflict for the first misfit."""
    at = micros(now)
    for write in writes:
        expires_at = maybe_micros(write.expires_at)
        if write.body is None:
            cursor.execute(SQL["delete_record"], (write.kind, write.key, write.version, at))
        elif write.version == 0:
            cursor.execute(SQL["add_record"], (write.kind, write.key, write.body, expires_at, at))
        else:
            cursor.execute(
                SQL["change_record"],
                (write.body, expires_at, write.kind, write.key, write.version, at),
            )
        if changed(cursor) != 1:
            raise RecordConflict(write.kind, write.key)


def _latest(cursor: apsw.Cursor, asked: Challenge) -> Challenge | None:
    """The last challenge of a slot."""
    row = cursor.execute(SQL["latest_challenge"], (asked.slot, asked.app_id)).fetchone()
    return challenge_from(row) if row else None


def _refuse_unless_open(
    cursor: apsw.Cursor, latest: Challenge | None, app_id: str, only: str, now: datetime
) -> None:
    """Raises ChallengeClosed when the one that may be extended is over."""
    if latest is None or latest.id != only:
        raise ChallengeClosed(_ended(find(cursor, app_id, only), now))
    if not latest.is_open(now):
        raise ChallengeClosed(latest.state_at(now))


def _ended(challenge: Challenge, now: datetime) -> State:
    """A challenge that a later one followed is over, whatever a clock that stepped back says."""
    state = challenge.state_at(now)
    return State.EXPIRED if state is State.PENDING else state


def _refuse_if_too_soon(standing: Challenge, order: Order, now: datetime) -> None:
    if order.resend_interval and now < standing.resend_at:
        raise ResendTooSoon(
            scope="resend",
            retry_in=standing.resend_at - now,
            amount=1,
            window=order.resend_interval,
        )


def _misfit(
    latest: Challenge | None, standing: Challenge | None, order: Order
) -> RedrawNeeded | None:
    """A code belongs to the challenge it was drawn for, and has the length of its first send. A new
    challenge follows the last one of its slot, also where the clock stepped back."""
    asked = order.challenge
    if standing:
        if (order.redraw_for, asked.code_length) == (standing.id, standing.code_length):
            return None
        return RedrawNeeded(standing.id, standing.code_length)
    if order.redraw_for or (latest and serial(asked.id) <= serial(latest.id)):
        return RedrawNeeded(None, asked.code_length, after=latest.id if latest else None)
    return None


def _opened(cursor: apsw.Cursor, asked: Challenge) -> bool:
    """False where another one has its serial."""
    cursor.execute(
        SQL["open_challenge"],
        (
            serial(asked.id),
            asked.id,
            asked.app_id,
            str(asked.purpose),
            asked.channel,
            asked.slot,
            asked.destination,
            asked.subject,
            asked.masked,
            asked.recipient,
            asked.code_length,
            asked.max_attempts,
            encode(asked.draws),
            micros(asked.opened_at),
            micros(asked.resend_at),
            micros(asked.expires_at),
        ),
    )
    return changed(cursor) == 1


def _extend(
    cursor: apsw.Cursor,
    standing: Challenge,
    order: Order,
    repeated: Draw | None,
    now: datetime,
) -> Challenge:
    asked = order.challenge
    draws = standing.draws
    if not repeated:
        draws = extended(draws, asked.draws[-1], order.resend, now)
        _drop_dead(cursor, standing, order.resend, now)
    challenge = msgspec.structs.replace(
        standing,
        channel=asked.channel,
        masked=asked.masked,
        recipient=asked.recipient,
        draws=draws,
        resend_at=now + order.resend_interval,
        expires_at=max(draw.expires_at for draw in draws),
    )
    cursor.execute(
        SQL["extend_challenge"],
        (
            challenge.channel,
            challenge.recipient,
            encode(draws),
            micros(challenge.resend_at),
            micros(challenge.expires_at),
            serial(challenge.id),
        ),
    )
    return challenge


def _drop_dead(cursor: apsw.Cursor, standing: Challenge, resend: Resend, now: datetime) -> None:
    """A code that the resend kills is not sent any more."""
    if resend is Resend.NEWEST:
        cursor.execute(SQL["drop_queued"], (micros(now), serial(standing.id)))
    elif resend is Resend.ANY:
        cursor.execute(SQL["drop_older"], (micros(now), serial(standing.id)))


def _issued(challenge: Challenge, delivery: int | None, *, opened: bool) -> Issued:
    newest = challenge.draws[-1]
    return Issued(
        challenge_id=challenge.id,
        opened=opened,
        masked=challenge.masked,
        channel=challenge.channel,
        drawn_at=newest.drawn_at,
        expires_at=newest.expires_at,
        resend_at=challenge.resend_at,
        attempts_left=challenge.attempts_left,
        delivery=delivery,
    )


def _queue(
    cursor: apsw.Cursor,
    challenge: Challenge,
    parcel: Parcel,
    repeated: Draw | None,
    at: int,
) -> int | None:
    until = micros(challenge.draws[-1].expires_at)
    code = repeated.sealed if repeated and repeated.sealed else parcel.code
    cursor.execute(
        SQL["queue_delivery"],
        (
            challenge.app_id,
            serial(challenge.id),
            parcel.channel,
            max(1, (until - at) // _MINUTE),
            challenge.recipient,
            code,
            int(parcel.cancel_if_refused),
            at,
            until,
            at,
        ),
    )
    return cursor.connection.last_insert_rowid()


def _look_up(cursor: apsw.Cursor, looks: list[Look], once: Once | None, at: int) -> Known:
    if once:
        looks.append(("once", (once.key, at)))
    return look(cursor, looks)


def _recall(known: Known, once: Once, kind: type[T]) -> T | None:
    """The answer already given under this key. Raises IdempotencyKeyReused."""
    found = known.get(("once", once.key))
    if found is None:
        return None
    if found[0] != once.request:
        raise IdempotencyKeyReused
    return msgspec.msgpack.decode(found[1], type=kind)


def _remember(cursor: apsw.Cursor, once: Once | None, answer: Issued | Judged, at: int) -> None:
    if once:
        kept = (once.key, once.request, encode(answer), at + _ONCE_KEPT)
        cursor.execute(SQL["remember_once"], kept)
