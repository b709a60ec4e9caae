"""What one commit costs on this disk, whatever watchword does."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

import apsw

ROW = 1000
COMMITS = 300


def commit_seconds(folder: Path) -> float:
    """The median of bare commits of one small row: SQLite, WAL, synchronous=FULL."""
    with (
        TemporaryDirectory(dir=folder) as place,
        closing(apsw.Connection(str(Path(place, "bare.db")))) as connection,
    ):
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE bare (row INTEGER PRIMARY KEY, body BLOB)")
        return median(_commit(connection) for _ in range(COMMITS))


def _commit(connection: apsw.Connection) -> float:
    body = os.urandom(ROW)
    started_at = perf_counter()
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO bare (body) VALUES (?)", (body,))
    connection.execute("COMMIT")
    return perf_counter() - started_at


def file_system(folder: Path) -> str:
    """The type of the file system that holds `folder`."""
    mounts = (line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines())
    holding = [(where, kind) for where, kind in mounts if folder.resolve().is_relative_to(where)]
    return max(holding, key=lambda each: len(each[0]))[1]
