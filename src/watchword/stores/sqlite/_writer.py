"""The one writer of a process: many waiting acts, one transaction, one COMMIT.

Each act runs in a savepoint of its own, so a refusal undoes that act alone. An answer goes out only
after the COMMIT that carries it; when the COMMIT fails nothing was done and every waiting caller is
told to try again.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from watchword.errors import StoreUnavailable, WatchwordError
from watchword.stores.sqlite._connection import connect, patiently

T = TypeVar("T")
Act = Callable[[sqlite3.Cursor], T]

MOST_IN_ONE_COMMIT = 256
MOST_WAITING = 10_000


class _Waiting:
    """An act, and the future that its caller awaits."""

    __slots__ = ("act", "error", "future", "loop", "result")

    def __init__(self, act: Act[Any]) -> None:
        self.act = act
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()
        self.result: Any = None
        self.error: BaseException | None = None


class Writer:
    """Owns the writing connection, on a thread of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._connection: sqlite3.Connection | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="sqlite-writer", daemon=True)
        self._thread.start()

    async def run(self, act: Act[T]) -> T:
        """Do one act. Raises what the act raises, and StoreUnavailable when it was not done."""
        if self._closed or self._queue.qsize() >= MOST_WAITING:
            raise StoreUnavailable
        waiting = _Waiting(act)
        self._queue.put(waiting)
        result: T = await waiting.future
        return result

    async def close(self) -> None:
        """Finish what is waiting, then stop."""
        self._closed = True
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        going_on = True
        while going_on:
            batch, going_on = self._next_batch()
            if batch:
                self._commit(batch)
                _answer(batch)
        self._reopen_later()

    def _next_batch(self) -> tuple[list[_Waiting], bool]:
        batch: list[_Waiting] = []
        item = self._queue.get()
        try:
            while item is not None:
                batch.append(item)
                if len(batch) >= MOST_IN_ONE_COMMIT:
                    return batch, True
                item = self._queue.get_nowait()
        except Empty:
            return batch, True
        return batch, False

    def _commit(self, batch: list[_Waiting]) -> None:
        try:
            cursor = self._begin()
            for waiting in batch:
                _try(cursor, waiting)
            cursor.execute("COMMIT")
        except (sqlite3.Error, StoreUnavailable) as trouble:
            self._reopen_later()
            for waiting in batch:
                waiting.error = StoreUnavailable()
                waiting.error.__cause__ = trouble

    def _begin(self) -> sqlite3.Cursor:
        if self._connection is None:
            self._connection = connect(self._path)
        cursor = self._connection.cursor()
        patiently(lambda: cursor.execute("BEGIN IMMEDIATE"))
        return cursor

    def _reopen_later(self) -> None:
        """A connection that failed at COMMIT is not trusted again: closing it rolls back."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _try(cursor: sqlite3.Cursor, waiting: _Waiting) -> None:
    """Run one act in its savepoint. Only trouble with the disk ends the whole transaction."""
    cursor.execute("SAVEPOINT act")
    try:
        waiting.result = waiting.act(cursor)
    except sqlite3.OperationalError:
        raise
    except WatchwordError as refusal:
        waiting.error = refusal
    except Exception as defect:  # its own caller gets it; the others are not to suffer
        waiting.error = defect
    if waiting.error is not None:
        cursor.execute("ROLLBACK TO act")
    cursor.execute("RELEASE act")


def _answer(batch: list[_Waiting]) -> None:
    """Hand the outcomes back, one call for each event loop."""
    loops: dict[asyncio.AbstractEventLoop, list[_Waiting]] = {}
    for waiting in batch:
        loops.setdefault(waiting.loop, []).append(waiting)
    for loop, theirs in loops.items():
        try:
            loop.call_soon_threadsafe(_resolve, theirs)
        except RuntimeError:
            continue  # that loop has ended: nobody is waiting any more


def _resolve(batch: list[_Waiting]) -> None:
    for waiting in batch:
        if waiting.future.done():
            continue
        if waiting.error is None:
            waiting.future.set_result(waiting.result)
        else:
            waiting.future.set_exception(waiting.error)
