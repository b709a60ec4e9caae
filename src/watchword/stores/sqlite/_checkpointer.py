"""Carries the write-ahead log back into the file, beside the writer instead of in its way.

SQLite would do that itself at a COMMIT that finds the log long, and every caller of that COMMIT
would wait for thousands of scattered pages. Here a round follows every thousand acts, and a page
that was written in several of them is carried once. A log starts over only where all of it was
carried before the next act begins. So when it is long, rounds follow one another until little is
left, which the writer carries after its next COMMIT, before anybody acts again.
"""

from __future__ import annotations

import threading
from contextlib import closing, suppress
from pathlib import Path

import apsw

from watchword.errors import StoreUnavailable
from watchword.stores.sqlite._connection import connect

EVERY = 1_000
"""Acts between two rounds: some 12 MiB of log."""
LONG = 16_000
"""Pages, 32 MiB."""
_LITTLE = 400
_MOST_ROUNDS = 8


class Checkpointer:
    """A thread and a connection of its own. What it cannot carry, the next round does; where rounds
    never catch up, or there is no thread any more, a COMMIT."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._acts = 0
        self._little_is_left = False
        self._due = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="sqlite-checkpointer", daemon=True)
        self._thread.start()

    def committed(self, cursor: apsw.Cursor, acts: int) -> None:
        """The writer's word, after each COMMIT and before the next act."""
        if self._little_is_left:
            self._little_is_left = False
            with suppress(apsw.Error):  # the next round will meet it, too
                _carry(cursor)
        self._acts += acts
        if self._acts >= EVERY:
            self._acts = 0
            self._due.set()

    def close(self) -> None:
        """Raises nothing, and returns once the thread has ended."""
        self._closed = True
        self._due.set()
        self._thread.join()

    def _run(self) -> None:
        """Round after round; trouble with the disk ends a connection, not the thread."""
        while not self._closed:
            with suppress(apsw.Error, StoreUnavailable), closing(connect(self._path)) as log:
                while self._is_due():
                    pages = _carry(log.cursor())
                    if pages >= LONG:
                        self._little_is_left = _catch_up(log.cursor(), pages)

    def _is_due(self) -> bool:
        """Wait for the next round; False when there is none."""
        self._due.wait()
        self._due.clear()
        return not self._closed


def _catch_up(cursor: apsw.Cursor, pages: int) -> bool:
    """Carry what came while the last round ran, again and again; whether little is left."""
    for _ in range(_MOST_ROUNDS):
        before, pages = pages, _carry(cursor)
        if 0 <= pages <= before + _LITTLE:
            return True
    return False


def _carry(cursor: apsw.Cursor) -> int:
    """One round, which stops nobody; of how many pages the log was when it began, -1 where another
    process is at it."""
    _, pages, _ = cursor.execute("PRAGMA wal_checkpoint(PASSIVE)").get
    return int(pages)
