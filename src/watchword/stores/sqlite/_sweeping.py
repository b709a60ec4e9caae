"""Sweeping: a bounded handful of rows an act, so that no send waits behind it.

What may go is looked for by a reader, which brings the pages that it lies on from the disk while
others are served; the act then drops what it is told to, as far as it may still go. What lives for
a set time is found by an index on its end. Counters have none, for they are spent far more often
than they are swept: now and then the sweeper walks past all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

import apsw

from watchword.ports import Swept
from watchword.stores._instants import micros, span
from watchword.stores._rows import KEPT
from watchword.stores.sqlite._queries import SQL

_REST = span(timedelta(minutes=10))
"""How long a walk past all counters of a kind has to be over before the next one."""
_LOOKS = 16
"""How many rows it looks at for one that it may change: looking costs little."""

_Row = tuple[bytes | str | int, ...]


class _Place(NamedTuple):
    """How far one kind has been swept: up to an instant, past a key, or past one of an instant."""

    instant: int = 0
    key: tuple[bytes | int, ...] | None = None


class _Step(NamedTuple):
    """What one kind's turn came to: the keys of rows that may go."""

    rows: Sequence[_Row]
    place: _Place
    more: bool = False


class _Kind(NamedTuple):
    """How rows of a kind are found, and the statements that drop one by its key: each is told the
    instant, too, and leaves what must not go any more."""

    find: Callable[[apsw.Cursor, int, int, _Place], _Step]
    drop: tuple[str, ...]


class Progress(NamedTuple):
    """Whose turn it is, and how far each kind has got. Losing it costs a second look, never a
    row."""

    turn: int
    places: tuple[_Place, ...]


class Handful(NamedTuple):
    """What was found: of each kind, by its number, the rows that may go as of `at`."""

    at: int
    rows: Sequence[tuple[int, Sequence[_Row]]]
    progress: Progress
    more: bool

    @property
    def amount(self) -> int:
        return sum(len(rows) for _, rows in self.rows)


def found(cursor: apsw.Cursor, now: datetime, most: int, progress: Progress) -> Handful:
    """At most `most` rows, each kind in turn; a challenge goes with its deliveries. Changes
    nothing."""
    turn, places, at = progress.turn, list(progress.places), micros(now)
    rows: list[tuple[int, Sequence[_Row]]] = []
    left, more = most, False
    for _ in _KINDS:
        step = _KINDS[turn].find(cursor, at, left, places[turn])
        places[turn] = step.place
        rows.append((turn, step.rows))
        turn = (turn + 1) % len(_KINDS)
        left, more = left - len(step.rows), more or step.more
        if left <= 0:
            more = True
            break
    return Handful(at, rows, Progress(turn, tuple(places)), more)


def sweep(cursor: apsw.Cursor, handful: Handful) -> Swept:
    for kind, rows in handful.rows:
        told = [(handful.at, *row) for row in rows]
        for statement in _KINDS[kind].drop:
            cursor.executemany(SQL[statement], told)
    return Swept(handful.amount, handful.more)


def _expired(cursor: apsw.Cursor, at: int, most: int, place: _Place) -> _Step:
    """Challenges that expired unanswered: their codes go, and what was still to be sent."""
    # All begin anew where the clock stepped back.
    after = (place.instant, *(place.key or (-1,))) if place.instant <= at else (0, -1)
    looks = most * _LOOKS
    looked_at: list[Any] = cursor.execute(SQL["walk_expired"], (*after, at, looks)).fetchall()
    rows: list[_Row] = []
    for instant, serial, is_open in looked_at:
        if is_open and len(rows) == most:
            return _Step(rows, place, more=True)
        if is_open:
            rows.append((serial,))
        place = _Place(instant, (serial,))
    return _Step(rows, place, more=len(looked_at) == looks)


def _old(look: str, kept: int, cursor: apsw.Cursor, at: int, most: int, place: _Place) -> _Step:
    """Rows whose key is the first column; the others are there to have been read."""
    rows: list[Any] = cursor.execute(SQL[look], (at - kept, most)).fetchall()
    return _Step([row[:1] for row in rows], place)


def _old_records(cursor: apsw.Cursor, at: int, most: int, place: _Place) -> _Step:
    rows: list[Any] = cursor.execute(SQL["old_records"], (at, most)).fetchall()
    return _Step(rows, place)


class _Walk(NamedTuple):
    """The statements of a walk: where a few rows later is, and what of those may go."""

    step: str
    idle: str
    idle_until: str


def _idle(
    walk: _Walk,
    start: tuple[bytes | int, ...],
    cursor: apsw.Cursor,
    at: int,
    most: int,
    place: _Place,
) -> _Step:
    """The first few of the next counters that nothing can ask for."""
    if place.key is None and place.instant <= at < place.instant + _REST:
        return _Step((), place)
    after = place.key or start
    looks = most * _LOOKS
    last = cursor.execute(SQL[walk.step], (*after, looks - 1)).fetchone()
    idle = SQL[walk.idle_until if last else walk.idle]
    rows: list[Any] = cursor.execute(idle, (*after, *(last or ()), at, most)).fetchall()
    if len(rows) == most:
        return _Step(rows, _Place(key=rows[-1]), more=True)
    if last:
        return _Step(rows, _Place(key=last), more=True)
    return _Step(rows, _Place(instant=at))


_SPENT = _Walk("walk_spent", "idle_spent", "idle_spent_until")
_FAILURES = _Walk("walk_failures", "idle_failures", "idle_failures_until")
_TALLIES = _Walk("walk_tallies", "idle_tallies", "idle_tallies_until")

_KINDS = (
    _Kind(_expired, ("expire_challenge", "settle_expired")),
    _Kind(partial(_old, "old_challenges", span(KEPT)), ("delete_old_deliveries", "delete_old")),
    _Kind(partial(_old, "old_onces", 0), ("delete_once",)),
    _Kind(_old_records, ("delete_old_record",)),
    _Kind(partial(_idle, _SPENT, (b"", -2)), ("delete_page",)),
    _Kind(partial(_idle, _FAILURES, (b"", b"")), ("delete_failures",)),
    _Kind(partial(_idle, _TALLIES, (b"",)), ("delete_tally",)),
)

START = Progress(0, tuple(_Place() for _ in _KINDS))
