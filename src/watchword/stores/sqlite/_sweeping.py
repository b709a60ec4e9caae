"""Sweeping: a bounded handful of rows an act, so that no send waits behind it."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from watchword.ports import Swept
from watchword.stores.sqlite._queries import SQL
from watchword.stores.sqlite._rows import micros, span

KEPT = timedelta(hours=24)
"""How long a dead challenge and its deliveries can still be looked at."""

_IDLE = {
    "old_onces": "delete_once",
    "old_records": "delete_old_record",
    "idle_pages": "delete_page",
    "idle_failures": "delete_failures",
    "ended_tallies": "delete_tally",
}

Step = Callable[[sqlite3.Cursor, int, int], int]


class Sweeper:
    """Remembers how far it has wiped, and whose turn it is. Losing that costs a second look, never
    a row."""

    def __init__(self) -> None:
        self._wiped_to = 0
        idle: list[Step] = [partial(_delete, found, delete) for found, delete in _IDLE.items()]
        self._steps: deque[Step] = deque([self._wipe, _forget, *idle])

    def sweep(self, cursor: sqlite3.Cursor, now: datetime, most: int) -> Swept:
        """At most `most` rows, each kind in turn; a challenge goes with its deliveries."""
        rows = 0
        for _ in range(len(self._steps)):
            rows += self._steps[0](cursor, micros(now), most - rows)
            self._steps.rotate(-1)
            if rows >= most:
                return Swept(rows, more=True)
        return Swept(rows, more=False)

    def _wipe(self, cursor: sqlite3.Cursor, at: int, most: int) -> int:
        """Drop the codes of challenges that expired unanswered, and what was still to be sent."""
        since = self._wiped_to if self._wiped_to <= at else 0  # the clock stepped back
        rows = cursor.execute(SQL["dead_challenges"], (since, at, most)).fetchall()
        for row, _ in rows:
            cursor.execute(SQL["expire_challenge"], (row,))
            cursor.execute(SQL["settle_expired"], (at, row))
        # Several may share an instant: after a full handful the last instant is looked at again.
        self._wiped_to = rows[-1][1] - 1 if len(rows) == most else at
        return len(rows)


def _forget(cursor: sqlite3.Cursor, at: int, most: int) -> int:
    """Delete old challenges with their deliveries."""
    rows = cursor.execute(SQL["old_challenges"], (at - span(KEPT), most)).fetchall()
    for row in rows:
        cursor.execute(SQL["delete_deliveries"], row)
        cursor.execute(SQL["delete_challenge"], row)
    return len(rows)


def _delete(found: str, delete: str, cursor: sqlite3.Cursor, at: int, most: int) -> int:
    rows = cursor.execute(SQL[found], (at, most)).fetchall()
    for key in rows:
        cursor.execute(SQL[delete], key)
    return len(rows)
