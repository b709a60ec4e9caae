"""Records are looked at page by page, seals by the key that made them, and renewed beside users."""

import signal

import msgspec
import pytest

from tests.contract.acting import BOB, DAY, HOUR, MINUTE, NOW, TICK, rotating
from watchword.directory import resealing
from watchword.ports import Sealed, Write

KIND = "aliyun_key"


def put(key, version=0, *, keys, **more):
    told = {"id": key, "secret": keys.seal(b"secret", key.encode()), "note": "", **more}
    return Write(kind=KIND, key=key, version=version, body=msgspec.json.encode(told))


@pytest.fixture
async def twelve(acts):
    """Records that are sealed under the old key."""
    names = [f"key-{number:02}" for number in range(12)]
    await acts.store.write([put(name, keys=rotating(1)) for name in names], acts.now)
    return names


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(resealing, "_AT_ONCE", 5)


class Meddling:
    """The store, but that something else happens just before its first write."""

    def __init__(self, store, meddle):
        self._store, self._meddle = store, meddle

    async def write(self, writes, now):
        if meddle := self._meddle:
            self._meddle = None
            await meddle()
        await self._store.write(writes, now)

    def __getattr__(self, verb):
        return getattr(self._store, verb)


async def test_pages_hold_each_record_once_in_one_order(acts, twelve):
    """However many there are at once; other kinds, and what is over, are in none."""
    others = [
        Write(kind="aliyun_kez", key="key-00", version=0, body=b""),
        Write(kind=KIND, key="key-00-over", version=0, body=b"", expires_at=NOW + HOUR),
    ]
    await acts.store.write(others, acts.now)
    acts.later(HOUR)
    found, after = [], ""
    while page := await acts.store.page(KIND, after, acts.now, most=5):
        assert len(page) <= 5
        found += page
        after = page[-1].key
    assert [record.key for record in found] == twelve
    assert found == list(await acts.store.records(KIND, acts.now))


async def test_a_record_tells_until_when_it_lives(acts):
    await acts.store.write(
        [Write(kind=KIND, key="one", version=0, body=b"", expires_at=NOW + HOUR)], acts.now
    )
    (record,) = await acts.store.page(KIND, "", acts.now, most=5)
    assert record.expires_at == NOW + HOUR
    assert record == await acts.store.record(KIND, "one", acts.now)


async def test_seals_are_told_by_their_key_until_they_are_gone(acts):
    """Of challenges as of messages, page by page; a message that was handed over keeps none."""
    first, second = await acts.send(), await acts.send(to=BOB)
    found: list[Sealed] = []
    while page := await acts.store.sealed("challenges", found[-1].id if found else -1, most=1):
        found += page
    assert len(found) == 2
    assert {bytes(seal)[:2] for one in found for seal in one.seals} == {b"\0\1"}
    challenge = await acts.store.challenge("shop", first.challenge_id)
    assert found[0].until == challenge.expires_at + DAY
    waiting = await acts.store.sealed("deliveries", -1, most=9)
    assert [one.id for one in waiting] == [first.delivery, second.delivery]
    assert [list(map(bytes, one.seals)) for one in waiting] == [[b"\0\1"] * 2] * 2
    await acts.store.cancel("shop", first.challenge_id, acts.now)
    assert [one.id for one in await acts.store.sealed("deliveries", -1, most=9)] == [
        second.delivery
    ]
    acts.later(2 * DAY)
    await acts.sweep()
    assert not await acts.store.sealed("challenges", -1, most=9)
    assert not await acts.store.sealed("deliveries", -1, most=9)


async def test_challenges_are_open_until_the_last_one_ends(acts):
    """Of those that were opened by then; one that was answered, or is over, is not open."""
    assert await acts.store.open_until(acts.now, acts.now) is None
    first = await acts.send()
    ends_at = (await acts.store.challenge("shop", first.challenge_id)).expires_at
    acts.later(MINUTE)
    second = await acts.send(to=BOB)
    later = (await acts.store.challenge("shop", second.challenge_id)).expires_at
    assert await acts.store.open_until(NOW - TICK, acts.now) is None
    assert await acts.store.open_until(NOW, acts.now) == ends_at
    assert await acts.store.open_until(acts.now, acts.now) == later
    await acts.check(second.challenge_id, await acts.code(second.challenge_id))
    assert await acts.store.open_until(acts.now, acts.now) == ends_at
    assert await acts.store.open_until(acts.now, ends_at) is None


@pytest.mark.usefixtures("few")
async def test_all_of_a_kind_come_under_the_active_key(acts, twelve):
    """They open as before, and whoever begins anew finds nothing to do."""
    after = rotating(2)
    assert await resealing.reseal(acts.store, after, KIND, acts.now) == 12
    records = await acts.store.records(KIND, acts.now)
    assert [resealing.under(record) for record in records] == [2] * 12
    for record in records:
        seal = msgspec.convert(msgspec.json.decode(record.body)["secret"], bytes, strict=False)
        assert after.unseal(seal, record.key.encode()) == b"secret"
    assert await resealing.reseal(acts.store, after, KIND, acts.now) == 0


async def test_a_change_beside_resealing_is_not_lost(acts, twelve):
    """Whoever changed it first is kept, and it is resealed all the same."""

    async def note():
        await acts.store.write([put("key-00", 1, keys=rotating(1), note="changed")], acts.now)

    store = Meddling(acts.store, note)
    assert await resealing.reseal(store, rotating(2), KIND, acts.now) == 12
    record = await acts.store.record(KIND, "key-00", acts.now)
    assert msgspec.json.decode(record.body)["note"] == "changed"
    assert resealing.under(record) == 2
    assert record.version == 3


async def test_a_record_that_is_revoked_beside_resealing_stays_away(acts, twelve):
    async def revoke():
        gone = Write(kind=KIND, key="key-00", version=1, body=None)
        await acts.store.write([gone], acts.now)

    assert await resealing.reseal(Meddling(acts.store, revoke), rotating(2), KIND, acts.now) == 11
    assert await acts.store.record(KIND, "key-00", acts.now) is None


@pytest.mark.usefixtures("twelve")
async def test_resealing_that_is_killed_goes_on_where_it_was(acts, doomed, two_processes):
    """kill -9 after some of them: whoever begins anew does the rest, and all of them open."""
    assert await doomed(does="reseal and die", key=KIND, times=5) == signal.SIGKILL
    before = [resealing.under(one) for one in await acts.store.records(KIND, acts.now)]
    assert sorted(before) == [1] * 7 + [2] * 5
    assert sum(await two_processes(does="reseal", key=KIND)) == 7
    after = rotating(2)
    for record in await acts.store.records(KIND, acts.now):
        assert resealing.under(record) == 2
        seal = msgspec.convert(msgspec.json.decode(record.body)["secret"], bytes, strict=False)
        assert after.unseal(seal, record.key.encode()) == b"secret"
