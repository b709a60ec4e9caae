"""Sweeping: a bounded handful of rows a statement, past whatever an act holds.

What lives for a set time is found by an index on its end, from where the last look ended, so that
nobody reads again and again past rows that are dead and not yet vacuumed. Counters have no such
index, for each spending would have to write to it: now and then the sweeper walks past all of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple

from watchword.stores._instants import span
from watchword.stores._rows import KEPT
from watchword.stores.postgres._connections import Connections
from watchword.stores.postgres._queries import SQL

_REST = span(timedelta(minutes=10))
"""How long a walk past all counters of a kind has to be over before the next one."""
_AT_ONCE = 32
"""At most so many rows a statement: others wait for what it writes, too, to be on the disk."""
_LOOKS = 16
"""How many rows it looks at for one that it may change: looking costs little."""
_AGAIN = span(timedelta(minutes=1))
"""How far before the last end a look begins: whatever was held then, or came late, is met."""


class Place(NamedTuple):
    """How far one kind has been swept: up to an instant, or past a key. `again` is where to begin
    again in the end, for the sake of what was held."""

    instant: int = 0
    key: tuple[Any, ...] | None = None
    again: tuple[Any, ...] | None = None


class Step(NamedTuple):
    """What one kind's turn came to."""

    rows: int
    place: Place
    more: bool = False


Sweep = Callable[[Connections, int, int, Place], Awaitable[Step]]


async def _wipe(connections: Connections, at: int, most: int, place: Place) -> Step:
    """Drop the codes of challenges that expired unanswered, and what was still to be sent."""
    since = place.key if place.key and place.key[0] <= at else (0, -1)  # or the clock stepped back
    ((wiped, has_more, until, last, *passed),) = await connections.fetch(
        SQL["wipe"], *since, at, most, most * _LOOKS
    )
    again = place.again or (None if passed[0] is None else tuple(passed))
    if has_more:
        return Step(wiped, Place(key=(until, last), again=again), more=True)
    return Step(wiped, Place(key=again or (until, last)))


async def _forget(
    name: str, kept: int, connections: Connections, at: int, most: int, place: Place
) -> Step:
    """Delete what ended so long ago."""
    until = at - kept
    since = place.instant if place.instant <= until else 0
    rows = await connections.fetch(SQL[name], since, until, most)
    if len(rows) == most:
        return Step(most, Place(max(row[0] for row in rows) - 1))
    return Step(len(rows), Place(max(0, until - _AGAIN)))


async def _walk(
    name: str,
    start: tuple[Any, ...],
    connections: Connections,
    at: int,
    most: int,
    place: Place,
) -> Step:
    """Look at the next counters, and delete the first few that nothing can ask for."""
    if place.key is None and place.instant <= at < place.instant + _REST:
        return Step(0, place)
    rows = await connections.fetch(SQL[name], at, most * _LOOKS, most, *(place.key or start))
    if not rows:
        return Step(0, Place(instant=at))
    (seen, gone, *key) = rows[0]
    if gone >= most or seen == most * _LOOKS:
        return Step(gone, Place(key=tuple(key)), more=True)
    return Step(gone, Place(instant=at))


KINDS: Sequence[Sweep] = (
    _wipe,
    partial(_forget, "forget_challenges", span(KEPT)),
    partial(_forget, "forget_onces", 0),
    partial(_forget, "forget_records", 0),
    partial(_walk, "walk_trails", (b"", -2, -1)),
    partial(_walk, "walk_failures", (b"", b"")),
    partial(_walk, "walk_tallies", (b"", -1)),
    partial(_walk, "walk_destinations", (b"",)),
)


class Sweeper:
    """Knows whose turn it is, and how far each kind has got. Losing it costs a second look, never a
    row."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._turn = 0
        self._places = [Place() for _ in KINDS]

    async def sweep(self, at: int, most: int) -> tuple[int, bool]:
        """At most `most` rows, each kind in turn; how many, and whether more are waiting."""
        most = min(most, _AT_ONCE)
        rows, more = 0, False
        for _ in KINDS:
            turn = self._turn
            step = await KINDS[turn](self._connections, at, most - rows, self._places[turn])
            self._places[turn] = step.place
            self._turn = (turn + 1) % len(KINDS)
            rows, more = rows + step.rows, more or step.more
            if rows >= most:
                return rows, True
        return rows, more
