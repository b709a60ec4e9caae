"""A PostgreSQL server to measure: durable as in production, on the plan's disk and cores."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import asyncpg
import psutil

from tests import postgres_server

SETTINGS = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "shared_buffers": "2GB",
    "max_wal_size": "16GB",
    "checkpoint_timeout": "15min",
    "wal_init_zero": "on",
}
"""What anybody would set for such a service; all else is as PostgreSQL comes."""
T = TypeVar("T")


class Postgres(postgres_server.Postgres):
    def __init__(self, folder: Path, cores: set[int]) -> None:
        super().__init__(SETTINGS)
        self._cores = cores
        self._move(folder)

    def _move(self, folder: Path) -> None:
        """Onto the disk to measure; still its user's, who may not be ours."""
        owner = self.folder.stat()
        self.folder = Path(shutil.move(self.folder, folder.resolve()))
        os.chown(self.folder, owner.st_uid, owner.st_gid)
        self.data, self.log = self.folder / "data", self.folder / "log"

    def start(self) -> None:
        """It inherits our cores."""
        ours = os.sched_getaffinity(0)
        os.sched_setaffinity(0, self._cores)
        try:
            super().start()
        finally:
            os.sched_setaffinity(0, ours)

    def create(self, database: str) -> str:
        """An empty database; gives its address."""
        self.ask("postgres", lambda c: c.execute(f'CREATE DATABASE "{database}"'))
        return self.address(database)

    def ask(self, database: str, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        """Do something on a connection of its own."""

        async def run() -> T:
            connection = await asyncpg.connect(self.address(database))
            try:
                return await work(connection)
            finally:
                await connection.close()

        return asyncio.run(run())

    def value(self, database: str, query: str, *given: object) -> int:
        found: int = self.ask(database, lambda c: c.fetchval(query, *given))
        return found

    def begin(self, database: str, *statements: str) -> subprocess.Popen[bytes]:
        """Have them done one after the other, beside whatever else goes on."""
        words = [word for one in statements for word in ("-c", one)]
        psql = [str(self.bin / "psql"), "-qX", *words, self.address(database)]
        return subprocess.Popen(psql, stdout=subprocess.DEVNULL)

    def checkpoint(self) -> None:
        """Write out what is dirty. The log takes whole what is changed for the first time since."""
        self.ask("postgres", lambda c: c.execute("CHECKPOINT"))

    def cpu_seconds(self) -> float:
        """Of the whole server: its backends, those that have ended, and what runs behind them."""
        postmaster = psutil.Process(self.pid)
        while True:
            # One that ends as we look is among what its parent has waited for, next time.
            with suppress(psutil.NoSuchProcess):
                living = [each.cpu_times() for each in postmaster.children()]
                itself = postmaster.cpu_times()
                own: float = sum(each.user + each.system for each in (itself, *living))
                return own + float(itself.children_user + itself.children_system)

    def written(self) -> int:
        """Bytes of its log so far."""
        return self.value("postgres", "SELECT (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint")

    def syncs(self) -> int:
        """How often it synced its log; backends tell when they end, and now and then before."""
        if self.major < 18:
            return self.value("postgres", "SELECT wal_sync FROM pg_stat_wal")
        synced = "SELECT sum(fsyncs)::bigint FROM pg_stat_io WHERE object = 'wal'"
        return self.value("postgres", synced)

    def size_mib(self, database: str) -> float:
        """Tables and indexes of our schema."""
        size = (
            "SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class"
            " WHERE relkind = 'r' AND relnamespace = to_regnamespace('watchword')"
        )
        return self.value(database, size) / 2**20

    @property
    def major(self) -> int:
        return self.value("postgres", "SELECT current_setting('server_version_num')::int / 10000")

    @property
    def version(self) -> str:
        found: str = self.ask("postgres", lambda c: c.fetchval("SHOW server_version"))
        return found


@contextmanager
def running(folder: Path, cores: set[int]) -> Iterator[Postgres]:
    """A new server, gone afterwards."""
    server = Postgres(folder, cores)
    try:
        server.start()
        yield server
    finally:
        server.end()
