"""What holds for the store on PostgreSQL alone: its schema, its connections, its locks."""

import asyncio
import re
import time
from collections import Counter
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from tests import pgbouncer
from tests.contract.acting import ANN, DAY, HOUR, NOW, SHOP, TICK, Acts, at_once, once
from tests.postgres_server import rows, running
from tests.unit.stores.others import (
    DEADLINE_S,
    SLACK_S,
    holding,
    numbers,
    until_there_are_sessions,
)
from watchword.domain.challenge import Verdict
from watchword.domain.delivery import DeliveryState
from watchword.domain.quota import Quota, Scope, Span
from watchword.errors import StoreUnavailable
from watchword.ports import PATIENCE_S
from watchword.stores import postgres
from watchword.stores._statements import migrations, scripts
from watchword.stores.postgres import PostgresStore, Terms, exists, migrate
from watchword.stores.postgres._queries import SQL

HERE = Path(postgres.__file__).parent
PACKAGE = postgres.__name__


@pytest.fixture
def empty(postgres):
    """A database that watchword has never seen."""
    address = postgres.create_database()
    yield address
    postgres.drop_database(address)


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
    made = set(
        re.findall(r"REPLACE FUNCTION watchword\.(\w+)\(", "".join(scripts(PACKAGE, "functions")))
    )
    bodies = re.sub(
        r"REPLACE FUNCTION watchword\.\w+\(", "", "".join(scripts(PACKAGE, "functions"))
    )
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
    await _ended(store, address)
    # Its rows are short: of a thousand a whole read costs hardly more than a few by the index.
    rows(
        address,
        "INSERT INTO watchword.destinations (destination, idle_at) "
        "SELECT sha256(destination || n::text::bytea), idle_at "
        "FROM watchword.destinations, generate_series(1, 10) n",
    )
    rows(address, "VACUUM ANALYZE")
    rows(address, "SELECT pg_stat_reset()")
    store = await PostgresStore.open(address)
    await _every_act(Acts(store, quotas=quotas))
    await _ended(store, address)
    told: dict[str, int] = dict(rows(address, "SELECT relname, seq_scan FROM pg_stat_user_tables"))
    large = {"challenges", "deliveries", "destinations", "trails"}
    assert {name: told.get(name, 0) for name in large} == dict.fromkeys(large, 0)


async def _ended(store, address):
    """Until it has left the server, to which a connection tells what it counted when it ends."""
    await store.close()
    await until_there_are_sessions(address, 0)


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
    await acts.store.hand_back(await acts.begin(leased[:2]))
    await acts.store.hand_back(leased)
    told = {"reason": "", "by_receipt": True}
    await acts.store.settle(leased[0].id, DeliveryState.DELIVERED, acts.now, **told)
    for _ in range(8):
        await acts.store.sweep(acts.now + 2 * DAY, most=1)


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


async def test_a_sweep_passes_by_what_is_held_and_comes_back_to_it(acts, address):
    """One act that hangs keeps no other code alive, and its own only until it is over."""
    sent = []
    for to in numbers(40):
        sent.append(await acts.send(to=to))
        acts.later(TICK)
    held = sent[3].challenge_id
    acts.now = sent[-1].expires_at
    challenge = "SELECT FROM watchword.challenges WHERE id = $1 FOR UPDATE"
    async with holding(address, challenge, held):
        await acts.sweep()
        assert [one.challenge_id for one in sent if await has_codes(acts, one)] == [held]
    await acts.sweep()
    assert not await has_codes(acts, sent[3])


async def has_codes(acts, issued):
    return (await acts.store.challenge(SHOP.id, issued.challenge_id)).draws != ()


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
