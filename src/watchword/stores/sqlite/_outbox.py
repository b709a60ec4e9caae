"""The acts on deliveries: lease, begin sending, record."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from watchword.domain.challenge import State
from watchword.domain.delivery import DeliveryState, Handover, Leased
from watchword.stores._instants import instant, maybe_micros, micros
from watchword.stores.sqlite._queries import SQL


def lease(
    cursor: sqlite3.Cursor,
    channel: str,
    now: datetime,
    *,
    most: int,
    ttl: timedelta,
    repeats: bool,
) -> Sequence[Leased]:
    """See ports.DeliveryStore.lease."""
    at, until = micros(now), micros(now + ttl)
    leased = []
    for row in cursor.execute(SQL["due_deliveries"], (channel, at, most)).fetchall():
        if end := _past_help(row, at, repeats=repeats):
            cursor.execute(SQL["settle_delivery"], (end.value, at, row[0]))
        else:
            cursor.execute(SQL["lease_delivery"], (until, row[0]))
            leased.append(_leased(row, channel))
    return leased


def _past_help(row: tuple[Any, ...], at: int, *, repeats: bool) -> DeliveryState | None:
    """How a due delivery ends instead of being handed over. What was being sent may have arrived;
    what was to be tried again ends with its code, or with its challenge."""
    has_expired, is_open = row[7] <= at, row[12] == State.PENDING
    if row[1] == DeliveryState.SENDING:
        return None if repeats and is_open and not has_expired else DeliveryState.UNKNOWN
    if has_expired:
        return DeliveryState.EXPIRED
    return None if is_open else DeliveryState.CANCELLED


def _leased(row: tuple[Any, ...], channel: str) -> Leased:
    return Leased(
        id=row[0],
        token=row[2] + 1,
        tries=row[3],
        minutes=row[4],
        recipient=row[5],
        code=row[6],
        expires_at=instant(row[7]),
        app_id=row[8],
        challenge_id=row[9],
        slot=row[10],
        purpose=row[11],
        channel=channel,
        queued_at=instant(row[13]),
    )


def begin_sending(
    cursor: sqlite3.Cursor, leased: Sequence[Leased], now: datetime, *, ttl: timedelta, again: bool
) -> Sequence[Leased]:
    """See ports.DeliveryStore.begin_sending."""
    at, until = micros(now), micros(now + ttl)
    going = []
    for one in leased:
        cursor.execute(SQL["begin_sending"], (until, one.id, one.token, again, at))
        if cursor.rowcount == 1:
            going.append(one)
        else:
            cursor.execute(SQL["expire_leased"], (at, one.id, one.token, again, at))
    return going


def record_handovers(
    cursor: sqlite3.Cursor, handovers: Sequence[Handover], *, provider: str, now: datetime
) -> None:
    """See ports.DeliveryStore.record_handovers."""
    at = micros(now)
    for one in handovers:
        if one.state is DeliveryState.QUEUED:
            due_at = maybe_micros(one.not_before) or at
            cursor.execute(SQL["queue_again"], (provider, one.reason, due_at, one.id, one.token))
            if cursor.rowcount == 0:
                cursor.execute(SQL["settle_in_vain"], (at, one.id, one.token))
            continue
        cursor.execute(
            SQL["record_handover"],
            (one.state.value, provider, one.reference, one.reason, at, one.id, one.token),
        )
        if one.state is DeliveryState.FAILED and cursor.rowcount == 1:
            _cancel_refused(cursor, one.id, at)


def _cancel_refused(cursor: sqlite3.Cursor, delivery: int, at: int) -> None:
    """Where a dialect reports a refusal, the code that never arrived dies with it."""
    row = cursor.execute(SQL["challenge_to_cancel"], (delivery,)).fetchone()
    if row:
        cursor.execute(SQL["close_challenge"], (State.CANCELLED.value, row[1], at, row[0]))
        cursor.execute(SQL["drop_queued"], (at, row[0]))
