"""The embedded store: each verb of ports.Store is one act of the writer; looks have readers."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal, TypeVar

import apsw

from watchword.domain.challenge import Challenge
from watchword.domain.delivery import (
    Delivery,
    DeliveryState,
    Handover,
    Leased,
    Listed,
    Turns,
)
from watchword.domain.event import Chain, Entry, Event
from watchword.domain.failures import Budget, Failures
from watchword.domain.quota import Demand
from watchword.domain.webhook import Unheard
from watchword.errors import ChallengeNotFound, StoreUnavailable
from watchword.ports import (
    Attempt,
    Condition,
    Erasure,
    Issued,
    Judged,
    LeasedNotice,
    NewNotice,
    NoticeEnd,
    Order,
    Record,
    RedrawNeeded,
    Remark,
    Sealed,
    Swept,
    Troubles,
    Unsealed,
    Write,
)
from watchword.stores._condition import MOST_COUNTED, troubles_asked
from watchword.stores._instants import instant, maybe_instant, micros
from watchword.stores._rows import (
    PAGE,
    PAST_ALL,
    delivery_from,
    listed_from,
    naming,
    notice_from,
    record_from,
    sealed_delivery_from,
    unheard_from,
)
from watchword.stores._text import is_text
from watchword.stores.sqlite import _challenges, _journal, _limits, _outbox
from watchword.stores.sqlite._condition import condition
from watchword.stores.sqlite._connection import changed, connect, patiently, prepare, touch
from watchword.stores.sqlite._queries import SQL
from watchword.stores.sqlite._rows import challenge_from, sealed_challenge_from, unpacked
from watchword.stores.sqlite._sweeping import START, found, sweep
from watchword.stores.sqlite._writer import Writer

T = TypeVar("T")

_READERS = 2
_FULL = 2  # PRAGMA synchronous


class SqliteStore:
    """One file, any number of processes. Implements ports.Store."""

    def __init__(self, path: Path) -> None:
        """Use `open`, which prepares the file first."""
        self._path = path
        self._writer = Writer(path)
        self._readers = ThreadPoolExecutor(_READERS, "sqlite-reader")
        self._local = threading.local()
        self._reading: list[apsw.Connection] = []
        self._swept = START

    @classmethod
    async def open(cls, path: Path, *, upgrades: bool = True) -> SqliteStore:
        """Make or migrate the file. Raises StoreUnavailable; where it is of an older watchword,
        too, unless it `upgrades`."""
        await migrate(path, upgrades=upgrades)
        return cls(path)

    @property
    def offset(self) -> timedelta:
        return timedelta()

    def watch(self, tell: Callable[[str], None]) -> None:
        """A look is cheap here, so nobody tells."""

    async def close(self) -> None:
        await self._writer.close()
        self._readers.shutdown()
        for connection in self._reading:
            connection.close()

    async def issue(self, order: Order, now: datetime) -> Issued | RedrawNeeded:
        return await self._writer.run(lambda cursor: _challenges.issue(cursor, order, now))

    async def attempt(self, attempt: Attempt, now: datetime) -> Judged:
        return await self._writer.run(lambda cursor: _challenges.attempt(cursor, attempt, now))

    async def cancel(self, app_id: str, challenge_id: str, now: datetime) -> Challenge:
        return await self._writer.run(
            lambda cursor: _challenges.cancel(cursor, app_id, challenge_id, now)
        )

    async def challenge(self, app_id: str, challenge_id: str) -> Challenge:
        return await self._read(lambda cursor: _challenges.find(cursor, app_id, challenge_id))

    async def latest(self, app_id: str, slot: bytes) -> Challenge:
        def look(cursor: apsw.Cursor) -> Challenge:
            row = cursor.execute(SQL["latest_challenge"], (slot, app_id)).fetchone()
            if row is None:
                raise ChallengeNotFound
            return challenge_from(row)

        return await self._read(look)

    async def lease(
        self,
        channel: str,
        now: datetime,
        *,
        most: int,
        ttl: timedelta,
        repeats: bool,
        turns: Turns = Turns(),  # noqa: B008 (frozen)
    ) -> Sequence[Leased]:
        return await self._writer.run(
            lambda cursor: _outbox.lease(
                cursor, channel, now, most=most, ttl=ttl, repeats=repeats, turns=turns
            )
        )

    async def begin_sending(
        self, leased: Sequence[Leased], now: datetime, *, ttl: timedelta, again: bool = False
    ) -> Sequence[Leased]:
        return await self._writer.run(
            lambda cursor: _outbox.begin_sending(cursor, leased, now, ttl=ttl, again=again)
        )

    async def hand_back(self, leased: Sequence[Leased]) -> None:
        await self._writer.run(lambda cursor: _outbox.hand_back(cursor, leased))

    async def record_handovers(
        self, handovers: Sequence[Handover], *, provider: str, now: datetime
    ) -> None:
        await self._writer.run(
            lambda cursor: _outbox.record_handovers(cursor, handovers, provider=provider, now=now)
        )

    async def next_due(self, channel: str) -> datetime | None:
        ((due_at,),) = await self._rows("next_due", (channel,))
        return maybe_instant(due_at)

    async def deliveries(self, app_id: str, challenge_id: str) -> Sequence[Delivery]:
        asked = naming(challenge_id, app_id)
        rows = await self._read(lambda cursor: cursor.execute(SQL["deliveries"], asked).fetchall())
        if not rows:
            raise ChallengeNotFound
        return [delivery_from(row) for row in rows if row[0] is not None]

    async def delivery_state(self, delivery: int) -> DeliveryState:
        row = await self._read(
            lambda cursor: cursor.execute(SQL["delivery_state"], (delivery,)).fetchone()
        )
        if row is None:
            raise ChallengeNotFound
        return DeliveryState(row[0])

    async def settle(
        self, delivery: int, state: DeliveryState, now: datetime, *, reason: str, by_receipt: bool
    ) -> bool:
        told = (state.value, reason, micros(now), delivery, by_receipt)
        return await self._writer.run(
            lambda cursor: changed(cursor.execute(SQL["settle_told"], told)) == 1
        )

    async def waiting_before(self, delivery: Delivery) -> int:
        asked = (delivery.channel, delivery.id, MOST_COUNTED)
        ((count,),) = await self._rows("waiting_before", asked)
        return int(count)

    async def listed(self, state: DeliveryState, *, most: int) -> Sequence[Listed]:
        rows = await self._read(
            lambda cursor: cursor.execute(SQL["listed"], (state.value, most)).fetchall()
        )
        return [listed_from(row) for row in rows]

    async def due_notices(self) -> Sequence[tuple[str, datetime]]:
        rows = await self._rows("due_notices", ())
        return [(webhook, instant(due_at)) for webhook, due_at in rows]

    async def lease_notices(
        self, webhook: str, now: datetime, *, most: int, ttl: timedelta
    ) -> Sequence[LeasedNotice]:
        asked = (webhook, micros(now), micros(now + ttl), most)
        rows = await self._writer.run(
            lambda cursor: cursor.execute(SQL["lease_notices"], asked).fetchall()
        )
        return [notice_from(row) for row in rows]

    async def record_notice(self, end: NoticeEnd) -> None:
        def record(cursor: apsw.Cursor) -> None:
            if end.due_at is None:
                cursor.execute(SQL["end_notice"], (end.id, end.token))
            else:
                cursor.execute(SQL["put_off_notice"], (micros(end.due_at), end.id, end.token))

        await self._writer.run(record)

    async def drop_notices(self, webhook: str, until: datetime) -> None:
        asked = (webhook, micros(until))
        await self._writer.run(lambda cursor: cursor.execute(SQL["drop_notices"], asked))

    async def waiting_notices(self) -> Mapping[str, Unheard]:
        rows = await self._read(lambda cursor: cursor.execute(SQL["waiting_notices"]).fetchall())
        return unheard_from(rows)

    async def record(self, kind: str, key: str, now: datetime) -> Record | None:
        if not is_text(key):
            return None
        row = await self._glance(
            lambda cursor: cursor.execute(SQL["record"], (kind, key, micros(now))).fetchone()
        )
        return record_from(row) if row else None

    async def records(self, kind: str, now: datetime) -> Sequence[Record]:
        rows = await self._read(
            lambda cursor: cursor.execute(SQL["records"], (kind, micros(now))).fetchall()
        )
        return [record_from(row) for row in rows]

    async def page(self, kind: str, after: str, now: datetime, *, most: int) -> Sequence[Record]:
        asked = (kind, after, micros(now), most)
        rows = await self._read(
            lambda cursor: cursor.execute(SQL["page_of_records"], asked).fetchall()
        )
        return [record_from(row) for row in rows]

    async def sealed(
        self, what: Literal["challenges", "deliveries"], after: int, *, most: int
    ) -> Sequence[Sealed]:
        statement, shape = (
            (SQL["sealed_challenges"], sealed_challenge_from)
            if what == "challenges"
            else (SQL["sealed_deliveries"], sealed_delivery_from)
        )
        rows = await self._read(lambda cursor: cursor.execute(statement, (after, most)).fetchall())
        return [shape(row) for row in rows]

    async def open_until(self, opened_by: datetime, now: datetime) -> datetime | None:
        ((until,),) = await self._rows("open_until", (micros(now), micros(opened_by)))
        return maybe_instant(until)

    async def write(self, writes: Sequence[Write], now: datetime) -> None:
        await self._writer.run(lambda cursor: _challenges.apply(cursor, writes, now))

    async def spend(self, demands: Sequence[Demand], now: datetime) -> None:
        await self._writer.run(lambda cursor: _limits.spend(cursor, demands, now))

    async def spent(self, demands: Sequence[Demand], now: datetime) -> bool:
        return await self._read(lambda cursor: _limits.spent(cursor, demands, now))

    async def forget(self, counters: Sequence[bytes]) -> None:
        await self._writer.run(lambda cursor: _limits.forget(cursor, counters))

    async def history(self, destinations: Sequence[bytes]) -> Sequence[Challenge]:
        named = json.dumps([one.hex().upper() for one in destinations])
        found: list[Challenge] = []
        before = PAST_ALL
        while True:
            asked = (before, PAGE)
            ((first,),) = await self._rows("history_page", asked)
            if first is None:
                return found
            found += map(challenge_from, await self._rows("history", (first, before, named)))
            before = first

    async def failures(self, destination: bytes) -> Failures:
        rows = await self._rows("failures", (destination, b""))
        if not rows:
            return Failures()
        return Failures(tuple(map(instant, unpacked(rows[0][2]))), rows[0][3])

    async def unlock(self, destination: bytes) -> bool:
        def forget(cursor: apsw.Cursor) -> bool:
            return changed(cursor.execute(SQL["forget_failures"], (destination,))) > 0

        return await self._writer.run(forget)

    @property
    def sweeping_shares(self) -> tuple[float, float]:
        return 0.25, 0.75

    async def sweep(self, now: datetime, *, most: int) -> Swept:
        handful = await self._read(lambda cursor: found(cursor, now, most, self._swept))
        swept = Swept(0, handful.more)
        if handful.amount:
            swept = await self._writer.run(lambda cursor: sweep(cursor, handful))
        self._swept = handful.progress
        return swept

    async def note(self, events: Sequence[Event]) -> None:
        await self._writer.run(lambda cursor: _journal.note(cursor, events))

    async def unsealed(self, most: int) -> Sequence[tuple[int, Event]]:
        return await self._read(lambda cursor: _journal.unsealed(cursor, most))

    async def to_seal(self) -> Unsealed:
        return await self._read(_journal.to_seal)

    async def chains(self) -> Sequence[Chain]:
        return await self._read(_journal.chains)

    async def begin_chain(self, chain: Chain, roll: Chain) -> bool:
        return await self._writer.run(lambda cursor: _journal.begin_chain(cursor, chain, roll))

    async def seal(
        self,
        chain: Chain,
        entries: Sequence[Entry],
        events: Sequence[int],
        notices: Sequence[NewNotice] = (),
    ) -> bool:
        return await self._writer.run(
            lambda cursor: _journal.seal(cursor, chain, entries, events, notices)
        )

    async def entries(self, chain: int, since: int, most: int) -> Sequence[Entry]:
        return await self._read(lambda cursor: _journal.entries(cursor, chain, since, most))

    async def strays(self) -> int:
        return await self._read(_journal.strays)

    async def put_chain(self, chain: Chain) -> None:
        await self._writer.run(lambda cursor: _journal.put_chain(cursor, chain))

    async def drop_entries(self, chain: int, most: int) -> int:
        return await self._writer.run(lambda cursor: _journal.drop_entries(cursor, chain, most))

    async def entries_about(self, subjects: Sequence[bytes]) -> Sequence[tuple[int, int]]:
        return await self._read(lambda cursor: _journal.entries_about(cursor, subjects))

    async def erase(
        self, subjects: Sequence[bytes], marks: Sequence[tuple[int, int, bytes]]
    ) -> Erasure:
        return await self._writer.run(lambda cursor: _journal.erase(cursor, subjects, marks))

    async def scrub(self) -> None:
        try:
            await asyncio.to_thread(_journal.scrub, self._path)
        except apsw.Error as error:
            raise StoreUnavailable(f"The store could not be scrubbed: {error}.") from error

    async def ready(self) -> None:
        await self._writer.run(touch)

    @property
    def commits(self) -> Mapping[int, int]:
        return self._writer.commits

    async def condition(self, now: datetime) -> Condition:
        return await self._read(lambda cursor: condition(cursor, now))

    async def troubles(self, budget: Budget, now: datetime) -> Troubles:
        (found,) = await self._rows("troubles", troubles_asked(budget, now))
        return Troubles(*found)

    async def examine(self) -> Sequence[Remark]:
        mode, level = await self._read(_durability)
        if (mode, level) == ("wal", _FULL):
            return [Remark("ok", "The store keeps what it acknowledged (WAL, synchronous FULL).")]
        return [
            Remark(
                "broken",
                f"The store runs as {mode}, synchronous {level}: put it on a local disk, where "
                "SQLite can use WAL.",
            )
        ]

    async def _rows(self, name: str, asked: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        return await self._read(lambda cursor: cursor.execute(SQL[name], asked).fetchall())

    async def _glance(self, look: Callable[[apsw.Cursor], T]) -> T:
        """Look here and now, as acts do: for one row by its key, a thread costs more than the look.
        Raises StoreUnavailable."""
        try:
            return look(self._reader().cursor())
        except apsw.Error:  # a lock that passes, or a fault: the patient way finds out
            return await self._read(look)

    async def _read(self, look: Callable[[apsw.Cursor], T]) -> T:
        """Run a look on a reader thread, with its own connection. Raises StoreUnavailable."""

        def run() -> T:
            try:
                return patiently(lambda: look(self._reader().cursor()))
            except apsw.Error as error:
                raise StoreUnavailable from error

        return await asyncio.get_running_loop().run_in_executor(self._readers, run)

    def _reader(self) -> apsw.Connection:
        connection: apsw.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = connect(self._path)
            connection.execute("PRAGMA query_only = ON")
            self._local.connection = connection
            self._reading.append(connection)
        return connection


async def migrate(path: Path, *, upgrades: bool = True) -> tuple[int, int]:
    """Make the file, or bring it up to date; from which version to which. Raises StoreUnavailable,
    as `prepare` says."""
    try:
        return await asyncio.to_thread(prepare, path, upgrades=upgrades)
    except (apsw.Error, OSError) as error:
        raise StoreUnavailable(f"The store cannot be opened: {error}.") from error


def _durability(cursor: apsw.Cursor) -> tuple[str, int]:
    """What a connection of ours reads back: its journal mode, and its synchronous level."""
    mode = cursor.execute("PRAGMA journal_mode").get
    level = cursor.execute("PRAGMA synchronous").get
    return mode, level
