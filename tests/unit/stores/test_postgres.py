"""What holds for the store on PostgreSQL alone: its schema, its connections, its locks."""

import asyncio
import re
import time
from collections import Counter
from contextlib import asynccontextmanager
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import asyncpg
import msgspec
import pytest

from tests import pgbouncer
from tests.contract.acting import ANN, DAY, HOUR, NOW, Acts, at_once, once
from tests.postgres_server import rows, running
from watchword.domain.challenge import Verdict
from watchword.domain.destination import phone
from watchword.domain.quota import Quota, Scope, Span
from watchword.errors import StoreUnavailable
from watchword.ports import PATIENCE_S
from watchword.stores import postgres
from watchword.stores._statements import migrations, scripts
from watchword.stores.postgres import PostgresStore, Terms, exists, migrate
from watchword.stores.postgres._connections import Connections, place
from watchword.stores.postgres._queries import SQL

HERE = Path(postgres.__file__).parent
PACKAGE = postgres.__name__
SLACK_S = 0.5
DEADLINE_S = 10


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def address(postgres_stock):
    with postgres_stock.lent() as address:
        yield address


@pytest.fixture
def empty(postgres):
    """A database that watchword has never seen."""
    address = postgres.create_database()
    yield address
    postgres.drop_database(address)


@pytest.fixture
async def store(address):
    store = await PostgresStore.open(address)
    yield store
    await store.close()


@pytest.fixture
async def acts(store):
    return Acts(store)


@asynccontextmanager
async def holding(address, statement, *given):
    """Somebody who runs a statement and does not come to an end, for as long as the block lasts."""
    connection = await asyncpg.connect(address)
    try:
        await connection.execute("BEGIN")
        await connection.fetch(statement, *given)
        yield
    finally:
        await connection.close()


def numbers(count):
    return [phone(f"+86138001{n:05d}") for n in range(count)]


def sources():
    return "".join(file.read_text("utf-8") for file in HERE.glob("*.py"))


@pytest.mark.parametrize("name", sorted(SQL))
def test_every_statement_is_used(name):
    assert f'"{name}"' in sources()


def test_every_statement_asked_for_is_there():
    assert set(re.findall(r'SQL\["(\w+)"\]', sources())) <= set(SQL)


def test_connections_are_opened_in_one_place():
    opened = [
        (file.name, count)
        for file in HERE.glob("*.py")
        if (count := file.read_text("utf-8").count("asyncpg.connect("))
    ]
    assert opened == [("_connections.py", 1)]


def test_changed_functions_come_with_a_migration():
    """They are made anew only where there is one. While it is not released, its last line moves
    along."""
    functions = sha256("".join(scripts(PACKAGE, "functions")).encode()).hexdigest()[:16]
    assert migrations(PACKAGE)[-1].splitlines()[-1] == f"-- functions {functions}"


def test_every_function_is_called():
    made = set(re.findall(r"FUNCTION watchword\.(\w+)\(", "".join(scripts(PACKAGE, "functions"))))
    bodies = re.sub(r"FUNCTION watchword\.\w+\(", "", "".join(scripts(PACKAGE, "functions")))
    assert made == {name for name in made if f"watchword.{name}(" in bodies + "".join(SQL.values())}


async def test_a_database_is_made_once_and_then_left_alone(empty):
    assert not await exists(empty)
    assert await migrate(empty) == (0, len(migrations(PACKAGE)))
    assert await exists(empty)
    assert await migrate(empty) == (len(migrations(PACKAGE)),) * 2


async def test_many_may_make_the_schema_at_once(empty):
    opened = await asyncio.gather(*(PostgresStore.open(empty) for _ in range(8)))
    await asyncio.gather(*(Acts(store).send() for store in opened))
    for store in opened:
        await store.close()


async def test_what_a_newer_watchword_made_is_left_alone(address):
    version = len(migrations(PACKAGE))
    rows(address, f"UPDATE watchword.house SET version = {version + 1}")  # noqa: S608
    try:
        with pytest.raises(StoreUnavailable, match="newer watchword"):
            await PostgresStore.open(address)
    finally:
        rows(address, f"UPDATE watchword.house SET version = {version}")  # noqa: S608


async def test_who_may_only_use_the_schema_can_open_it(address):
    """Whoever changes it is somebody else: `watchword store migrate`."""
    for statement in (
        "DROP ROLE IF EXISTS clerk",
        "CREATE ROLE clerk LOGIN",
        "GRANT USAGE ON SCHEMA watchword TO clerk",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA watchword TO clerk",
        "GRANT USAGE ON ALL SEQUENCES IN SCHEMA watchword TO clerk",
    ):
        rows(address, statement)
    try:
        store = await PostgresStore.open(address.replace("postgres@", "clerk@"))
        assert (await Acts(store).send()).opened
        await store.ready()
        await store.close()
    finally:
        rows(address, "DROP OWNED BY clerk")
        rows(address, "DROP ROLE clerk")


async def test_no_act_reads_a_whole_table(address):
    """With a million rows each of them is as quick as with a thousand."""
    store = await PostgresStore.open(address)
    quotas = (
        Quota(Scope.DESTINATION, 10, HOUR),
        Quota(Scope.APP, 5000, HOUR),
        Quota(Scope.NETWORK, 5, HOUR),
        Quota(Scope.EVERYTHING, 100_000, span=Span.DAY),
    )
    acts = Acts(store, quotas=quotas)
    for begin in range(0, 1000, 250):
        await asyncio.gather(
            *(acts.send(to=to, network=to.address) for to in numbers(1000)[begin : begin + 250])
        )
    rows(address, "VACUUM ANALYZE")
    rows(address, "SELECT pg_stat_reset()")
    await _every_act(acts)
    await store.close()  # what a connection counted is told when it ends
    told: dict[str, int] = dict(rows(address, "SELECT relname, seq_scan FROM pg_stat_user_tables"))
    large = {"challenges", "deliveries", "destinations", "trails"}
    assert {name: told.get(name, 0) for name in large} == dict.fromkeys(large, 0)


async def _every_act(acts):
    issued = await acts.send(network="n", once=once("a"))
    await acts.send(network="n", once=once("a"))
    await acts.miss(2, network="n")
    await acts.store.challenge("shop", issued.challenge_id)
    await acts.store.deliveries("shop", issued.challenge_id)
    await acts.store.delivery_state(issued.delivery)
    await acts.store.cancel("shop", issued.challenge_id, acts.now)
    issued = await acts.send()
    await acts.verdict(issued.challenge_id, await acts.code(issued.challenge_id))
    await acts.store.next_due("sms")
    leased = await acts.lease(most=3)
    await acts.begin(leased)
    for _ in range(8):
        await acts.store.sweep(acts.now + 2 * DAY, most=1)


@pytest.mark.parametrize("scope", [Scope.APP, Scope.EVERYTHING])
@pytest.mark.parametrize("amount", [1, 31, 33, 100])
async def test_a_split_quota_grants_exactly_its_amount(store, scope, amount):
    """However its shares fall to those who come at once, trailing and by the calendar."""
    for quota in (Quota(scope, amount, HOUR), Quota(scope, amount, span=Span.DAY)):
        acts = Acts(store, quotas=(quota,))
        told = Counter(await at_once(acts.send(to=to) for to in numbers(amount + 20)))
        assert told == {"issued": amount, "QuotaExceeded": 20}
        acts.now += timedelta(minutes=59)
        assert await at_once([acts.send()]) == ["QuotaExceeded"]


@pytest.mark.parametrize("quota", [Quota(Scope.APP, 1, HOUR), Quota(Scope.APP, 1, span=Span.DAY)])
async def test_a_quota_that_grows_and_shrinks_counts_what_was_granted(store, quota):
    """Exactly: what was spent of one amount is dealt to the shares of the next."""
    granted = 0
    for amount in (64, 65, 300, 299, 40):
        now = msgspec.structs.replace(quota, amount=amount)
        acts = Acts(store, quotas=(now,))
        told = Counter(await at_once(acts.send(to=to) for to in numbers(amount // 2 + 5)))
        left = max(0, min(amount - granted, amount // 2 + 5))
        assert told["issued"] == left
        granted += left
    assert granted == 299


async def test_a_held_share_keeps_nobody_from_another(store, address):
    acts = Acts(store, quotas=(Quota(Scope.APP, 640, HOUR),))
    await acts.send()
    share = "SELECT FROM watchword.trails WHERE share = 0 FOR UPDATE"
    async with holding(address, share), asyncio.timeout(PATIENCE_S):
        assert set(await at_once(acts.send(to=to) for to in numbers(20))) == {"issued"}


async def test_the_last_units_wait_for_who_may_take_them(store, address):
    """Refused is only who finds all shares spent: what is held may still be given back."""
    acts = Acts(store, quotas=(Quota(Scope.APP, 3, HOUR),))
    await acts.send()
    share = "SELECT FROM watchword.trails FOR UPDATE"
    async with holding(address, share):
        waiting = asyncio.create_task(acts.send(to=numbers(1)[0]))
        await until_somebody_waits(address)
        assert not waiting.done()
    assert (await waiting).opened


async def until_somebody_waits(address):
    waits = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    deadline = time.monotonic() + DEADLINE_S
    while not await asyncio.to_thread(rows, address, waits):
        assert time.monotonic() < deadline, "nobody waits"


async def test_an_act_on_a_destination_that_is_held_ends_in_time_and_does_nothing(store, address):
    acts = Acts(store, quotas=(Quota(Scope.DESTINATION, 2, HOUR),))
    issued = await acts.send()
    began = time.monotonic()
    async with holding(address, "SELECT FROM watchword.destinations FOR UPDATE"):
        told = await at_once([acts.send(once=once("k")), acts.check(issued.challenge_id, "-")])
        assert told == ["StoreUnavailable"] * 2
        assert time.monotonic() - began < PATIENCE_S + SLACK_S
        assert await at_once([acts.send(to=numbers(1)[0])]) == ["issued"]
    assert await at_once([acts.send(once=once("k"))]) == ["issued"]
    assert await at_once([acts.send()]) == ["QuotaExceeded"]


async def test_an_act_that_was_undone_is_done_again(store, monkeypatch):
    """Where the server says that nothing was done; the caller hears of it as of any other."""
    fetch, undone = asyncpg.Connection.fetch, [asyncpg.DeadlockDetectedError("in a circle")]

    async def trouble(self, statement, *given, **how):
        if "watchword.issue" in statement and undone:
            raise undone.pop()
        return await fetch(self, statement, *given, **how)

    monkeypatch.setattr(asyncpg.Connection, "fetch", trouble)
    assert (await Acts(store).send()).opened
    assert not undone


async def test_a_cancelled_caller_leaves_no_connection_behind(address):
    connections = Connections(address, Terms(connections=1))
    async with holding(address, "SELECT FROM watchword.house FOR UPDATE"):
        held = "SELECT FROM watchword.house FOR UPDATE"
        stuck = asyncio.create_task(connections.fetch(held))
        await until_somebody_waits(address)
        waiting = asyncio.create_task(connections.fetch("SELECT 1"))
        await asyncio.sleep(0)
        stuck.cancel()
        ((one,),) = await waiting
    assert (one, connections._made) == (1, 1)
    await connections.close()


async def test_who_waits_for_a_connection_waits_in_a_row_and_not_for_ever(address):
    connections = Connections(address, Terms(connections=1))
    async with holding(address, "SELECT FROM watchword.house FOR UPDATE"):
        began = time.monotonic()
        held = "SELECT FROM watchword.house FOR UPDATE"
        asked = [connections.fetch(held), *(connections.fetch("SELECT 1") for _ in range(5))]
        told = await asyncio.gather(*asked, return_exceptions=True)
        assert time.monotonic() - began < PATIENCE_S + SLACK_S
        assert type(told[0]) is StoreUnavailable
        assert {type(one) for one in told[1:]} <= {StoreUnavailable, list}
    assert [tuple(row) for row in await connections.fetch("SELECT 1")] == [(1,)]
    assert connections._made == 1
    await connections.close()


async def test_connections_are_no_more_than_asked_for(address):
    connections = Connections(address, Terms(connections=3))
    counted = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'watchword'"
    told = await asyncio.gather(
        *(connections.fetch(f"SELECT ({counted}) FROM pg_sleep(0.01)") for _ in range(20))  # noqa: S608
    )
    assert max(count for ((count,),) in told) <= 3
    await connections.close()


def test_a_place_tells_no_user_and_no_password():
    address = "postgresql://ann:secret@db1:5432,db2/codes?password=secret"
    assert place(address) == "db1:5432,db2/codes"


async def test_what_is_wrong_is_told_without_the_password(address):
    wrong = address.replace("postgres@", "nobody:secret@")
    with pytest.raises(StoreUnavailable) as refusal:
        await PostgresStore.open(wrong)
    assert "nobody" in str(refusal.value)
    assert "secret" not in str(refusal.value)


async def test_the_clock_is_held_to_the_servers(store):
    """Both are this machine's here."""
    assert abs(store.offset) < timedelta(seconds=0.5)


async def test_whoever_watches_hears_of_what_is_queued(store, address):
    other = await PostgresStore.open(address)
    heard = asyncio.Event()
    told = []

    def tell(channel):
        told.append(channel)
        heard.set()

    other.watch(tell)
    async with asyncio.timeout(DEADLINE_S):
        while not heard.is_set():  # it may not listen yet
            await Acts(store).send(to=ANN)
            await asyncio.wait([asyncio.create_task(heard.wait())], timeout=0.05)
    assert set(told) == {"sms"}
    await other.close()


async def test_it_works_without_anything_left_on_a_connection(address):
    """As behind PgBouncer in transaction mode."""
    store = await PostgresStore.open(address, Terms(pgbouncer=True))
    store.watch(lambda channel: None)
    acts = Acts(store)
    issued = await acts.send()
    code = await acts.code(issued.challenge_id)
    assert await acts.verdict(issued.challenge_id, code) is Verdict.MATCH
    assert rows(address, "SELECT FROM pg_stat_activity WHERE query LIKE 'LISTEN%'") == []
    await store.close()


async def test_a_well_kept_server_is_told_from_a_careless_one():
    """fsync, synchronous_commit and the read-only database are looked at, not assumed."""
    with running({"fsync": "on", "full_page_writes": "on"}) as server:
        store = await PostgresStore.open(server.address())
        assert "broken" not in [remark.state for remark in await store.examine()]
        await store.close()
        careless = server.address() + "?synchronous_commit=off"
        store = await PostgresStore.open(careless)
        (broken,) = [one.what for one in await store.examine() if one.state == "broken"]
        assert "synchronous_commit is off" in broken
        await store.close()
        store = await PostgresStore.open(server.address() + "?default_transaction_read_only=on")
        with pytest.raises(StoreUnavailable, match="read only"):
            await store.ready()
        assert await at_once([Acts(store, now=NOW).send()]) == ["StoreUnavailable"]
        await store.close()


@pytest.fixture
def pooled():
    """The address of a server through PgBouncer."""
    if not pgbouncer.program():
        pytest.skip("no pgbouncer here")
    with running() as server, pgbouncer.before(server) as address:
        yield address


async def test_a_pgbouncer_in_transaction_mode_may_stand_between(pooled):
    """Acts of many callers over two connections that belong to nobody."""
    store = await PostgresStore.open(pooled, Terms(connections=10, pgbouncer=True))
    acts = Acts(store, quotas=(Quota(Scope.DESTINATION, 3, HOUR), Quota(Scope.APP, 100, HOUR)))
    assert Counter(await at_once(acts.send(to=to) for to in numbers(60))) == {"issued": 60}
    issued = await acts.send(once=once("k"))
    assert (await acts.send(once=once("k"))).replayed
    code = await acts.code(issued.challenge_id)
    told = Counter(await at_once(acts.check(issued.challenge_id, code) for _ in range(20)))
    assert told == {"match": 1, "already-approved": 19}
    await store.close()
