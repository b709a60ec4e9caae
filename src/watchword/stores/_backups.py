"""What backups of all stores have in common: what is told of one, and a file that is there whole or
not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import msgspec

TABLES = ("records", "challenges", "deliveries", "journal", "events")
"""What of a store is counted for people."""
BESIDE = ("-wal", "-shm", "-journal")
"""How the names end of what SQLite puts beside a file."""


class BackupRefused(Exception):
    """This backup cannot be made, or cannot be restored here. No surface ever meets it, so it is
    none of the family in errors.py."""


class Census(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup holds: rows by table, the last send that it knows, the fingerprint of the ring
    that it needs ("" where nothing was ever started on the store), and its schema's version."""

    rows: Mapping[str, int]
    last_send_at: datetime | None
    fingerprint: str
    version: int


def refuse_what_is_there(path: Path) -> None:
    """Raises BackupRefused."""
    if path.exists():
        raise BackupRefused(f"{path} is there already, and is not overwritten.")


@contextmanager
def drafted(path: Path) -> Iterator[Path]:
    """A file beside it, for us alone; it is gone afterwards."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        yield Path(name)
    finally:
        for end in ("", *BESIDE):
            Path(name + end).unlink(missing_ok=True)


def placed(draft: Path, path: Path) -> None:
    """Under its name at once or not at all, and instead of nothing."""
    with draft.open("rb") as written:
        os.fsync(written.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        refuse_what_is_there(path)
    except OSError:  # a file system without links
        refuse_what_is_there(path)
        os.replace(draft, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
