"""A backup of the schema by pg_dump, which reads one snapshot and locks nobody out, and a database
made of it by pg_restore.

What is restored gets its version last, and no server uses a store without one.
"""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from watchword.errors import StoreUnavailable
from watchword.stores._backups import (
    TABLES,
    BackupRefused,
    Census,
    drafted,
    placed,
    refuse_what_is_there,
)
from watchword.stores._instants import instant, micros
from watchword.stores._statements import migrations
from watchword.stores.postgres._connections import Terms, place
from watchword.stores.postgres._migrating import bring_up_to_date, visiting
from watchword.stores.postgres._queries import SQL
from watchword.stores.postgres.store import PostgresStore

_DUMP = ("--format=custom", "--schema=watchword", "--no-owner", "--no-privileges")
_RESTORE = ("--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction")
_IS_THERE = "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'watchword')"
_HAS_TABLE = "SELECT to_regclass($1) IS NOT NULL"
_HOUSE = re.compile(r"^\d+;.* TABLE DATA watchword house ")
_VERSION = re.compile(r"^COPY watchword\.house .*\n(\d+)\n", re.MULTILINE)
_OPTIONS = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "dbname": "PGDATABASE",
    "database": "PGDATABASE",
    "passfile": "PGPASSFILE",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslcrl": "PGSSLCRL",
    "ssl_min_protocol_version": "PGSSLMINPROTOCOLVERSION",
    "ssl_max_protocol_version": "PGSSLMAXPROTOCOLVERSION",
    "sslnegotiation": "PGSSLNEGOTIATION",
    "krbsrvname": "PGKRBSRVNAME",
    "gsslib": "PGGSSLIB",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
}
"""What of an address' query leads to the server, or proves who is who; the rest is how a session of
ours begins."""
_PORT = "5432"


async def back_up(address: str, terms: Terms, into: Path, program: str = "") -> Census:
    """Have `program` (pg_dump of the PATH) write what the store holds into a new file. The rows are
    counted just before. Raises BackupRefused, StoreUnavailable, OSError."""
    refuse_what_is_there(into)
    dump = _found(program, "pg_dump", [*_DUMP, f"--file={into}"], address)
    async with visiting(address, terms) as connection:
        if not await connection.fetchval(_IS_THERE):
            raise BackupRefused(f"There is no store in {place(address)}.")
        census = await _census(connection)
    with drafted(into) as draft:
        await _run(dump, *_DUMP, f"--file={draft}", environ=environment(address))
        # It reads all of it, to nobody.
        await _run(str(Path(dump).with_name("pg_restore")), f"--file={os.devnull}", str(draft))
        placed(draft, into)
    return census


class Restoring:
    """A schema that no server uses yet."""

    def __init__(
        self, address: str, terms: Terms, store: PostgresStore, census: Census, now: datetime
    ) -> None:
        self.store, self.census, self.now = store, census, now
        self._address, self._terms = address, terms

    async def settle(self, kinds: Sequence[str], now: datetime) -> tuple[int, int, int]:
        """End in one act what was open: challenges, messages that waited, and hand-overs that had
        begun; how many each. Records of these kinds go, too."""
        at = micros(now)
        async with visiting(self._address, self._terms) as connection, connection.transaction():
            begun = await connection.execute(SQL["settle_begun"], at)
            waiting = await connection.execute(SQL["settle_waiting"], at)
            challenges = await connection.execute(SQL["close_all"], at)
            await connection.execute(SQL["forget_kinds"], _patterns(kinds))
        return _amount(challenges), _amount(waiting), _amount(begun)

    async def forget(self, kinds: Sequence[str]) -> None:
        """Delete, in one act, all that is found by keyed digests, and all records of these kinds;
        a star ends a kind of which all that begin so are meant."""
        async with visiting(self._address, self._terms) as connection, connection.transaction():
            await connection.execute(
                "TRUNCATE watchword.deliveries, watchword.challenges, watchword.trails, "
                "watchword.tallies, watchword.failures, watchword.destinations, watchword.onces"
            )
            await connection.execute(SQL["forget_kinds"], _patterns(kinds))

    async def counted(self) -> int:
        """How many counters of limits and failures there are."""
        async with visiting(self._address, self._terms) as connection:
            return int(await connection.fetchval(SQL["counters"]))


@asynccontextmanager
async def restoring(
    backup: Path, address: str, terms: Terms, program: str = ""
) -> AsyncIterator[Restoring]:
    """A store made of a backup in a database without one; servers find it when the block ends, and
    nothing stays where it fails. Raises BackupRefused, StoreUnavailable, OSError."""
    restore = _found(program, "pg_restore", [*_RESTORE, str(backup)], address)
    with backup.open("rb"):  # what nobody can read is told in the system's words
        listed = await _listed(restore, backup)
    version = await _version(restore, backup)
    if version > len(migrations(__package__)):
        raise BackupRefused(f"{backup} was made by a newer watchword; restore it with that.")
    async with visiting(address, terms) as connection:
        if await connection.fetchval(_IS_THERE):
            raise BackupRefused(
                f"{place(address)} has a schema watchword already, and it is not overwritten: name "
                "an empty database, or drop that schema."
            )
    await _fill(restore, backup, address, [line for line in listed if not _HOUSE.match(line)])
    store = PostgresStore(address, terms)
    try:
        async with visiting(address, terms) as connection:
            await bring_up_to_date(connection, version)
            await connection.execute("ANALYZE")
            census = await _census(connection, version)
            now = await connection.fetchval("SELECT clock_timestamp()")
        yield Restoring(address, terms, store, census, now)
        async with visiting(address, terms) as connection:
            await connection.execute(SQL["open_house"], len(migrations(__package__)))
    except BaseException:
        with suppress(StoreUnavailable):
            async with visiting(address, terms) as connection:
                await connection.execute("DROP SCHEMA IF EXISTS watchword CASCADE")
        raise
    finally:
        await store.close()


def environment(address: str) -> Mapping[str, str]:
    """What tells PostgreSQL's own programs where to go: none of it is on their command line, which
    every user of the machine can read."""
    parts = urlsplit(address)
    who, _, hosts = parts.netloc.rpartition("@")
    user, _, password = who.partition(":")
    places = [_host_and_port(host) for host in hosts.split(",") if host]
    has_port = any(port for _, port in places)
    named = {
        "PGHOST": ",".join(unquote(host) for host, _ in places),
        "PGPORT": ",".join(port or _PORT for _, port in places) if has_port else "",
        "PGUSER": unquote(user),
        "PGPASSWORD": unquote(password),
        "PGDATABASE": unquote(parts.path[1:]),
        "PGAPPNAME": "watchword",
    }
    for name, value in parse_qsl(parts.query):
        if name in _OPTIONS and not named.get(_OPTIONS[name]):
            named[_OPTIONS[name]] = value
    if places and not named["PGPORT"]:
        named["PGPORT"] = _PORT
    return {**os.environ, **{name: value for name, value in named.items() if value}}


def _host_and_port(host: str) -> tuple[str, str]:
    """The port "" where none is said."""
    name, colon, port = host.rpartition(":")
    if not colon or port.endswith("]"):
        name, port = host, ""
    return name.strip("[]"), port


def _found(given: str, name: str, words: Sequence[str], address: str) -> str:
    """Raises BackupRefused, with the command to run where the program is."""
    found = shutil.which(given or name)
    if found:
        return found
    said = {key: value for key, value in environment(address).items() if key.startswith("PG")}
    shown = [f"{key}={shlex.quote(said[key])}" for key in ("PGHOST", "PGPORT", "PGUSER")
             if key in said]  # fmt: skip
    database = f"--dbname={said.get('PGDATABASE', '')}"
    line = " ".join([*shown, shlex.join([name, *words, database])])
    if name == "pg_restore":
        told = "A restore by hand leaves open what was open, so let watchword run it."
    else:
        told = f"Where it is, this makes the same file: {line}"
    raise BackupRefused(
        f"{given or name} is not here: install the client programs of your PostgreSQL (Debian: "
        f"apt install postgresql-client), or name it with --{name.replace('_', '-')}. {told}"
    )


async def _run(program: str, *words: str, environ: Mapping[str, str] | None = None) -> str:
    """What it prints. Raises BackupRefused with its own last word."""
    process = await asyncio.create_subprocess_exec(
        program,
        *words,
        env=environ,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        printed, complained = await process.communicate()
    except BaseException:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise
    if process.returncode:
        lines = complained.decode("utf-8", "replace").strip().splitlines()
        said = next((line for line in lines if "error:" in line), lines[-1] if lines else "failed")
        raise BackupRefused(f"{Path(program).name} says: {said.rpartition('error: ')[2]}")
    return printed.decode("utf-8", "replace")


async def _listed(restore: str, backup: Path) -> list[str]:
    try:
        listed = (await _run(restore, "--list", str(backup))).splitlines()
    except BackupRefused:
        listed = []
    if not any(map(_HOUSE.match, listed)):
        raise BackupRefused(f"{backup} is no backup that watchword store backup made.")
    return listed


async def _version(restore: str, backup: Path) -> int:
    words = ("--data-only", "--schema=watchword", "--table=house", "--file=-")
    found = _VERSION.search(await _run(restore, *words, str(backup)))
    if not found:
        raise BackupRefused(f"{backup} does not say which version it is.")
    return int(found[1])


async def _fill(restore: str, backup: Path, address: str, listed: Sequence[str]) -> None:
    """All of it or nothing."""
    with tempfile.NamedTemporaryFile("w", prefix="watchword-", suffix=".list") as chosen:
        chosen.write("\n".join(listed) + "\n")
        chosen.flush()
        words = (*_RESTORE, f"--use-list={chosen.name}", "--dbname=", str(backup))
        await _run(restore, *words, environ=environment(address))


async def _census(connection: Any, version: int | None = None) -> Census:
    """An older schema may lack a table."""
    rows = {}
    for table in TABLES:
        if await connection.fetchval(_HAS_TABLE, f"watchword.{table}"):
            rows[table] = await connection.fetchval(f"SELECT count(*) FROM watchword.{table}")  # noqa: S608
    last = await connection.fetchval(SQL["last_send"])
    pinned = await connection.fetchval(SQL["pinned_ring"])
    if version is None:
        version = await connection.fetchval("SELECT version FROM watchword.house")
    return Census(
        rows=rows,
        last_send_at=instant(last) if last else None,
        fingerprint=pinned.decode() if pinned else "",
        version=version or 0,
    )


def _patterns(kinds: Sequence[str]) -> list[str]:
    return [kind.replace("_", r"\_").replace("*", "%") for kind in kinds]


def _amount(status: str) -> int:
    """Of a command's tag, as in UPDATE 3."""
    return int(status.rpartition(" ")[2])
