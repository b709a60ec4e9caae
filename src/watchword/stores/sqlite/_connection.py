"""Connections to the file, every one opened here, and the migrations that shape it."""

from __future__ import annotations

import os
import random
import sqlite3
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

from watchword.errors import StoreUnavailable
from watchword.stores._statements import BEHIND

T = TypeVar("T")

PATIENCE_S = 2.0
NAP_S = 0.001
_PAGE_BYTES = 2048
"""Half the usual: a send writes to scattered pages, and each goes to the log whole."""
_LOOK_CACHE_KIB = 2 * 1024
_LONGEST_LOG = 64_000
"""Pages, 128 MiB: then a COMMIT carries what the checkpointer has not."""
BACKUP = 0x77776261
"""What marks a backup, as SQLite's application_id; "wwba" in ASCII. What was open in it is still
open there, so that no server may use it as it is."""

# sqlite3 looks for an adapter of every blob it is given, and finds out at length that there is
# none: this one gives the blob back.
sqlite3.register_adapter(bytes, bytes.__bytes__)


def connect(path: Path, *, cache_kib: int = _LOOK_CACHE_KIB) -> sqlite3.Connection:
    """Open the file as every connection of ours does: WAL, and a COMMIT that is on the disk.

    SQLite's own busy time-out sleeps far too long for locks that are held for a millisecond, so
    it is off and `patiently` waits instead.
    """
    connection = sqlite3.connect(
        path, timeout=0, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
    patiently(lambda: connection.execute("PRAGMA journal_mode = WAL").fetchone())
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA cache_size = -{cache_kib}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {_LONGEST_LOG}")
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection


def patiently(step: Callable[[], T]) -> T:
    """Repeat `step` while another process holds the lock, with a jittered nap under 1 ms between.

    Raises StoreUnavailable after 2 s.
    """
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return step()
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() > deadline:
                raise StoreUnavailable from error
        time.sleep(random.random() * NAP_S)  # noqa: S311 (jitter, not a secret)


def is_busy(error: sqlite3.Error) -> bool:
    return error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def touch(cursor: sqlite3.Cursor) -> None:
    """The smallest change that a COMMIT has to put on the disk."""
    (version,) = cursor.execute("PRAGMA user_version").fetchone()
    cursor.execute(f"PRAGMA user_version = {version}")


def prepare(path: Path, *, upgrades: bool = True) -> tuple[int, int]:
    """Make the file if there is none, readable to its owner only, and bring its schema up to date.
    Gives the versions from which and to which.

    Raises StoreUnavailable when a newer watchword has been here, or one from before 0.1.0, and
    where it is a backup; unless it `upgrades`, also where the schema is an older one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    connection = connect(path)
    try:
        connection.execute("PRAGMA temp_store = FILE")  # the index of a large table is sorted there
        patiently(lambda: connection.execute("BEGIN IMMEDIATE"))
        _refuse_a_draft(connection)
        _refuse_a_backup(connection)
        versions = _migrate(connection, upgrades=upgrades)
        connection.execute("COMMIT")
        return versions
    finally:
        connection.close()


def migrations() -> list[str]:
    """The texts of migrations/NNNN_*.sql in order; user_version counts those applied."""
    folder = files(__package__).joinpath("migrations")
    names = sorted(item.name for item in folder.iterdir() if item.name.endswith(".sql"))
    return [folder.joinpath(name).read_text("utf-8") for name in names]


def _migrate(connection: sqlite3.Connection, *, upgrades: bool) -> tuple[int, int]:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    steps = migrations()
    if version > len(steps):
        raise StoreUnavailable("This file was made by a newer watchword.")
    if 0 < version < len(steps) and not upgrades:
        raise StoreUnavailable(BEHIND)
    for step in steps[version:]:
        for statement in split(step):
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {len(steps)}")
    return version, len(steps)


def _refuse_a_draft(connection: sqlite3.Connection) -> None:
    columns = {name for _, name, *_ in connection.execute("PRAGMA table_info(challenges)")}
    if columns and "serial" not in columns:
        raise StoreUnavailable("This file is older than 0.1.0; begin with another data folder.")


def _refuse_a_backup(connection: sqlite3.Connection) -> None:
    (mark,) = connection.execute("PRAGMA application_id").fetchone()
    if mark == BACKUP:
        raise StoreUnavailable(
            "This file is a backup: move it elsewhere, then run watchword store restore on it."
        )


def split(script: str) -> list[str]:
    """The statements of a script, so that they run inside a transaction of ours."""
    found, current = [], ""
    for line in script.splitlines(keepends=True):
        current += line
        if sqlite3.complete_statement(current):
            found.append(current)
            current = ""
    return found
