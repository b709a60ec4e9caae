"""The one writer of a process: many waiting acts, one transaction, one COMMIT.

Acts run on the event loop, for handing each of their statements from thread to thread would cost
more than the statements; only what waits for the disk runs on the writer's own thread. An act that
is refused has written nothing, for it looks before it writes; should one have begun to write, the
transaction is begun again with a savepoint for each act, which undoes that one alone. An answer
goes out only after the COMMIT that carries it; when the COMMIT fails nothing was done and every
waiting caller is told to try again.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

import apsw
import msgspec

from watchword.errors import StoreUnavailable
from watchword.stores.sqlite._checkpointer import Checkpointer
from watchword.stores.sqlite._connection import (
    NAP_S,
    PATIENCE_S,
    connect,
    is_busy,
    is_trouble,
    touch,
)

T = TypeVar("T")
Act = Callable[[apsw.Cursor], T]

MOST_IN_ONE_COMMIT = 128
MOST_WAITING = 10_000
GATHER_S = 0.008
QUIET_S = 0.0003
QUIET_ROUNDS = 3
CACHE_KIB = 48 * 1024


class _Waiting(msgspec.Struct):
    """An act, the future that its caller awaits, and what became of it."""

    act: Act[Any]
    future: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = None

    def run(self, cursor: apsw.Cursor) -> None:
        """Do the act, anew if it was done before. Raises only what ends the whole transaction:
        trouble with the disk."""
        self.result = self.error = None
        try:
            self.result = self.act(cursor)
        except Exception as error:
            if is_trouble(error):
                raise
            self.error = error  # a defect is its own caller's: the others are not to suffer

    def answer(self) -> None:
        if self.future.done():
            return
        if self.error is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(self.error)


class _Door(msgspec.Struct):
    """Who has come so far, how many rounds of the event loop ago and when the last of them did, and
    when to wait no longer."""

    deadline: float
    seen: int = 0
    rounds: int = 0
    since: float = 0.0


class Writer:
    """Owns the writing connection. Lives on the event loop that it was made on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._loop = asyncio.get_running_loop()
        self._connection: apsw.Connection | None = None
        self._waiting: list[_Waiting] = []
        self._taking_turns = False
        self._carefully = False
        self.commits: Counter[int] = Counter()
        """How often so many acts shared one COMMIT."""
        self._expected = 1
        self._door: _Door | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False
        self._checkpointer = Checkpointer(path)
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="sqlite-writer", daemon=True)
        self._thread.start()

    def run(self, act: Act[T]) -> asyncio.Future[T]:
        """Have one act done. The future raises what the act raises, and StoreUnavailable when it
        was not done; too many waiting raise that here."""
        if self._closed or len(self._waiting) >= MOST_WAITING:
            raise StoreUnavailable
        future: asyncio.Future[T] = self._loop.create_future()
        self._waiting.append(_Waiting(act, future))
        if not self._taking_turns:
            self._taking_turns = True
            self._idle.clear()
            self._gather()
        if self._door and len(self._waiting) >= self._expected:
            self._turn(None)
        return future

    async def close(self) -> None:
        """Finish what is waiting, then stop."""
        self._closed = True
        await self._idle.wait()
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)
        await asyncio.to_thread(self._checkpointer.close)

    def _gather(self) -> None:
        """Let those in who are at the door: a COMMIT costs the same for many as for one.

        Those who were about at the last COMMIT are likely to come again. Three quarters of them
        are awaited, and the others read while the next COMMIT runs; whoever was alone waits for
        nobody. The door is closed after 8 ms, or once nobody came for 0.3 ms and three rounds of
        the event loop, of which one reads a request, and the next brings it here.
        """
        self._door = _Door(deadline=time.monotonic() + GATHER_S)
        self._loop.call_soon(self._look_again, self._door)

    def _look_again(self, door: _Door) -> None:
        if door is not self._door:
            return
        here, now = len(self._waiting), time.monotonic()
        if here > door.seen:
            door.seen, door.rounds, door.since = here, 0, now
        else:
            door.rounds += 1
        is_quiet = door.rounds >= QUIET_ROUNDS and now > door.since + QUIET_S
        if here >= self._expected or is_quiet or now > door.deadline:
            self._turn(None)
        else:
            self._loop.call_soon(self._look_again, door)

    def _turn(self, deadline: float | None) -> None:
        """Take the lock, run what is waiting, and have it committed.

        While another process holds the lock, come back after a jittered nap under 1 ms, and give
        up at the deadline.
        """
        self._door = None
        if self._connection is None:
            self._jobs.put(self._connect)
            return
        cursor = self._connection.cursor()
        try:
            cursor.execute("BEGIN IMMEDIATE")
        except apsw.Error as trouble:
            self._wait_or_give_up(trouble, deadline)
            return
        batch = self._waiting[:MOST_IN_ONE_COMMIT]
        del self._waiting[:MOST_IN_ONE_COMMIT]
        run, self._carefully = (_run_apart if self._carefully else _run), False
        try:
            is_whole = run(cursor, batch)
            if not is_whole:
                cursor.execute("ROLLBACK")
        except apsw.Error as trouble:
            self._fail(batch, trouble)
            return
        if is_whole:
            self._jobs.put(lambda: self._commit(cursor, batch))
        else:
            self._waiting[:0] = batch
            self._carefully = True
            self._turn(None)

    def _wait_or_give_up(self, trouble: apsw.Error, deadline: float | None) -> None:
        now = time.monotonic()
        deadline = deadline or now + PATIENCE_S
        if is_busy(trouble) and now < deadline:
            nap = random.random() * NAP_S  # noqa: S311 (jitter, not a secret)
            self._loop.call_later(nap, self._turn, deadline)
            return
        self._fail_all(trouble)

    def _fail_all(self, trouble: Exception) -> None:
        batch, self._waiting = self._waiting, []
        self._fail(batch, trouble)

    def _fail(self, batch: list[_Waiting], trouble: Exception) -> None:
        """Nothing of the batch was done. Its connection is not trusted again: closing it rolls
        back."""
        self._drop()
        for waiting in batch:
            waiting.error = StoreUnavailable()
            waiting.error.__cause__ = trouble
        self._answer(batch)

    def _answer_committed(self, batch: list[_Waiting]) -> None:
        self.commits[len(batch)] += 1
        self._answer(batch)

    def _answer(self, batch: list[_Waiting]) -> None:
        for waiting in batch:
            waiting.answer()
        about = len(batch) + len(self._waiting)
        self._expected = min((3 * about + 3) // 4, MOST_IN_ONE_COMMIT)
        if self._waiting:
            self._gather()
        else:
            self._taking_turns = False
            self._idle.set()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close(force=True)  # whatever state its cursors are in
            self._connection = None

    # On the writer's thread, while the loop leaves the connection alone:

    def _work(self) -> None:
        while job := self._jobs.get():
            job()
        self._drop()

    def _connect(self) -> None:
        try:
            self._connection = connect(self._path, cache_kib=CACHE_KIB)
        except (apsw.Error, StoreUnavailable) as trouble:
            self._tell(self._fail_all, trouble)
        else:
            self._tell(self._turn, None)

    def _commit(self, cursor: apsw.Cursor, batch: list[_Waiting]) -> None:
        try:
            cursor.execute("COMMIT")
        except apsw.Error as trouble:
            _disown(cursor)
            self._tell(self._fail, batch, trouble)
        else:
            self._checkpointer.committed(cursor, len(batch))
            self._tell(self._answer_committed, batch)

    def _tell(self, what: Callable[..., None], *said: Any) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(what, *said)


def _disown(cursor: apsw.Cursor) -> None:
    """Take back what a failed COMMIT may have left whole in the log, where it only failed to reach
    the disk: after a crash it would be found there and believed. An idle commit goes over its
    beginning, which does the work even if that commit fails in the same way."""
    with suppress(apsw.Error):
        if cursor.connection.in_transaction:
            cursor.execute("ROLLBACK")
        touch(cursor)


def _run(cursor: apsw.Cursor, batch: list[_Waiting]) -> bool:
    """Run the acts one after the other; False as soon as one is refused that had written."""
    connection = cursor.connection
    for waiting in batch:
        changes = connection.total_changes()
        waiting.run(cursor)
        if waiting.error is not None and connection.total_changes() != changes:
            return False
    return True


def _run_apart(cursor: apsw.Cursor, batch: list[_Waiting]) -> bool:
    """Run each act in a savepoint of its own, so that what it had written goes with it."""
    for waiting in batch:
        cursor.execute("SAVEPOINT act")
        waiting.run(cursor)
        if waiting.error is not None:
            cursor.execute("ROLLBACK TO act")
        cursor.execute("RELEASE act")
    return True
