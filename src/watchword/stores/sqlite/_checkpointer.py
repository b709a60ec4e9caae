"""Carries the write-ahead log back into the file, beside the writer instead of in its way.

SQLite would do that itself at a COMMIT that finds the log long, and every caller of that COMMIT
would wait for thousands of scattered pages. It still does, and starts the log over; but what it
finds left to carry is little.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing, suppress
from pathlib import Path

from watchword.errors import StoreUnavailable
from watchword.stores.sqlite._connection import connect

_EVERY = 250
"""Acts between two rounds: some 4 MiB of log."""


class Checkpointer:
    """A thread and a connection of its own. What it cannot carry, the next round or COMMIT does."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._acts = 0
        self._due = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="sqlite-checkpointer", daemon=True)
        self._thread.start()

    def committed(self, acts: int) -> None:
        """The writer's word, after each COMMIT."""
        self._acts += acts
        if self._acts >= _EVERY:
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
            with suppress(sqlite3.Error, StoreUnavailable), closing(connect(self._path)) as log:
                while self._is_due():
                    log.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def _is_due(self) -> bool:
        """Wait for the next round; False when there is none."""
        self._due.wait()
        self._due.clear()
        return not self._closed
