"""What an act costs the database: one round trip, and no wait for acts on other destinations."""

import asyncio
import itertools
import re
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta

import asyncpg

from tests.contract.acting import SHOP, Acts
from tests.postgres_server import HERE, running
from tests.tcp_proxy import proxying
from tests.whole.postgres_fleet import Api, Fleet, mailbox, native_key, relay, through
from tests.whole.postgres_load import fleet_of_four
from tests.whole.postgres_wire import Wire
from watchword.domain.delivery import DeliveryState, Handover
from watchword.domain.destination import phone
from watchword.domain.quota import Demand, Quota, Scope, Span, meters
from watchword.ports import Write
from watchword.stores.postgres import PostgresStore, Terms

CALLERS = 12
SENDS = 200
ACTS = 600
PAUSE_S = 0.002
TELLS_OF_WAITS = {"log_lock_waits": "on", "deadlock_timeout": "1ms"}
"""Whoever waits for a lock longer than 1 ms is told of in the server's log."""
A_WAIT = re.compile(r"still waiting for .*(?:\n.*(?:DETAIL|CONTEXT|STATEMENT).*)*")
WAITING = """
SELECT a.wait_event, l.mode, a.query FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE NOT l.granted AND l.locktype <> 'extend'
"""
GROWTH = "extension of relation"
"""Two make a table longer at once: no row is held for it, and it ends before their acts do."""
SHARED = """
[policy]
resend_interval_s = 0
[limits]
app = ["5000/1h", "100000/day UTC"]
everything = ["9000/1h"]
"""
TURN = 20
ISSUE, ATTEMPT, LOOK_UP = r"watchword\.issue\(", r"watchword\.attempt\(", r"watchword\.records\b"
LOOKS_A_SECOND = 2 + 2 * 4 + 2
"""For the caller, for a pause of either channel, and for what a process does on the side."""
IN_BETWEEN = r"^\s*(BEGIN|COMMIT|ROLLBACK|RESET|DISCARD|SELECT pg_advisory)"
HOUR = timedelta(hours=1)
QUOTAS = (
    Quota(Scope.DESTINATION, 10, HOUR),
    Quota(Scope.APP, 5000, HOUR),
    Quota(Scope.APP, 100_000, span=Span.DAY),
    Quota(Scope.EVERYTHING, 9000, HOUR),
)


def test_distinct_destinations_never_wait_for_each_other(tmp_path):
    """Under the load of a whole fleet, with limits that all of them share."""
    with running(TELLS_OF_WAITS) as database, relay() as (mails, mail):
        store = database.create_database()
        fleet = Fleet(tmp_path, store, mails + SHARED)
        with fleet_of_four(fleet) as apis, nobody_waits(database, store):
            rate = sends_and_checks(apis, mail)
    print(f"{rate:.0f} sends and checks a second")


async def test_stores_at_full_speed_never_wait_for_each_other():
    """Without a network between them and the database, nor anything else that takes time. Limits
    that are new have their shares made first, which several may want to do at once."""
    with running(TELLS_OF_WAITS) as database:
        address = database.create_database()
        async with two_stores(address) as stores:
            houses = [Acts(store, quotas=QUOTAS, now=datetime.now(UTC)) for store in stores]
            numbers = itertools.count(13_800_000_000)
            await at_full_speed(houses, numbers)
            began = time.monotonic()
            with nobody_waits(database, address):
                await at_full_speed(houses, numbers)
            print(f"{ACTS / (time.monotonic() - began):.0f} sends and checks a second")


async def at_full_speed(houses, numbers):
    """So many acts, each on a destination of its own, on every connection there is."""
    left = iter(range(ACTS))

    async def act(acts):
        for _ in left:
            issued = await acts.send(to=phone(f"+86{next(numbers)}"))
            await acts.check(issued.challenge_id, "no-code")

    await asyncio.gather(*(act(acts) for acts in houses * Terms().connections))


@asynccontextmanager
async def two_stores(address):
    stores = [await PostgresStore.open(address, Terms()) for _ in range(2)]
    try:
        yield stores
    finally:
        for store in stores:
            await store.close()


async def test_callers_take_turns(postgres):
    """Of many more callers than connections, whoever came first is served first."""
    store = await PostgresStore.open(postgres.create_database(), Terms(connections=1))
    served: Counter[int] = Counter()
    try:

        async def ask(caller):
            while min(served[each] for each in range(CALLERS)) < TURN:
                await store.ready()
                served[caller] += 1

        await asyncio.gather(*map(ask, range(CALLERS)))
    finally:
        await store.close()
    assert max(served.values()) <= TURN + 1


def sends_and_checks(apis, mail):
    """Each to a mailbox of its own, by whichever server; how many a second."""
    began, servers = time.monotonic(), itertools.cycle(apis.values())

    def act(api):
        to = mailbox()
        sent = api.send(to)
        assert sent.status_code == 201, sent.text
        id = sent.json()["id"]
        assert api.check(id, "no-code").json()["attempts_left"] == 4
        if to in mail.codes:
            assert api.check(id, mail.codes[to]).json()["status"] == "approved"

    with ThreadPoolExecutor(CALLERS) as callers:
        for _ in callers.map(act, (next(servers) for _ in range(SENDS))):
            pass
    return SENDS / (time.monotonic() - began)


@contextmanager
def nobody_waits(database, address):
    """Nobody is seen to wait for a lock until the end of the block, and none waited for long."""
    over, quiet = threading.Event(), len(database.said())
    seen: list[tuple[str, ...]] = []

    async def watch():
        connection = await asyncpg.connect(address)
        try:
            while not over.is_set():
                seen.extend(map(tuple, await connection.fetch(WAITING)))
                await asyncio.sleep(PAUSE_S)
        finally:
            await connection.close()

    with ThreadPoolExecutor(1) as watching:
        watched = watching.submit(asyncio.run, watch())
        try:
            yield
        finally:
            over.set()
            watched.result()
    told = A_WAIT.findall(database.said()[quiet:])
    assert [*seen, *(wait for wait in told if GROWTH not in wait)] == []


def test_an_act_asks_the_database_once(tmp_path):
    """A send is one round trip and so is a check; who calls is looked up once a second."""
    wire = Wire()
    with running() as database, proxying(HERE, database.port) as proxy:
        proxy.ears = wire.ear
        home = Fleet(tmp_path, through(proxy, database.create_database())).house("one")
        key = native_key(home)
        with home.serving() as serving, Api(serving["base_url"], key) as api:
            api.check(api.send(mailbox()).json()["id"], "no-code")
            wire.forget()
            began = time.monotonic()
            ids = [api.send(mailbox()).json()["id"] for _ in range(TURN)]
            for id in ids:
                assert api.check(id, "no-code").status_code == 200
            seconds = time.monotonic() - began
            assert wire.times(ISSUE) == wire.times(ATTEMPT) == TURN
            assert wire.times(LOOK_UP) <= LOOKS_A_SECOND * (1 + seconds)
            assert wire.times(IN_BETWEEN) == 0


async def test_every_verb_is_one_round_trip(tmp_path):
    """Once its statement is known to the connection. A sweep is no act: it has its own bounds."""
    wire = Wire()
    with running() as database, proxying(HERE, database.port) as proxy:
        proxy.ears = wire.ear
        address = through(proxy, database.create_database())
        store = await PostgresStore.open(address, Terms(connections=1))
        try:
            acts = Acts(store, quotas=QUOTAS, now=datetime.now(UTC))
            await Verbs(acts, wire, "+8613800138001").cost()
            costs = await Verbs(acts, wire, "+8613800138002").cost()
        finally:
            await store.close()
    assert costs == dict.fromkeys(costs, 1)


class Verbs:
    """Every verb of a store, each used once, and how many round trips it took."""

    def __init__(self, acts, wire, number):
        self._acts, self._wire, self._to = acts, wire, phone(number)
        self._costs = {}

    async def cost(self):
        acts, store, now = self._acts, self._acts.store, self._acts.now
        issued = await self._count("issue", acts.send(to=self._to))
        id = issued.challenge_id
        challenge = await self._count("challenge", store.challenge(SHOP.id, id))
        await self._count("latest", store.latest(SHOP.id, challenge.slot))
        await self._count("deliveries", store.deliveries(SHOP.id, id))
        await self._count("delivery_state", store.delivery_state(issued.delivery))
        await self._count("attempt", acts.check(id, "no-code"))
        await self._deliver(now)
        await self._count("cancel", store.cancel(SHOP.id, id, now))
        await self._count("unlock", store.unlock(challenge.destination))
        await self._keep_records(now)
        await self._spend(now)
        await self._count("ready", store.ready())
        return self._costs

    async def _deliver(self, now):
        acts, store = self._acts, self._acts.store
        await self._count("next_due", store.next_due("sms"))
        leased = await self._count("lease", acts.lease())
        await self._count("begin_sending", acts.begin(leased))
        ended = [
            Handover(id=one.id, token=one.token, state=DeliveryState.ACCEPTED) for one in leased
        ]
        assert ended
        recorded = store.record_handovers(ended, provider="acme", now=now)
        await self._count("record_handovers", recorded)

    async def _keep_records(self, now):
        store, key = self._acts.store, self._to.address
        write = Write(kind="note", key=key, version=0, body=b"a note")
        await self._count("write", store.write([write], now))
        await self._count("record", store.record("note", key, now))
        await self._count("records", store.records("note", now))

    async def _spend(self, now):
        store, counter = self._acts.store, self._to.address.encode()
        (meter,) = meters([Quota(Scope.CREDENTIAL, 10, HOUR)])
        demands = [Demand(meter, counter)]
        await self._count("spend", store.spend(demands, now))
        await self._count("spent", store.spent(demands, now))
        await self._count("forget", store.forget([counter]))

    async def _count(self, verb, work):
        before = self._waits()
        outcome = await work
        self._costs[verb] = self._waits() - before
        return outcome

    def _waits(self):
        """Without the hint to workers, which comes by itself and a little later."""
        return self._wire.waits - self._wire.times("pg_notify")
