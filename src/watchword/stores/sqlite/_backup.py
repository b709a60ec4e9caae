"""A backup of the file while it is in use, and a new file made of a backup.

VACUUM INTO reads one snapshot, so writers never wait for it and it never begins anew; what they
write meanwhile stays in the log until it is done. The copy has no free pages: what was wiped in the
store is in no byte of it. It bears a mark, and no server opens it before `restoring` took it away.
"""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import apsw

from watchword.errors import StoreUnavailable
from watchword.stores._backups import (
    BESIDE,
    TABLES,
    BackupRefused,
    Census,
    drafted,
    placed,
    refuse_what_is_there,
)
from watchword.stores._instants import instant, micros
from watchword.stores.sqlite._connection import (
    BACKUP,
    changed,
    connect,
    migrations,
    patiently,
    prepare,
)
from watchword.stores.sqlite._queries import SQL
from watchword.stores.sqlite.store import SqliteStore

Tell = Callable[[float], None]
"""Called now and then with the share that is done."""
_STEPS = 20_000
"""Of SQLite's machine, between two looks at how far it has come."""


async def back_up(path: Path, into: Path, tell: Tell) -> Census:
    """Write what the store holds at this moment into a new file. Raises BackupRefused,
    StoreUnavailable, OSError."""
    stopped = threading.Event()
    try:
        return await asyncio.to_thread(_back_up, path, into, tell, stopped)
    except asyncio.CancelledError:
        stopped.set()  # the thread finds it at its next look, and takes the draft away
        raise
    except apsw.Error as error:
        raise StoreUnavailable(f"The store cannot be backed up: {error}.") from error


class Restoring:
    """A file that is not yet where a server looks for it."""

    def __init__(self, draft: Path, store: SqliteStore, census: Census) -> None:
        self.store, self.census, self._draft = store, census, draft

    @property
    def now(self) -> datetime:
        return datetime.now(UTC)

    async def settle(self, kinds: Sequence[str], now: datetime) -> tuple[int, int, int]:
        """End in one act what was open: challenges, messages that waited, and hand-overs that had
        begun; how many each. Records of these kinds go, too."""
        return await asyncio.to_thread(_settle, self._draft, kinds, now)

    async def forget(self, kinds: Sequence[str]) -> None:
        """Delete, in one act, all that is found by keyed digests, and all records of these kinds;
        a star ends a kind of which all that begin so are meant."""
        await asyncio.to_thread(_forget, self._draft, kinds)

    async def counted(self) -> int:
        """How many counters of limits and failures there are."""
        return await asyncio.to_thread(_counted, self._draft)


@asynccontextmanager
async def restoring(backup: Path, path: Path) -> AsyncIterator[Restoring]:
    """A new store made of a backup, in its place when the block ends; nothing stays where it fails.

    Raises BackupRefused, StoreUnavailable, OSError.
    """
    refuse_what_is_there(path)
    _refuse_a_left_log(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with drafted(path) as draft:
        try:
            census = await asyncio.to_thread(_unpack, backup, draft)
            store = await SqliteStore.open(draft)
        except apsw.Error as error:
            raise BackupRefused(f"{backup} cannot be restored: {error}.") from error
        try:
            yield Restoring(draft, store, census)
        finally:
            await store.close()
        await asyncio.to_thread(_finish, draft, path)


def _back_up(path: Path, into: Path, tell: Tell, stopped: threading.Event) -> Census:
    refuse_what_is_there(into)
    with drafted(into) as draft:
        with closing(connect(path)) as connection:
            connection.set_progress_handler(_look(connection, draft, tell, stopped), _STEPS)
            patiently(lambda: connection.execute("VACUUM INTO ?", (str(draft),)))
        with closing(connect(draft)) as copy:
            copy.execute(f"PRAGMA application_id = {BACKUP}")
            _refuse_broken(copy, draft)
            census = _census(copy)
        placed(draft, into)
    return census


def _refuse_a_left_log(path: Path) -> None:
    """SQLite would replay an earlier file's log over the new file."""
    for log in (path.with_name(path.name + end) for end in BESIDE):
        if log.exists():
            raise BackupRefused(
                f"{log} is left of an earlier store, and would change the restored one: move it "
                "away together with what else is left of that."
            )


def _look(
    connection: apsw.Connection, draft: Path, tell: Tell, stopped: threading.Event
) -> Callable[[], bool]:
    """How far it has come, by the size of the copy; True ends it."""
    pages = connection.execute("PRAGMA page_count").get
    free = connection.execute("PRAGMA freelist_count").get
    size = connection.execute("PRAGMA page_size").get
    whole = max(1, (pages - free) * size)

    def look() -> bool:
        with suppress(OSError):
            tell(min(1.0, draft.stat().st_size / whole))
        return stopped.is_set()

    return look


def _unpack(backup: Path, draft: Path) -> Census:
    with backup.open("rb") as given, draft.open("wb") as copy:
        shutil.copyfileobj(given, copy, 1 << 20)
    with closing(_connected(backup, draft)) as connection:
        mark = connection.execute("PRAGMA application_id").get
        if mark != BACKUP:
            raise BackupRefused(f"{backup} is no backup that watchword store backup made.")
        _refuse_broken(connection, backup)
        census = _census(connection)
        if census.version > len(migrations()):
            raise BackupRefused(f"{backup} was made by a newer watchword; restore it with that.")
        connection.execute("PRAGMA application_id = 0")
    prepare(draft)
    return census


def _connected(backup: Path, draft: Path) -> apsw.Connection:
    try:
        return connect(draft)
    except apsw.Error as error:
        raise BackupRefused(f"{backup} is no backup, or damaged: {error}.") from error


def _refuse_broken(connection: apsw.Connection, path: Path) -> None:
    try:
        found = connection.execute("PRAGMA integrity_check(1)").get
    except apsw.Error as error:
        raise BackupRefused(f"{path} is damaged: {error}.") from error
    if found != "ok":
        raise BackupRefused(f"{path} is damaged: {found}.")


def _census(connection: apsw.Connection) -> Census:
    """An older schema may lack a table."""
    asked = "SELECT name FROM sqlite_master WHERE type = 'table'"
    there = {name for (name,) in connection.execute(asked)}
    version = connection.execute("PRAGMA user_version").get
    rows = {
        table: connection.execute(f"SELECT count(*) FROM {table}").get  # noqa: S608
        for table in TABLES
        if table in there
    }
    last = connection.execute(SQL["last_send"]).fetchone()
    pinned = connection.execute(SQL["pinned_ring"]).fetchone()
    return Census(
        rows=rows,
        last_send_at=instant(last[0]) if last else None,
        fingerprint=pinned[0].decode() if pinned else "",
        version=version,
    )


def _settle(draft: Path, kinds: Sequence[str], now: datetime) -> tuple[int, int, int]:
    at = micros(now)
    with _act(draft) as connection:
        begun = changed(connection.execute(SQL["settle_begun"], (at,)))
        waiting = changed(connection.execute(SQL["settle_waiting"], (at,)))
        challenges = changed(connection.execute(SQL["close_all"], (at,)))
        for kind in kinds:
            connection.execute(SQL["forget_kind"], (kind,))
    return challenges, waiting, begun


def _forget(draft: Path, kinds: Sequence[str]) -> None:
    with _act(draft) as connection:
        for table in ("deliveries", "challenges", "spent", "tallies", "failures", "onces"):
            connection.execute(f"DELETE FROM {table}")  # noqa: S608
        for kind in kinds:
            connection.execute(SQL["forget_kind"], (kind,))


def _counted(draft: Path) -> int:
    with closing(connect(draft)) as connection:
        return int(connection.execute(SQL["counters"]).get)


@contextmanager
def _act(path: Path) -> Iterator[apsw.Connection]:
    with closing(connect(path)) as connection:
        patiently(lambda: connection.execute("BEGIN IMMEDIATE"))
        yield connection
        connection.execute("COMMIT")


def _finish(draft: Path, path: Path) -> None:
    """Whole, without a log, and in its place."""
    with closing(connect(draft)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    placed(draft, path)
