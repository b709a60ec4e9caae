"""The same on PostgreSQL: a sample issued through the service's own house, and its rows once more
under fresh keys, made by the server itself."""

from __future__ import annotations

from datetime import datetime, timedelta

import asyncpg

from bench.inside import Home, fill, inside
from bench.postgres import Postgres
from bench.seed import SAMPLE, SEEDED

ROWS_A_SEND = 7
"""At the least: challenge, delivery, idempotency key, destination, and a counter each of
destination, network and device."""
_PATIENCE_S = 1200

# `n` counts the copies, `spread` is how far the serials of the sample lie apart. Each copy has keys
# of its own, that fall anywhere as keyed digests do, and older serials than the one before.
_KEY = "decode(md5({} || int4send(n)), 'hex')"
_FRESH = {
    "challenges": {
        "serial": "serial - n * spread",
        "id": "left(id, 3) || lpad(to_hex(serial - n * spread), 15, '0') || substr(id, 19)",
        "slot": _KEY.format("slot"),
        "destination": _KEY.format("destination"),
    },
    "deliveries": {"challenge": "challenge - n * spread"},
    "destinations": {"destination": _KEY.format("destination")},
    "onces": {"key": _KEY.format("key")},
    "trails": {"counter": _KEY.format("counter")},
}
_SETTLE = """
UPDATE watchword.deliveries
SET state = 'delivered', code = '', recipient = '', due_at = NULL, settled_at = queued_at
"""
_COLUMNS = """
SELECT attname FROM pg_attribute
WHERE attrelid = ('watchword.' || $1)::regclass AND attnum > 0 AND NOT attisdropped
  AND attidentity = ''
ORDER BY attnum
"""


def seed(
    server: Postgres, database: str, home: Home, many: int, *, now: datetime, ttl: timedelta
) -> None:
    """Leave in an empty store what `many` sends to as many people left at `now`, all delivered."""
    sample = min(SAMPLE, many)
    inside(home, fill(sample, first=SEEDED, now=now, ttl=ttl))

    async def repeat(connection: asyncpg.Connection) -> None:
        await connection.execute(_SETTLE)
        for table in _FRESH:
            await connection.execute(
                f"CREATE TABLE sample_of_{table} AS SELECT * FROM watchword.{table}"  # noqa: S608
            )
        await _repeat(connection, copies=many // sample - 1)

    server.ask(database, repeat)


def refill(server: Postgres, database: str, many: int) -> None:
    """The same once more, where none of it is left."""

    async def repeat(connection: asyncpg.Connection) -> None:
        await _repeat(connection, copies=many // min(SAMPLE, many))

    server.ask(database, repeat)


async def _repeat(connection: asyncpg.Connection, *, copies: int) -> None:
    await connection.execute("SET synchronous_commit = off")
    for table, fresh in _FRESH.items():
        names = [row["attname"] for row in await connection.fetch(_COLUMNS, table)]
        values = [fresh.get(name, name) for name in names]
        await connection.execute(
            f"INSERT INTO watchword.{table} ({', '.join(names)}) "  # noqa: S608 (our own names)
            f"SELECT {', '.join(values)} FROM generate_series(1, {copies}) n, "
            "(SELECT max(serial) - min(serial) + 1 AS spread FROM sample_of_challenges) spreads, "
            f"sample_of_{table}",
            timeout=_PATIENCE_S,
        )
    await connection.execute("VACUUM (ANALYZE)", timeout=_PATIENCE_S)
