"""What holds for the embedded store alone: its file, its connections, its statements."""

import asyncio
import re
import stat
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.contract.acting import ANN, BOB, DAY, HOUR, Acts
from watchword import stores
from watchword.domain.delivery import DeliveryState, Handover
from watchword.domain.destination import phone
from watchword.domain.quota import Quota, Scope, Span
from watchword.errors import QuotaExceeded, RecordConflict, StoreUnavailable
from watchword.ports import Write
from watchword.stores.sqlite import SqliteStore, _checkpointer
from watchword.stores.sqlite._checkpointer import Checkpointer
from watchword.stores.sqlite._connection import PATIENCE_S, connect, migrations, prepare
from watchword.stores.sqlite._queries import SQL

STORES = Path(stores.__file__).parent
HERE = STORES / "sqlite"
FULL = 2


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data" / "watchword.db"


@pytest.fixture
async def store(path):
    store = await SqliteStore.open(path)
    yield store
    await store.close()


def pragmas(cursor):
    mode = cursor.execute("PRAGMA journal_mode").get
    level = cursor.execute("PRAGMA synchronous").get
    patience = cursor.execute("PRAGMA busy_timeout").get
    return mode, level, patience


async def test_every_connection_reads_back_wal_and_full(store, path):
    """The writer's, a reader's, and any other that is opened: what is answered is on the disk."""
    assert await store._writer.run(pragmas) == ("wal", FULL, 0)
    assert await store._read(pragmas) == ("wal", FULL, 0)
    assert [remark.state for remark in await store.examine()] == ["ok"]
    with closing(connect(path)) as connection:
        assert pragmas(connection) == ("wal", FULL, 0)


def test_what_is_deleted_is_in_no_byte_of_the_file(path):
    """Whatever the SQLite at hand does by itself."""
    prepare(path)
    with closing(connect(path)) as connection:
        connection.execute("INSERT INTO records VALUES ('kind', 'a told secret', 1, x'00', NULL)")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert b"a told secret" in path.read_bytes()
        connection.execute("DELETE FROM records")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert b"a told secret" not in path.read_bytes()


def test_connections_are_opened_in_one_place():
    opened = [
        (file.name, count)
        for file in STORES.rglob("*.py")
        if (count := file.read_text("utf-8").count("apsw.Connection("))
    ]
    assert opened == [("_connection.py", 1)]


async def test_a_reader_cannot_write(store):
    with pytest.raises(StoreUnavailable):
        await store._read(lambda cursor: cursor.execute("DELETE FROM records"))


async def test_the_file_is_readable_to_its_owner_only(store, path):
    """With what SQLite puts beside it."""
    await Acts(store).send()
    files = list(path.parent.iterdir())
    assert path in files
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def shape(connection):
    rows = connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY type, name")
    # SQLite puts an added column after a space and a comma of its own.
    plain = [(kind, name, re.sub(r"\s+", " ", sql or "")) for kind, name, sql in rows]
    return [(kind, name, sql.replace(" ,", ",").replace(" )", ")")) for kind, name, sql in plain]


def test_the_migrations_add_up_to_the_schema(path):
    prepare(path)
    with closing(connect(path)) as migrated, closing(apsw.Connection(":memory:")) as fresh:
        fresh.execute((HERE / "schema.sql").read_text("utf-8"))
        assert shape(migrated) == shape(fresh)
        assert migrated.execute("PRAGMA user_version").get == len(migrations())


def test_every_table_is_strict(path):
    prepare(path)
    with closing(connect(path)) as connection:
        rows = connection.execute("PRAGMA table_list").get
    tables = {row[1]: row[5] for row in rows if not row[1].startswith("sqlite_")}
    assert len(tables) >= 7
    assert set(tables.values()) == {1}


def test_preparing_twice_is_the_same_as_once(path):
    prepare(path)
    with closing(connect(path)) as connection:
        before = shape(connection)
    prepare(path)
    with closing(connect(path)) as connection:
        assert shape(connection) == before


async def test_a_file_of_a_newer_watchword_is_left_alone(path):
    prepare(path)
    with closing(connect(path)) as connection:
        connection.execute("PRAGMA user_version = 999")
    with pytest.raises(StoreUnavailable, match="newer"):
        await SqliteStore.open(path)


async def test_a_file_from_before_the_first_release_is_left_alone(path):
    """It is told at the start, and not by every request."""
    path.parent.mkdir()
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute("CREATE TABLE challenges (row INTEGER PRIMARY KEY, id TEXT)")
        connection.execute("PRAGMA user_version = 1")
    with pytest.raises(StoreUnavailable, match="older than 0"):
        await SqliteStore.open(path)


async def test_what_is_no_database_is_not_opened(path):
    path.parent.mkdir()
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(StoreUnavailable):
        await SqliteStore.open(path)
    assert path.read_bytes() == b"not a database" * 100


async def test_many_may_make_the_file_at_once(path):
    opened = await asyncio.gather(*(SqliteStore.open(path) for _ in range(8)))
    await asyncio.gather(*(Acts(store).send() for store in opened))
    for store in opened:
        await store.close()


RESTORING = {"last_send", "settle_begun", "settle_waiting", "close_all", "forget_kind", "counters"}
"""Of a file that is just being made of a backup: nobody waits for it."""


def sources():
    return "".join(file.read_text("utf-8") for file in HERE.glob("*.py"))


@pytest.mark.parametrize("name", sorted(SQL))
def test_every_statement_is_used(name):
    assert f'"{name}"' in sources()


def test_every_statement_asked_for_is_there():
    asked = set(re.findall(r'SQL\["(\w+)"\]', sources()))
    assert asked <= set(SQL)


@pytest.mark.parametrize("name", sorted(SQL.keys() - RESTORING))
def test_no_statement_reads_a_whole_table(path, name):
    """With a million rows each of them is as quick as with ten."""
    prepare(path)
    numbered = [int(number) for number in re.findall(r"\?(\d+)", SQL[name])]
    marks = max(numbered, default=SQL[name].count("?"))
    with closing(connect(path)) as connection:
        plan = connection.execute(f"EXPLAIN QUERY PLAN {SQL[name]}", (0,) * marks).fetchall()
    steps = [str(step[3]) for step in plan]
    walks = [step for step in steps if re.match(r"SCAN (?!\(|CONSTANT)", step)]
    unbounded = [walk for walk in walks if "USING" not in walk and "subquery" not in walk]
    assert [walk for walk in unbounded if walk != "SCAN apps"] in (  # the few that were found
        [],
        *(["SCAN onces", *found] for found in ([], ["SCAN o"])),  # by row, and only the first few
        ["SCAN c"],  # the few that it found itself
        *([["SCAN deliveries", "SCAN failures"]] if name == "troubles" else []),  # 100,000 each
        *([["SCAN d"]] if name == "listed" else []),  # an operator's look, the newest rows first
        ["SCAN json_each VIRTUAL TABLE INDEX 1:"],  # the list that it is given
        ["SCAN events"],  # holds what waits to be sealed, of a second as a rule
        ["SCAN chains"],  # has a row a process and day
        ["SCAN k", "SCAN k", "SCAN behind", "SCAN before"],  # a row a chain, and up to 1,000 of it
        *([["SCAN challenges"]] if name == "challenges_of" else []),  # only erasing asks,
        *([["SCAN notices"]] if name == "erase_notices" else []),  # which writes the file anew
        ["SCAN w", "SCAN w"],  # what it found itself: a row a webhook
    )


def test_the_log_starts_over_however_busy_the_writer_is(path, monkeypatch):
    """What is left of a long log is carried between a COMMIT and the next act: no COMMIT ever has
    to carry much, and the log does not grow for ever."""
    monkeypatch.setattr(_checkpointer, "EVERY", 50)
    monkeypatch.setattr(_checkpointer, "LONG", 200)
    prepare(path)
    checkpointer = Checkpointer(path)
    with closing(connect(path)) as connection:
        connection.execute("CREATE TABLE busy (body BLOB)")
        cursor = connection.cursor()
        for _ in range(2_000):
            cursor.execute("BEGIN IMMEDIATE")
            cursor.execute("INSERT INTO busy VALUES (zeroblob(6000))")
            cursor.execute("COMMIT")
            checkpointer.committed(cursor, 1)
        pages = path.with_name("watchword.db-wal").stat().st_size // 2072
        checkpointer.close()
    assert pages < 2_000


async def test_a_lock_held_for_a_moment_is_waited_for(store, path):
    """Another process commits; ours goes next."""
    await store.ready()
    with closing(connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        freed = threading.Timer(0.1, other.execute, ("COMMIT",))
        freed.start()
        assert (await Acts(store).send()).opened
        freed.join()


async def test_a_lock_held_for_long_is_told_and_nothing_is_done(store, path):
    """After two seconds; once it is free everything works, without a restart."""
    acts = Acts(store)
    await store.ready()
    with closing(connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        told = await asyncio.gather(*(acts.send() for _ in range(5)), return_exceptions=True)
        assert {type(one) for one in told} == {StoreUnavailable}
        assert PATIENCE_S <= time.monotonic() - began < PATIENCE_S + 3
        other.execute("ROLLBACK")
    issued = await acts.send()
    assert issued.opened
    assert len(await store.deliveries("shop", issued.challenge_id)) == 1


async def test_a_look_waits_for_nobody(store, path):
    """Readers go on while another process writes."""
    issued = await Acts(store).send()
    with closing(connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("UPDATE challenges SET attempts = 4")
        found = await store.challenge("shop", issued.challenge_id)
        other.execute("ROLLBACK")
    assert found.attempts == 0


async def test_a_defect_in_one_act_is_its_own_callers(store):
    """Those that share its commit are done."""
    acts = Acts(store)

    def defect(cursor):
        cursor.execute("DELETE FROM challenges")
        raise ZeroDivisionError

    first = await acts.send()
    told: tuple[Any, ...] = await asyncio.gather(
        acts.send(subject=b"a"),
        store._writer.run(defect),
        acts.send(subject=b"b"),
        return_exceptions=True,
    )
    assert isinstance(told[1], ZeroDivisionError)
    for issued in (first, told[0], told[2]):
        assert await store.challenge("shop", issued.challenge_id)


async def test_a_refusal_that_had_written_is_undone_alone_and_the_rest_is_done_once(store):
    """All share a transaction. The quota would tell an act that was done twice."""
    acts = Acts(store, quotas=(Quota(Scope.DESTINATION, 4, HOUR),))
    await acts.send()
    taken = Write(kind="name", key="taken", version=0, body=b"")
    await store.write([taken], acts.now)
    other = Write(kind="name", key="other", version=0, body=b"")
    told: tuple[Any, ...] = await asyncio.gather(
        acts.send(subject=b"a"),
        store.write([other, taken], acts.now),
        acts.send(subject=b"b"),
        return_exceptions=True,
    )
    assert isinstance(told[1], RecordConflict)
    assert await store.record("name", "other", acts.now) is None
    await acts.send(subject=b"c")
    with pytest.raises(QuotaExceeded):
        await acts.send(subject=b"d")


async def test_a_refused_send_writes_nothing(store, path):
    """A flood that is refused costs no write to the disk."""
    acts = Acts(store, quotas=(Quota(Scope.DESTINATION, 9, HOUR), Quota(Scope.NETWORK, 1, HOUR)))
    await acts.send(network="n")
    log = path.with_name(f"{path.name}-wal")
    size = log.stat().st_size
    for to in (ANN, BOB):
        with pytest.raises(QuotaExceeded):
            await acts.send(to=to, network="n", subject=b"a")
    assert log.stat().st_size == size


async def test_counters_that_nothing_can_ask_for_are_swept(store):
    """Those that still count stay; a walk that is over is not begun again at once."""

    def counters(cursor):
        return cursor.execute(
            "SELECT (SELECT count(*) FROM spent), (SELECT count(*) FROM failures), count(*) "
            "FROM tallies"
        ).fetchone()

    hour, day = Quota(Scope.DESTINATION, 40, HOUR), Quota(Scope.DESTINATION, 40, span=Span.DAY)
    acts = Acts(store, quotas=(hour, day))
    for n in range(20):
        await acts.miss(1, to=phone(f"+86138001380{n:02d}"), network="n")
    assert await store._read(counters) == (20, 40, 20)
    acts.later(HOUR)
    await acts.send()
    assert await acts.sweep(most=7) > 3
    assert await store._read(counters) == (1, 40, 20)
    acts.later(90 * DAY)
    assert await acts.sweep(most=7) > 3
    assert await store._read(counters) == (0, 0, 0)


async def test_a_closed_store_does_nothing_more(path):
    store = await SqliteStore.open(path)
    acts = Acts(store)
    waiting = asyncio.gather(*(acts.send(subject=str(n).encode()) for n in range(5)))
    await asyncio.sleep(0)
    await store.close()
    assert len(await waiting) == 5
    with pytest.raises(StoreUnavailable):
        await acts.send()


async def test_a_settled_row_holds_nothing_of_its_message(store, path):
    """However it was settled: recorded, expired, cancelled or lost while sending."""
    acts = Acts(store)
    delivered = await acts.send(subject=b"delivered")
    (leased,) = await acts.lease()
    await acts.begin([leased])
    end = Handover(id=leased.id, token=leased.token, state=DeliveryState.DELIVERED)
    await store.record_handovers([end], provider="acme", now=acts.now)
    lost = await acts.send(subject=b"lost")
    await acts.begin(await acts.lease())
    cancelled = await acts.send(subject=b"cancelled")
    await store.cancel("shop", cancelled.challenge_id, acts.now)
    await acts.send(subject=b"expired")
    acts.now = lost.expires_at
    assert await acts.lease() == []
    with closing(connect(path)) as connection:
        rows = connection.execute("SELECT state, code, recipient FROM deliveries ORDER BY id")
        found = rows.fetchall()
    assert [row[0] for row in found] == ["delivered", "unknown", "cancelled", "expired"]
    assert {row[1:] for row in found} == {(b"", b"")}
    assert delivered.delivery == leased.id
