"""The values of the journal as statements want them, and the scrubbing of its tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from watchword.domain.event import Entry, Event
from watchword.ports import Erasure, NewNotice
from watchword.stores._instants import micros
from watchword.stores._journal_rows import chain_from, entry_from, event_from
from watchword.stores.postgres._connections import Terms
from watchword.stores.postgres._migrating import visiting
from watchword.stores.postgres._queries import SQL

__all__ = [
    "chain_from",
    "entry_arrays",
    "entry_from",
    "erase",
    "event_arrays",
    "event_from",
    "notice_arrays",
    "scrub",
]

_TABLES = ("events", "journal", "challenges", "deliveries", "onces", "notices")


def event_arrays(events: Sequence[Event]) -> tuple[list[Any], ...]:
    return (
        [micros(event.at) for event in events],
        [str(event.kind) for event in events],
        [event.app_id for event in events],
        [event.channel for event in events],
        [event.purpose for event in events],
        [event.challenge_id for event in events],
        [event.subject for event in events],
        [event.masked for event in events],
        [event.details for event in events],
    )


def entry_arrays(entries: Sequence[Entry]) -> tuple[list[Any], ...]:
    """As functions/8_journal.sql wants them."""
    return (
        [entry.commitment for entry in entries],
        [entry.mac for entry in entries],
        [entry.salt for entry in entries],
        [entry.body for entry in entries],
        [entry.subject for entry in entries],
    )


def notice_arrays(notices: Sequence[NewNotice]) -> tuple[list[Any], ...]:
    """As functions/8_journal.sql wants them."""
    return (
        [one.webhook for one in notices],
        [one.key for one in notices],
        [one.notice for one in notices],
        [micros(one.at) for one in notices],
        [one.subject for one in notices],
        [one.told.decode() for one in notices],
    )


async def erase(
    address: str, terms: Terms, subjects: Sequence[bytes], marks: Sequence[tuple[int, int, bytes]]
) -> Erasure:
    """In one act that may take its time: challenges, answers and notices are found by going past
    all of them. Raises StoreUnavailable."""
    async with visiting(address, terms) as connection:
        arrays = ([mark[n] for mark in marks] for n in range(3))
        told = await connection.fetchrow(SQL["erase"], list(subjects), *arrays)
    return Erasure(*told)


async def scrub(address: str, terms: Terms) -> None:
    """Write each table anew without its dead rows, its statistics too. Raises StoreUnavailable,
    also while a backup reads: acts would queue behind us for as long as we wait for it."""
    async with visiting(address, terms) as connection:
        if not terms.pgbouncer:
            await connection.execute("SET lock_timeout = '1s'")
        for table in _TABLES:
            await connection.execute(f"VACUUM (FULL, ANALYZE) watchword.{table}")
        if await _may_checkpoint(connection):
            await connection.execute("CHECKPOINT")


async def _may_checkpoint(connection: Any) -> bool:
    """Superusers and pg_checkpoint may; others leave it to the server, which does it by itself."""
    asked = "SELECT pg_has_role(current_user, 'pg_checkpoint', 'usage')"
    return bool(await connection.fetchval(asked))
