"""What an operator should know of a database that keeps our promises: how well it is set up to."""

from __future__ import annotations

from datetime import timedelta

from watchword.ports import Remark
from watchword.stores.postgres._connections import Connections, Row
from watchword.stores.postgres._queries import SQL

_USUAL_OFFSET = timedelta(seconds=1)
_MUCH_LAG = 64 << 20
_MIB = 1 << 20


async def examine(connections: Connections, offset: timedelta) -> list[Remark]:
    """Raises StoreUnavailable."""
    (found,) = await connections.fetch(SQL["settings"], repeatable=True)
    slots = await connections.fetch(SQL["slots"], repeatable=True)
    return [
        Remark("ok", f"It is PostgreSQL {found['version']}."),
        _durable(found),
        _isolated(found),
        *_standbys(found),
        *map(_slot, slots),
        _clock(offset),
    ]


def _durable(found: Row) -> Remark:
    if found["fsync"] != "on" or found["full_page_writes"] != "on":
        return Remark(
            "broken",
            "fsync or full_page_writes is off: a power cut can destroy the database. Turn both on.",
        )
    if found["synchronous_commit"] == "off":
        return Remark(
            "broken",
            "synchronous_commit is off: a crash loses what was acknowledged in the last moments. "
            "Set it to on for this role or database.",
        )
    return Remark(
        "ok",
        "The store keeps what it acknowledged (fsync on, synchronous_commit "
        f"{found['synchronous_commit']}).",
    )


def _isolated(found: Row) -> Remark:
    level = found["transaction_isolation"]
    if level != "read committed":
        return Remark(
            "note",
            f"Acts run in {level} instead of read committed: right, but those that meet are undone "
            "and done again. Set default_transaction_isolation for this role.",
        )
    return Remark("ok", "Acts run in read committed, and lock rows only.")


def _standbys(found: Row) -> list[Remark]:
    if found["synchronous_standby_names"]:
        if found["synchronous_commit"] == "local":
            return [
                Remark(
                    "note",
                    "synchronous_commit is local: no synchronous standby is waited for, so a "
                    "failover may lose what was acknowledged.",
                )
            ]
        return [Remark("ok", "A synchronous standby has what was acknowledged.")]
    return [
        Remark(
            "note",
            "No standby is synchronous: a failover loses what the standby had not received. See "
            "docs/choosing-a-store.md.",
        )
    ]


def _slot(row: Row) -> Remark:
    name, is_active, lag = row["slot_name"], row["active"], row["lag"]
    if lag is None:
        said = row["wal_status"] or "not in use yet"
        return Remark("note", f"Replication slot {name} holds no log: it is {said}.")
    said = f"Replication slot {name} is {lag / _MIB:.1f} MiB behind"
    if not is_active:
        return Remark("note", f"{said} and nobody reads it: the log it holds fills the disk.")
    return Remark("note" if lag > _MUCH_LAG else "ok", f"{said}.")


def _clock(offset: timedelta) -> Remark:
    ahead = offset.total_seconds()
    if abs(offset) > _USUAL_OFFSET:
        return Remark(
            "note",
            f"The server's clock is {ahead:+.1f} s from this machine's. Ours follows it; set one "
            "of them right.",
        )
    return Remark("ok", f"The server's clock is {ahead * 1000:+.0f} ms from this machine's.")
