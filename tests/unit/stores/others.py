"""Others at the same database: who holds what an act wants, who waits, who is connected."""

import asyncio
import time
from contextlib import asynccontextmanager

import asyncpg

from tests.postgres_server import rows
from watchword.domain.destination import phone

DEADLINE_S = 10
SLACK_S = 0.5
OURS = "datname = current_database() AND application_name = 'watchword'"
ACTIVE = "FROM pg_stat_activity WHERE state = 'active'"
COMMIT = "SELECT pg_logical_emit_message(true, 'test', '')"
"""The least that waits for a standby."""


@asynccontextmanager
async def holding(address, statement, *given):
    """Somebody who runs a statement and does not come to an end, for as long as the block lasts."""
    connection = await asyncpg.connect(address)
    try:
        await connection.execute("BEGIN")
        await connection.fetch(statement, *given)
        yield
    finally:
        await connection.close()


@asynccontextmanager
async def without_a_standby(address):
    """Every COMMIT waits for one that is not there, for as long as the block lasts."""
    is_over = asyncio.Event()
    _set_standby(address, "SET synchronous_standby_names = 'nobody'")
    committing = asyncio.create_task(_commit(address, is_over))
    try:
        await until(address, f"SELECT {ACTIVE} AND wait_event = 'SyncRep'")
        yield
    finally:
        _set_standby(address, "RESET synchronous_standby_names")
        is_over.set()
        async with asyncio.timeout(DEADLINE_S):
            await committing


def _set_standby(address, how):
    rows(address, f"ALTER SYSTEM {how}")
    rows(address, "SELECT pg_reload_conf()")


async def _commit(address, is_over):
    """Again and again, for the server reads its settings anew when it comes to it."""
    connection = await asyncpg.connect(address)
    while not is_over.is_set():
        await connection.execute(COMMIT)
    await connection.close()


async def until_somebody_waits(address):
    await until(address, f"SELECT {ACTIVE} AND wait_event_type = 'Lock'")


async def until(address, statement):
    """Until a statement gives a row."""
    deadline = time.monotonic() + DEADLINE_S
    while not await asyncio.to_thread(rows, address, statement):
        assert time.monotonic() < deadline, statement


async def until_there_are_sessions(address, count):
    await until(address, f"SELECT FROM pg_stat_activity WHERE {OURS} HAVING count(*) = {count}")


async def sessions(address):
    """The server's processes for us."""
    ours = f"SELECT pid FROM pg_stat_activity WHERE {OURS}"  # noqa: S608
    return {pid for (pid,) in await asyncio.to_thread(rows, address, ours)}


def numbers(count):
    return [phone(f"+86138001{n:05d}") for n in range(count)]
