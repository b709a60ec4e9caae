"""Sweeping: a bounded handful of rows an act, so that no send waits behind it.

What lives for a set time is found by an index on its end. Counters have none, for they are spent
far more often than they are swept: now and then the sweeper walks past all of them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

from watchword.ports import Swept
from watchword.stores._instants import micros, span
from watchword.stores._rows import KEPT
from watchword.stores.sqlite._queries import SQL

_REST = span(timedelta(minutes=10))
"""How long a walk past all counters of a kind has to be over before the next one."""
_LOOKS = 16
"""How many rows it looks at for one that it may change: looking costs little."""


class _Place(NamedTuple):
    """How far one kind has been swept: up to an instant, past a key, or past one of an instant."""

    instant: int = 0
    key: tuple[bytes | int, ...] | None = None


class _Step(NamedTuple):
    """What one kind's turn came to."""

    rows: int
    place: _Place
    more: bool = False


Sweep = Callable[[sqlite3.Cursor, int, int, _Place], _Step]


class Progress(NamedTuple):
    """Whose turn it is, and how far each kind has got. Losing it costs a second look, never a
    row."""

    turn: int
    places: tuple[_Place, ...]


def sweep(
    cursor: sqlite3.Cursor, now: datetime, most: int, progress: Progress
) -> tuple[Swept, Progress]:
    """At most `most` rows, each kind in turn; a challenge goes with its deliveries."""
    turn, places = progress.turn, list(progress.places)
    rows, more = 0, False
    for _ in _KINDS:
        step = _KINDS[turn](cursor, micros(now), most - rows, places[turn])
        places[turn] = step.place
        turn = (turn + 1) % len(_KINDS)
        rows, more = rows + step.rows, more or step.more
        if rows >= most:
            more = True
            break
    return Swept(rows, more), Progress(turn, tuple(places))


def _wipe(cursor: sqlite3.Cursor, at: int, most: int, place: _Place) -> _Step:
    """Drop the codes of challenges that expired unanswered, and what was still to be sent."""
    # All begin anew where the clock stepped back.
    after = (place.instant, *(place.key or (-1,))) if place.instant <= at else (0, -1)
    looks = most * _LOOKS
    looked_at = cursor.execute(SQL["walk_expired"], (*after, at, looks)).fetchall()
    wiped = 0
    for instant, serial, is_open in looked_at:
        if is_open and wiped == most:
            return _Step(wiped, place, more=True)
        if is_open:
            cursor.execute(SQL["expire_challenge"], (serial,))
            cursor.execute(SQL["settle_expired"], (at, serial))
            wiped += 1
        place = _Place(instant, (serial,))
    return _Step(wiped, place, more=len(looked_at) == looks)


def _forget(cursor: sqlite3.Cursor, at: int, most: int, place: _Place) -> _Step:
    """Delete old challenges with their deliveries."""
    rows = cursor.execute(SQL["old_challenges"], (at - span(KEPT), most)).fetchall()
    cursor.executemany(SQL["delete_deliveries"], rows)
    cursor.executemany(SQL["delete_challenge"], rows)
    return _Step(len(rows), place)


def _delete(
    found: str, delete: str, cursor: sqlite3.Cursor, at: int, most: int, place: _Place
) -> _Step:
    rows = cursor.execute(SQL[found], (at, most)).fetchall()
    cursor.executemany(SQL[delete], rows)
    return _Step(len(rows), place)


def _walk(
    walk: str,
    delete: str,
    start: tuple[bytes | int, ...],
    cursor: sqlite3.Cursor,
    at: int,
    most: int,
    place: _Place,
) -> _Step:
    """Look at the next counters, and delete the first few that nothing can ask for."""
    if place.key is None and place.instant <= at < place.instant + _REST:
        return _Step(0, place)
    looked_at = cursor.execute(SQL[walk], (at, *(place.key or start), most * _LOOKS)).fetchall()
    idle = [row[:-1] for row in looked_at if row[-1]]
    cursor.executemany(SQL[delete], idle[:most])
    if len(idle) >= most:
        return _Step(most, _Place(key=idle[most - 1]), more=True)
    if len(looked_at) == most * _LOOKS:
        return _Step(len(idle), _Place(key=looked_at[-1][:-1]), more=True)
    return _Step(len(idle), _Place(instant=at))


_KINDS: tuple[Sweep, ...] = (
    _wipe,
    _forget,
    partial(_delete, "old_onces", "delete_once"),
    partial(_delete, "old_records", "delete_old_record"),
    partial(_walk, "walk_spent", "delete_page", (b"", -2)),
    partial(_walk, "walk_failures", "delete_failures", (b"", b"")),
    partial(_walk, "walk_tallies", "delete_tally", (b"",)),
)

START = Progress(0, tuple(_Place() for _ in _KINDS))
