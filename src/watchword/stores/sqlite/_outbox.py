"""The acts on deliveries: lease, begin sending or hand back, record, settle."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from heapq import heapify, heappop, heappush
from typing import Any

import apsw

from watchword.domain.challenge import State
from watchword.domain.delivery import DeliveryState, Handover, Leased, Turns
from watchword.stores._instants import instant, maybe_micros, micros
from watchword.stores.sqlite._connection import changed
from watchword.stores.sqlite._queries import SQL

_MOST_SETTLED = 64
"""Of each app in one act, so that whatever one has lying about nobody waits for long."""


def lease(
    cursor: apsw.Cursor,
    channel: str,
    now: datetime,
    *,
    most: int,
    ttl: timedelta,
    repeats: bool,
    turns: Turns,
) -> Sequence[Leased]:
    """See ports.DeliveryStore.lease."""
    at, until = micros(now), micros(now + ttl)
    leased: list[Leased] = []
    settled: Counter[str] = Counter()
    line = _line(cursor, channel, turns)
    while line and len(leased) < most:
        held, had_its_turn, app = heappop(line)
        row = cursor.execute(SQL["next_of_app"], (channel, app, at)).fetchone()
        if row is None or settled[app] == _MOST_SETTLED:
            continue
        if end := _past_help(row, at, repeats=repeats):
            cursor.execute(SQL["settle_delivery"], (end.value, at, row[0]))
            settled[app] += 1
        else:
            cursor.execute(SQL["lease_delivery"], (until, row[0]))
            leased.append(_leased(row, channel))
            held += 1
        if held < turns.share:
            heappush(line, (held, had_its_turn, app))
    return leased


def _line(cursor: apsw.Cursor, channel: str, turns: Turns) -> list[tuple[int, bool, str]]:
    """Who may be next, whoever holds the fewest places first; those served last come after their
    equals."""
    apps = [app for (app,) in cursor.execute(SQL["apps_in_line"], (channel,))]
    line = [(turns.held.get(app, 0), app <= turns.after, app) for app in apps]
    line = [place for place in line if place[0] < turns.share]
    heapify(line)
    return line


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
    cursor: apsw.Cursor, leased: Sequence[Leased], now: datetime, *, ttl: timedelta, again: bool
) -> Sequence[Leased]:
    """See ports.DeliveryStore.begin_sending."""
    at, until = micros(now), micros(now + ttl)
    going = []
    for one in leased:
        cursor.execute(SQL["begin_sending"], (until, one.id, one.token, again, at))
        if changed(cursor) == 1:
            going.append(one)
        else:
            cursor.execute(SQL["expire_leased"], (at, one.id, one.token, again, at))
    return going


def hand_back(cursor: apsw.Cursor, leased: Sequence[Leased]) -> None:
    """See ports.DeliveryStore.hand_back."""
    cursor.executemany(SQL["hand_back"], [(one.id, one.token) for one in leased])


def record_handovers(
    cursor: apsw.Cursor, handovers: Sequence[Handover], *, provider: str, now: datetime
) -> None:
    """See ports.DeliveryStore.record_handovers."""
    at = micros(now)
    for one in handovers:
        if one.state is DeliveryState.QUEUED:
            due_at = maybe_micros(one.not_before) or at
            cursor.execute(SQL["queue_again"], (provider, one.reason, due_at, one.id, one.token))
            if changed(cursor) == 0:
                cursor.execute(SQL["settle_in_vain"], (at, one.id, one.token))
            continue
        cursor.execute(
            SQL["record_handover"],
            (one.state.value, provider, one.reference, one.reason, at, one.id, one.token),
        )
        if one.state is DeliveryState.FAILED and changed(cursor) == 1:
            _cancel_refused(cursor, one.id, at)


def _cancel_refused(cursor: apsw.Cursor, delivery: int, at: int) -> None:
    """Where a dialect reports a refusal, the code that never arrived dies with it."""
    row = cursor.execute(SQL["challenge_to_cancel"], (delivery,)).fetchone()
    if row:
        cursor.execute(SQL["close_challenge"], (State.CANCELLED.value, row[1], at, row[0]))
        cursor.execute(SQL["drop_queued"], (at, row[0]))
