"""A store that an earlier version made and used goes on under this one."""

from contextlib import closing
from datetime import timedelta

import apsw
import asyncpg
import pytest

from tests.contract.acting import LEASE, NOW
from watchword.domain.delivery import DeliveryState
from watchword.stores import postgres, sqlite
from watchword.stores._instants import micros
from watchword.stores._statements import migrations
from watchword.stores.postgres import PostgresStore
from watchword.stores.sqlite import SqliteStore
from watchword.stores.sqlite._connection import split

AT = micros(NOW)
CHALLENGES = """
INSERT INTO {challenges} (
    serial, id, slot, app_id, purpose, channel, destination, subject, masked, recipient,
    code_length, max_attempts, attempts, state, {draws}, opened_at, resend_at, expires_at)
VALUES ({serial}, '{id}', {bytes}, '{app}', 'sign_in', 'sms', {bytes}, {bytes}, '+86***', {bytes},
    6, 5, 0, 'pending', {drawn}, {at}, {at}, {until})
"""
DELIVERIES = """
INSERT INTO {deliveries} (
    challenge, channel, state, minutes, recipient, code, cancel_if_refused, queued_at, expires_at,
    due_at)
VALUES ({serial}, 'sms', '{state}', 10, {bytes}, {bytes}, {no}, {at}, {until}, {due_at})
"""
SQLITE = {
    "challenges": "challenges",
    "deliveries": "deliveries",
    "draws": "draws",
    "drawn": "x'90'",
    "bytes": "x'00'",
    "no": "0",
}
POSTGRES = {
    "challenges": "watchword.challenges",
    "deliveries": "watchword.deliveries",
    "draws": "digests, drawn_at, dies_at, sealed",
    "drawn": "'{}', '{}', '{}', '{}'",
    "bytes": "'\\x00'",
    "no": "false",
}


def used(words):
    """What two apps left: three messages queued by one, one by the other, and one that ended."""
    common = {**words, "at": AT, "until": micros(NOW + timedelta(minutes=10))}
    for serial, app, state in (
        (1, "shop", "queued"),
        (2, "shop", "queued"),
        (3, "shop", "queued"),
        (4, "bank", "queued"),
        (5, "bank", "accepted"),
    ):
        one = {**common, "serial": serial, "id": f"{serial:026}", "app": app, "state": state}
        yield CHALLENGES.format(**one)
        yield DELIVERIES.format(**one, due_at=AT + serial if state == "queued" else "NULL")


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def old_file(tmp_path):
    path = tmp_path / "watchword.db"
    with closing(apsw.Connection(str(path))) as connection:
        for statement in (*split(migrations(sqlite.__name__)[0]), *used(SQLITE)):
            connection.execute(statement)
        connection.execute("PRAGMA user_version = 1")
    return path


@pytest.fixture
async def old_database(postgres):
    address = postgres.create_database()
    connection = await asyncpg.connect(address)
    for statement in (
        "CREATE SCHEMA watchword",
        "CREATE TABLE watchword.house (version int NOT NULL)",
        "INSERT INTO watchword.house VALUES (1)",
        migrations(_postgres)[0],
        *used(POSTGRES),
    ):
        await connection.execute(statement)
    await connection.close()
    yield address
    postgres.drop_database(address)


_postgres = postgres.__name__


async def test_a_file_of_the_first_version_goes_on(old_file):
    await goes_on(await SqliteStore.open(old_file))


async def test_a_database_of_the_first_version_goes_on(old_database):
    await goes_on(await PostgresStore.open(old_database))


async def goes_on(store):
    """What waited is handed over in turns, and nothing of it is lost."""
    try:
        terms = {"ttl": LEASE, "repeats": False}
        leased = await store.lease("sms", NOW + LEASE, most=3, **terms)
        assert [one.app_id for one in leased] == ["bank", "shop", "shop"]
        (waiting,) = (await store.condition(NOW)).waiting
        assert (waiting.channel, waiting.messages) == ("sms", 4)
        rest = await store.lease("sms", NOW + LEASE, most=3, **terms)
        assert [one.app_id for one in rest] == ["shop"]
        assert len(await store.listed(DeliveryState.ACCEPTED, most=9)) == 1
    finally:
        await store.close()
