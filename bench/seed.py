"""A store that has been busy: what many sends leave, of any age.

A sample is issued through the service's own house; the rest are its rows once more under random
keys, since a million acts would take longer than all that is measured.
"""

from __future__ import annotations

from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import apsw

from bench.inside import Home, fill, inside, settings

SEEDED = 100_000_000
"""Seeded phones are numbered from here on, so that no request of the load meets one."""
SAMPLE = 5_000
ROWS_A_SEND = 6
"""Challenge, delivery, idempotency key, and a counter each of destination, network and device."""

_FRESH = {
    "challenges": {
        "serial": "serial - :shift",
        "id": "substr(id, 1, 3) || printf('%015x', serial - :shift) || substr(id, 19)",
        "slot": "randomblob(16)",
        "destination": "randomblob(16)",
        "expires_at": "expires_at + :step + :later",
    },
    "deliveries": {"id": "id + :step", "challenge": "challenge - :shift"},
    "onces": {
        "row": "row + :step",
        "key": "randomblob(16)",
        "expires_at": "expires_at + :later",
    },
    "spent": {"counter": "randomblob(16)", "idle_at": "idle_at + :later"},
}


_ROWS_OF = {"spent": 3}


_ALIKE = """
UPDATE spent SET idle_at = (SELECT max(idle_at) FROM spent);
DELETE FROM events;
"""
_OVER = """
UPDATE challenges SET state = 'expired', draws = x'90', closed_at = expires_at;
UPDATE deliveries
SET state = 'accepted', code = x'', recipient = x'', due_at = NULL, settled_at = queued_at;
"""
"""What a row loses in its life leaves room in its page: so all are wiped after all are there."""


def seed(
    data: Path, many: int, *, now: datetime, ttl: timedelta, over: timedelta = timedelta()
) -> None:
    """Leave in an empty store what `many` sends to as many people left at `now`; or in so long
    `over` from then on, all of it closed and delivered."""
    sample = min(SAMPLE, many)
    inside(Home(data), fill(sample, first=SEEDED, now=now, ttl=ttl))
    with closing(apsw.Connection(str(settings(Home(data)).store_path))) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -2000000")
        if over:
            connection.execute(_ALIKE)
        _take_sample(connection)
        spread = connection.execute("SELECT max(serial) - min(serial) + 1 FROM challenges").get
        connection.execute("BEGIN")
        for step in range(sample, many, sample):
            later = over * step / many // timedelta(microseconds=1)
            _repeat(connection, step, spread * (step // sample), later, most=many - step)
        connection.execute("COMMIT")
        if over:
            _end(connection)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _end(connection: apsw.Connection) -> None:
    """Without the events of it, which were sealed yesterday."""
    asked = "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'"
    triggers: list[Any] = connection.execute(asked).fetchall()
    for name, _ in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    connection.execute(_OVER)
    for _, text in triggers:
        connection.execute(text)


def _take_sample(connection: apsw.Connection) -> None:
    for table in _FRESH:
        statement = f"CREATE TEMP TABLE sample_of_{table} AS SELECT * FROM {table}"  # noqa: S608
        connection.execute(statement)


def _repeat(connection: apsw.Connection, step: int, shift: int, later: int, *, most: int) -> None:
    """The sample once more, so many microseconds `later`; `shift` makes its serials older than any
    so far."""
    for table, fresh in _FRESH.items():
        names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        values = ", ".join(fresh.get(name, name) for name in names)
        connection.execute(
            f"INSERT INTO {table} ({', '.join(names)}) "  # noqa: S608 (our own names)
            f"SELECT {values} FROM sample_of_{table} LIMIT :most",
            {
                "step": step,
                "shift": shift,
                "later": later,
                "most": most * _ROWS_OF.get(table, 1),
            },
        )
