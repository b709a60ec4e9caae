"""Connections to the file, every one opened here, and the migrations that shape it."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

import apsw

from watchword.errors import StoreUnavailable
from watchword.stores._statements import BEHIND

T = TypeVar("T")

_ASKED_AMISS = (
    apsw.BindingsError,
    apsw.ConstraintError,
    apsw.MismatchError,
    apsw.RangeError,
    apsw.TooBigError,
)
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


def connect(path: Path, *, cache_kib: int = _LOOK_CACHE_KIB) -> apsw.Connection:
    """Open the file as every connection of ours does: WAL, and a COMMIT that is on the disk.

    SQLite's own busy time-out sleeps far too long for locks that are held for a millisecond, so
    it is off and `patiently` waits instead. Plans are stable, for a statement that may be planned
    by its values is compiled anew with each of them.
    """
    connection = apsw.Connection(str(path), statementcachesize=256)
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
    patiently(lambda: connection.execute("PRAGMA journal_mode = WAL"))
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute(f"PRAGMA cache_size = -{cache_kib}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {_LONGEST_LOG}")
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection


def patiently(step: Callable[[], T]) -> T:
    """Repeat `step` while another process holds the lock, with a jittered nap under 1 ms between.

    Raises StoreUnavailable after 2 s, and at once what is no lock.
    """
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return step()
        except apsw.Error as error:
            if not is_busy(error):
                raise
            if time.monotonic() > deadline:
                raise StoreUnavailable from error
        time.sleep(random.random() * NAP_S)  # noqa: S311 (jitter, not a secret)


def is_busy(error: apsw.Error) -> bool:
    return isinstance(error, (apsw.BusyError, apsw.LockedError))


def is_trouble(error: Exception) -> bool:
    """Whether it lies with the file, the disk or a lock, and not with what an act asked for."""
    return isinstance(error, apsw.Error) and not isinstance(error, _ASKED_AMISS)


def changed(cursor: apsw.Cursor) -> int:
    """How many rows the last statement wrote, leaving out what its triggers did."""
    return cursor.connection.changes()


def touch(cursor: apsw.Cursor) -> None:
    """The smallest change that a COMMIT has to put on the disk."""
    version = cursor.execute("PRAGMA user_version").get
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


def _migrate(connection: apsw.Connection, *, upgrades: bool) -> tuple[int, int]:
    version = connection.execute("PRAGMA user_version").get
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


def _refuse_a_draft(connection: apsw.Connection) -> None:
    columns = {name for _, name, *_ in connection.execute("PRAGMA table_info(challenges)")}
    if columns and "serial" not in columns:
        raise StoreUnavailable("This file is older than 0.1.0; begin with another data folder.")


def _refuse_a_backup(connection: apsw.Connection) -> None:
    mark = connection.execute("PRAGMA application_id").get
    if mark == BACKUP:
        raise StoreUnavailable(
            "This file is a backup: move it elsewhere, then run watchword store restore on it."
        )


def split(script: str) -> list[str]:
    """The statements of a script, so that they run inside a transaction of ours."""
    found, current = [], ""
    for line in script.splitlines(keepends=True):
        current += line
        if apsw.complete(current):
            found.append(current)
            current = ""
    return found
