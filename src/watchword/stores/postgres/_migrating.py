"""Bringing a database up to date: numbered migrations, then the functions, in one transaction.

Functions have no state, so they are not migrated but made again, whenever there was a migration.
One that changes therefore comes with a migration, if only to say so.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from watchword.errors import StoreUnavailable
from watchword.ports import PATIENCE_S
from watchword.stores._statements import BEHIND, migrations, scripts
from watchword.stores.postgres._connections import (
    OLDEST,
    TROUBLE,
    Terms,
    connect,
    translated,
)

_LOCK = 0x7761746368776F72
"""Held by whoever migrates; "watchwor" in ASCII."""
_LONGEST_S = 600.0
# Not to_regclass: who waited for the lock would be told what there was before.
_IS_MADE = """
    SELECT EXISTS (SELECT FROM pg_tables WHERE schemaname = 'watchword' AND tablename = 'house')
"""


async def exists(address: str, terms: Terms = Terms()) -> bool:  # noqa: B008 (frozen)
    """Whether a store was made here before. Raises StoreUnavailable."""
    async with visiting(address, terms) as connection:
        return await _version(connection) > 0


async def migrate(
    address: str,
    terms: Terms = Terms(),  # noqa: B008 (frozen)
    *,
    upgrades: bool = True,
) -> tuple[int, int]:
    """Make the schema if there is none, and bring it up to date. Gives the versions from which and
    to which. What is up to date needs no right to change it.

    Raises StoreUnavailable when a newer watchword has been here; unless it `upgrades`, also where
    the schema is an older one.
    """
    steps = migrations(__package__)
    async with visiting(address, terms) as connection:
        before = await _version(connection)
        if 0 < before < len(steps) and not upgrades:
            raise StoreUnavailable(BEHIND)
        if before < len(steps):
            async with connection.transaction():
                await connection.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
                before = await _version(connection)
                await _apply(connection, before, steps)
    if before > len(steps):
        raise StoreUnavailable("This database was made by a newer watchword.")
    return before, len(steps)


async def bring_up_to_date(connection: Any, before: int) -> None:
    """What is restored and has no version yet, so that nobody uses it."""
    async with connection.transaction():
        await _apply(connection, before, migrations(__package__))


@asynccontextmanager
async def visiting(address: str, terms: Terms) -> AsyncIterator[Any]:
    """A connection of one's own, that may take its time once it stands."""
    try:
        connection = await connect(address, terms, patience_s=2 * PATIENCE_S)
    except TROUBLE as trouble:
        raise translated(trouble, address) from trouble
    try:
        _refuse_an_old_server(connection)
        async with asyncio.timeout(_LONGEST_S):
            if not terms.pgbouncer:
                await connection.execute("SET statement_timeout = 0")
            yield connection
    except TROUBLE as trouble:
        raise translated(trouble, address) from trouble
    finally:
        connection.terminate()


def _refuse_an_old_server(connection: Any) -> None:
    if connection.get_server_version().major < OLDEST:
        runs = connection.get_settings().server_version
        raise StoreUnavailable(
            f"The server runs PostgreSQL {runs}; watchword needs {OLDEST} or newer."
        )


async def _version(connection: Any) -> int:
    if not await connection.fetchval(_IS_MADE):
        return 0
    version = await connection.fetchval("SELECT version FROM watchword.house")
    if version is None:
        raise StoreUnavailable(
            "A backup is being restored into this database. Where that was broken off: drop its "
            "schema watchword, and run watchword store restore again."
        )
    return int(version)


async def _apply(connection: Any, before: int, steps: list[str]) -> None:
    if before >= len(steps):
        return
    if before == 0:
        await connection.execute(
            "CREATE SCHEMA IF NOT EXISTS watchword;"
            "CREATE TABLE watchword.house (version int NOT NULL);"
            "INSERT INTO watchword.house VALUES (0)"
        )
    for script in (*steps[before:], *scripts(__package__, "functions")):
        await connection.execute(script)
    await connection.execute("UPDATE watchword.house SET version = $1", len(steps))
