"""What holds for the connections to PostgreSQL: how many there are, whose turn it is, and for how
long somebody waits."""

import asyncio
import socket
import time
from contextlib import asynccontextmanager, contextmanager, suppress
from urllib.parse import urlsplit

import asyncpg
import pytest

from tests.contract.acting import Acts, at_once, once, outcome
from tests.postgres_server import HERE, running
from tests.tcp_proxy import proxying
from tests.unit.stores.others import (
    OURS,
    SLACK_S,
    holding,
    numbers,
    sessions,
    until,
    until_somebody_waits,
    until_there_are_sessions,
    without_a_standby,
)
from watchword.errors import StoreUnavailable
from watchword.ports import PATIENCE, PATIENCE_S, Patience
from watchword.stores.postgres import PostgresStore, Terms
from watchword.stores.postgres._connections import Connections, place

SLEEP = "SELECT FROM pg_sleep(0.2)"
HELD = "SELECT FROM watchword.house FOR UPDATE"


@asynccontextmanager
async def connecting(address, count):
    """At most so many connections, all of them made."""
    connections = Connections(address, Terms(connections=count))
    try:
        await asyncio.gather(*(connections.fetch("SELECT 1") for _ in range(count)))
        yield connections
    finally:
        await connections.close()


@contextmanager
def patience(left_s):
    """A request that may wait so long."""
    token = PATIENCE.set(Patience(left_s))
    try:
        yield
    finally:
        PATIENCE.reset(token)


def on_hosts(address, *hosts):
    parts = urlsplit(address)
    who, at, _ = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{who}{at}{','.join(hosts)}").geturl()


def host_of(address):
    return urlsplit(address).netloc.rpartition("@")[2]


@pytest.fixture
def silent():
    """A host that lets everyone in and never says a word."""
    with socket.create_server((HERE, 0), backlog=64) as listening:
        listening.setblocking(False)
        yield listening


def guests(silent):
    """How many came since this was last asked."""
    count = 0
    with suppress(BlockingIOError):
        while True:
            silent.accept()[0].close()
            count += 1
    return count


async def test_a_silent_host_keeps_nobody_from_the_next(address, silent):
    """The first act comes through in its time, and the others know who answers."""
    silent_host = f"{HERE}:{silent.getsockname()[1]}"
    store = PostgresStore(on_hosts(address, silent_host, host_of(address)), Terms())
    async with asyncio.timeout(PATIENCE_S):
        assert (await Acts(store).send()).opened
    assert guests(silent) == 1
    assert set(await at_once(Acts(store).send(to=to) for to in numbers(20))) == {"issued"}
    assert guests(silent) == 0
    await store.close()


async def test_when_the_good_host_falls_silent_the_other_is_asked_again(address):
    """One act pays for it, where its connection was there already."""
    host, _, port = host_of(address).partition(":")
    with proxying(host, int(port)) as one, proxying(host, int(port)) as other:
        hosts = on_hosts(address, f"{HERE}:{one.port}", f"{HERE}:{other.port}")
        one.freeze()
        async with connecting(hosts, 1) as connections:
            one.pass_on()
            other.freeze()
            with pytest.raises(StoreUnavailable):
                await connections.fetch("SELECT 1")
            other.cut()
            assert await connections.fetch("SELECT 1")


async def test_a_cancelled_caller_leaves_no_connection_behind(address):
    async with connecting(address, 1) as connections:
        async with holding(address, HELD):
            stuck = asyncio.create_task(connections.fetch(HELD))
            await until_somebody_waits(address)
            waiting = asyncio.create_task(connections.fetch("SELECT 1"))
            await asyncio.sleep(0)
            stuck.cancel()
            ((one,),) = await waiting
        assert (one, connections._made) == (1, 1)


async def test_callers_who_leave_do_not_pile_up_on_the_server(address):
    """Nor are there more sessions than connections while the server still has to hear of it."""
    async with connecting(address, 3) as connections, holding(address, HELD):
        for _ in range(8):
            stuck = [asyncio.create_task(connections.fetch(HELD)) for _ in range(6)]
            await until_somebody_waits(address)
            for one in stuck:
                one.cancel()
            await asyncio.wait(stuck)
            assert len(await sessions(address)) <= 3


async def test_a_lost_patience_or_caller_costs_only_one_connection(address):
    """The others were not to blame, and lie idle as before."""
    async with connecting(address, 3) as connections, holding(address, HELD):
        before = await sessions(address)
        stuck = asyncio.create_task(connections.fetch(HELD))
        await until_somebody_waits(address)
        stuck.cancel()
        await asyncio.wait([stuck])
        assert len(before & await sessions(address)) >= 2
        await until_there_are_sessions(address, 2)
        with patience(0.2), pytest.raises(StoreUnavailable):
            await connections.fetch(HELD)
        assert before & await sessions(address)


async def test_a_request_without_patience_takes_no_connection_and_drops_none(address):
    async with connecting(address, 2) as connections:
        before = await sessions(address)
        for left_s in (0, -0.1):
            with patience(left_s), pytest.raises(StoreUnavailable):
                await connections.fetch("SELECT 1")
        assert await sessions(address) == before
        assert len(before) == 2
    fresh = Connections(address, Terms())
    with patience(0), pytest.raises(StoreUnavailable):
        await fresh.fetch("SELECT 1")
    assert fresh._made == 0
    await fresh.close()


async def test_a_short_patience_behind_a_long_one_is_kept(address):
    async with connecting(address, 1) as connections, holding(address, HELD):
        stuck = asyncio.create_task(connections.fetch(HELD))
        await until_somebody_waits(address)
        long = asyncio.create_task(connections.fetch("SELECT 1"))
        await asyncio.sleep(0)
        began = time.monotonic()
        with patience(0.2), pytest.raises(StoreUnavailable):
            await connections.fetch("SELECT 1")
        assert time.monotonic() - began < 0.2 + SLACK_S
        assert not long.done()
        stuck.cancel()
        assert await long


async def test_what_an_act_took_is_gone_from_the_patience_of_its_request(address):
    async with connecting(address, 1) as connections:
        with patience(1.0):
            await connections.fetch("SELECT pg_sleep(0.1)")
            left = PATIENCE.get()
    assert left is not None
    assert left.left_s < 0.9


async def test_who_waits_for_a_connection_waits_in_a_row_and_not_for_ever(address):
    async with connecting(address, 1) as connections, holding(address, HELD):
        began = time.monotonic()
        asked = [connections.fetch(HELD), *(connections.fetch("SELECT 1") for _ in range(5))]
        told = await asyncio.gather(*asked, return_exceptions=True)
        assert time.monotonic() - began < PATIENCE_S + SLACK_S
        assert type(told[0]) is StoreUnavailable
        assert {type(one) for one in told[1:]} <= {StoreUnavailable, list}
        assert [tuple(row) for row in await connections.fetch("SELECT 1")] == [(1,)]
        assert connections._made == 1


async def test_whoever_came_first_is_served_first(address):
    """Of 40 who ask again and again nobody is overtaken, and nobody starves."""
    served: list[int] = []

    async def ask(who, connections):
        for _ in range(5):
            await connections.fetch("SELECT 1")
            served.append(who)

    async with connecting(address, 1) as connections:
        await asyncio.gather(*(ask(who, connections) for who in range(40)))
    assert served == [*range(40)] * 5


async def test_closing_turns_away_who_waits_and_minds_nobody_who_left(address):
    async with holding(address, HELD):
        connections = Connections(address, Terms(connections=1))
        stuck = asyncio.create_task(connections.fetch(HELD))
        await until_somebody_waits(address)
        gone, waiting = (asyncio.create_task(connections.fetch("SELECT 1")) for _ in range(2))
        await asyncio.sleep(0)
        gone.cancel()
        await connections.close()
        with pytest.raises(StoreUnavailable):
            await waiting
        assert gone.cancelled()
        with pytest.raises(StoreUnavailable):
            await connections.fetch("SELECT 1")
    await asyncio.wait([stuck])
    await until_there_are_sessions(address, 0)


def test_what_a_loop_was_doing_when_it_ended_leaves_no_connection_open(address):
    """Its tasks are cancelled, and whatever they begin then is never run."""
    kept = []

    async def used():
        connections = Connections(address, Terms(connections=1))
        await connections.fetch("SELECT 1")
        kept.append((connections._idle[0], asyncio.create_task(connections.fetch(SLEEP))))
        await asyncio.sleep(0)
        await connections.close()

    asyncio.run(used())
    connection, _ = kept[0]
    assert connection.is_closed()
    asyncio.run(until_there_are_sessions(address, 0))


async def test_connections_are_no_more_than_asked_for(address):
    counted = f"SELECT count(*) FROM pg_stat_activity WHERE {OURS}"  # noqa: S608
    async with connecting(address, 3) as connections:
        told = await asyncio.gather(
            *(connections.fetch(f"SELECT ({counted}) FROM pg_sleep(0.01)") for _ in range(20))  # noqa: S608
        )
    assert max(count for ((count,),) in told) <= 3


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


@pytest.fixture
def own_address():
    """That of a server of our own, whose settings a test may change."""
    with running() as server:
        # Asking for TLS, the driver may leave an error that nobody retrieves in a connection that
        # it gave up making.
        yield server.address() + "?sslmode=disable"


async def test_acts_without_a_standby_end_in_time_and_are_found_afterwards(own_address):
    """However many ask, and however often: under their key, and each of them only once."""
    store = await PostgresStore.open(own_address, Terms(connections=4))
    acts = Acts(store)
    async with without_a_standby(own_address):
        for _ in range(2):
            began = time.monotonic()
            first = asyncio.create_task(outcome(acts.send(once=once("k"))))
            told = await at_once(acts.send(to=to) for to in numbers(12))
            assert {await first, *told} == {"StoreUnavailable"}
            assert time.monotonic() - began < PATIENCE_S + SLACK_S
            assert len(await sessions(own_address)) <= 4
    assert (await acts.send(once=once("k"))).replayed
    assert set(await at_once(acts.send(to=to) for to in numbers(12))) == {"issued"}
    await store.close()


async def test_callers_who_leave_do_not_pile_up_on_a_server_without_a_standby(own_address):
    """Their sessions would wait there for ever, each with its memory and its locks."""
    store = await PostgresStore.open(own_address, Terms(connections=4))
    waits = f"SELECT FROM pg_stat_activity WHERE {OURS} AND wait_event = 'SyncRep'"
    async with without_a_standby(own_address):
        for _ in range(6):
            sends = [asyncio.create_task(Acts(store).send(to=to)) for to in numbers(6)]
            await until(own_address, waits)
            for send in sends:
                send.cancel()
            await asyncio.wait(sends)
            assert len(await sessions(own_address)) <= 4
    assert set(await at_once(Acts(store).send(to=to) for to in numbers(12))) == {"issued"}
    await store.close()


async def test_an_answer_given_again_waits_for_the_standby_like_the_first(own_address):
    """Or a failover would lose what somebody was told twice."""
    store = await PostgresStore.open(own_address)
    acts = Acts(store)
    issued = await acts.send(once=once("s"))
    await acts.check(issued.challenge_id, "-", once=once("c"))
    async with without_a_standby(own_address):
        told = await at_once(
            [acts.send(once=once("s")), acts.check(issued.challenge_id, "-", once=once("c"))]
        )
        assert told == ["StoreUnavailable"] * 2
    assert (await acts.send(once=once("s"))).replayed
    assert (await acts.check(issued.challenge_id, "-", once=once("c"))).replayed
    await store.close()


def test_a_place_tells_no_user_and_no_password():
    address = "postgresql://ann:secret@db1:5432,db2/codes?password=secret"
    assert place(address) == "db1:5432,db2/codes"


async def test_what_is_wrong_is_told_without_the_password(address):
    wrong = address.replace("postgres@", "nobody:secret@")
    with pytest.raises(StoreUnavailable) as refusal:
        await PostgresStore.open(wrong)
    assert "nobody" in str(refusal.value)
    assert "secret" not in str(refusal.value)
