"""The virtual carrier: built-in phones and mailboxes, which keep what they receive.

It is what a channel speaks to while no real provider is set. Some addresses misbehave on purpose,
so that a program can be tried against every outcome:

    +...0001   refuse@    refused for good
    +...0002   down@      unavailable, each time it is tried
    +...0003   silent@    taken, and never a receipt
    +...0004   slow@      taken after five seconds

What arrives is kept sealed in `inbox.db` in the data folder, under a keyed index of its address:
no code and no address can be read from the file. Several processes may have it open.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import apsw
import msgspec

from watchword.domain.delivery import DeliveryState, Receipt
from watchword.domain.destination import mailbox
from watchword.domain.keys import KeyRing, sealed_under
from watchword.domain.message import Message
from watchword.errors import KeyUnknown, ProviderRefused, ProviderUnavailable, RequestInvalid
from watchword.ports import Clock, Received

FILE = "inbox.db"

_NUMBERS = {"0001": "refuse", "0002": "down", "0003": "silent", "0004": "slow"}
_MAILBOXES = frozenset(_NUMBERS.values())
_PATIENCE_S = 5.0
_MICRO = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS received (
  id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, address BLOB NOT NULL,
  at INTEGER NOT NULL, sealed BLOB NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS received_by_address ON received (address);
CREATE INDEX IF NOT EXISTS received_by_time ON received (at);
"""
_KEEP = "INSERT INTO received (key, address, at, sealed) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
_DROP_OLD = "DELETE FROM received WHERE at < ?"
_DROP_MANY = "DELETE FROM received WHERE id <= (SELECT max(id) FROM received) - ?"
_ALL = "SELECT key, sealed FROM received WHERE at >= ? ORDER BY id"
_OF_ONE = "SELECT key, sealed FROM received WHERE at >= ? AND address = ? ORDER BY id"

Row = tuple[bytes, bytes, int, bytes]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """It keeps the newest `most` messages, none longer than `keep_s`."""

    most: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 10_000
    keep_s: Annotated[int, msgspec.Meta(ge=1, le=86_400)] = 86_400
    slow_s: Annotated[float, msgspec.Meta(ge=0, le=60)] = 5.0


class Virtual:
    """A Provider for every channel, and the Inbox that shows what it was handed.

    The same message key handed over twice is received once.
    """

    name = "virtual"
    most_at_once = 32
    repeats_harmlessly = True

    def __init__(
        self, path: Path, keys: KeyRing, *, clock: Clock, settings: Settings | None = None
    ) -> None:
        self._settings = settings or Settings()
        self.timeout = timedelta(seconds=self._settings.slow_s + _PATIENCE_S)
        self._keys = keys
        self._clock = clock
        self._keep_for = timedelta(seconds=self._settings.keep_s)
        self._file = _File(path, most=self._settings.most, keep=self._keep_for)
        self._file.forget(self._oldest())
        self._writes = _Batches(self._file.keep)

    async def send(self, message: Message) -> Receipt:
        """Take a message, unless its address says otherwise. Returns once it can be looked up."""
        trick = _trick(message.to)
        if trick == "refuse":
            raise ProviderRefused("The virtual carrier refuses this address on purpose.")
        if trick == "down":
            raise ProviderUnavailable("The virtual carrier is down for this address on purpose.")
        if trick == "slow":
            await asyncio.sleep(self._settings.slow_s)
        if message.expires_at is not None and message.expires_at <= self._clock():
            raise ProviderUnavailable("The code has expired.")
        row = self._row(message, self._clock())
        await self._writes.add(row)
        state = DeliveryState.ACCEPTED if trick == "silent" else DeliveryState.DELIVERED
        return Receipt(row[0].hex(), state)

    async def received(self, to: str | None = None) -> Sequence[Received]:
        """What arrived in the last day, oldest first, for one canonical address or for all.

        What was sealed under a key that the ring no longer holds is left out.
        """
        address = None if to is None else self._address(to)
        rows = await asyncio.to_thread(self._file.rows, self._oldest(), address)
        return [found for row in rows if (found := self._opened(*row)) is not None]

    async def sealed_under(self, key_id: int) -> Sequence[datetime]:
        """Until when what is sealed under this key stays."""
        rows = await asyncio.to_thread(self._file.rows, self._oldest(), None)
        ends_at = self._clock() + self._keep_for
        return [ends_at for _, sealed in rows if sealed_under(sealed) == key_id]

    async def close(self) -> None:
        """Finish what was begun, and close the file."""
        await self._writes.close()
        self._file.close()

    def _row(self, message: Message, now: datetime) -> Row:
        key = self._keys.index("virtual", "key", message.key)
        received = Received(
            to=message.to, channel=message.channel, text=message.text, code=message.code, at=now
        )
        sealed = self._keys.seal(msgspec.json.encode(received), key)
        return key, self._address(_identity(message.to)), _micros(now), sealed

    def _opened(self, key: bytes, sealed: bytes) -> Received | None:
        try:
            return msgspec.json.decode(self._keys.unseal(sealed, key), type=Received)
        except KeyUnknown:
            return None

    def _address(self, identity: str) -> bytes:
        return self._keys.index("virtual", "to", identity)

    def _oldest(self) -> int:
        return _micros(self._clock() - self._keep_for)


class _Batches:
    """Rows that come while others are being written are written together, in one thread.

    On an event loop nothing runs between two awaits, so this needs no lock.
    """

    def __init__(self, write: Callable[[Sequence[Row]], None]) -> None:
        self._write = write
        self._thread = ThreadPoolExecutor(1, "inbox")
        self._waiting: list[tuple[Row, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def add(self, row: Row) -> None:
        """Return once the row is written. Raises ProviderUnavailable when it cannot be."""
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((row, done))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all())
        await done

    async def close(self) -> None:
        if self._writing is not None:
            await self._writing
        self._thread.shutdown()

    async def _write_all(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch, self._waiting = self._waiting, []
            rows = [row for row, _ in batch]
            try:
                await loop.run_in_executor(self._thread, self._write, rows)
            except Exception:
                _settle(
                    batch, ProviderUnavailable("The inbox of the virtual carrier is not ready.")
                )
            else:
                _settle(batch, None)
        self._writing = None


class _File:
    """The inbox on disk, readable to its owner only: the newest `most` rows of the last `keep`."""

    def __init__(self, path: Path, *, most: int, keep: timedelta) -> None:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        path.chmod(0o600)
        self._path = path
        self._most = most
        self._keep_us = keep // _MICRO
        self._db = _connected(path)

    def keep(self, rows: Sequence[Row]) -> None:
        """Add what is new, in one transaction, and drop what is too old or too much."""
        newest = max(at for _, _, at, _ in rows)
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.executemany(_KEEP, rows)
            self._db.execute(_DROP_OLD, (newest - self._keep_us,))
            self._db.execute(_DROP_MANY, (self._most,))
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def forget(self, before: int) -> None:
        self._db.execute(_DROP_OLD, (before,))

    def rows(self, since: int, address: bytes | None) -> list[tuple[bytes, bytes]]:
        """Keys and seals, oldest first, read on a connection of its own."""
        with closing(_connected(self._path)) as db:
            asked = (_ALL, (since,)) if address is None else (_OF_ONE, (since, address))
            found: list[Any] = db.execute(*asked).fetchall()
            return found

    def close(self) -> None:
        self._db.close()


def _connected(path: Path) -> apsw.Connection:
    db = apsw.Connection(str(path))
    db.set_busy_timeout(int(_PATIENCE_S * 1000))
    _enter_wal(db)
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("PRAGMA secure_delete = ON")
    db.execute(_SCHEMA)
    return db


def _enter_wal(db: apsw.Connection) -> None:
    """Of several processes that open a new file at once, all but one may find it locked, whatever
    the busy time-out: SQLite does not wait where waiting could deadlock."""
    ends_at = time.monotonic() + _PATIENCE_S
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except apsw.BusyError:
            if time.monotonic() > ends_at:
                raise
            time.sleep(0.01)


def _settle(
    batch: Sequence[tuple[Row, asyncio.Future[None]]], error: ProviderUnavailable | None
) -> None:
    for _, done in batch:
        if done.done():
            continue
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)


def _trick(to: str) -> str:
    """How this address misbehaves, "" where it does not; a mailbox's +tag does not count."""
    if "@" not in to:
        return _NUMBERS.get(to[-4:], "")
    local = to.rpartition("@")[0].casefold().partition("+")[0]
    return local if local in _MAILBOXES else ""


def _identity(to: str) -> str:
    if "@" not in to:
        return to
    try:
        return mailbox(to).identity
    except RequestInvalid:
        raise ProviderRefused("The virtual carrier knows no such address.") from None


def _micros(at: datetime) -> int:
    return (at - _EPOCH) // _MICRO
