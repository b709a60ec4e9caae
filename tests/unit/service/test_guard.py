"""Guards: guesses at a secret are bounded per client network, and a right one starts anew."""

from collections import Counter
from datetime import timedelta

import msgspec
import pytest

from tests.contract.acting import MINUTE, TICK, at_once
from watchword.errors import QuotaExceeded
from watchword.service.guard import Guard

HERE, THERE = "192.0.2.1", "192.0.2.2"
WINDOW = timedelta(minutes=15)


@pytest.fixture
def guard(acts):
    return Guard(acts.house, "password", 3, WINDOW)


async def spend_all(guard, acts, network=HERE):
    for _ in range(3):
        await guard.count("ann", network, acts.now)


async def test_of_many_guesses_at_once_exactly_so_many_are_let_through(guard, acts):
    told = Counter(await at_once(guard.count("ann", HERE, acts.now) for _ in range(20)))
    assert told == {"done": 3, "QuotaExceeded": 17}


async def test_a_spent_guard_says_when_to_come_back(guard, acts):
    await spend_all(guard, acts)
    acts.later(MINUTE)
    for ask in (guard.count, guard.look):
        with pytest.raises(QuotaExceeded) as refusal:
            await ask("ann", HERE, acts.now)
        assert (refusal.value.scope, refusal.value.retry_in) == ("credential", WINDOW - MINUTE)
    acts.later(WINDOW - MINUTE - TICK)
    with pytest.raises(QuotaExceeded):
        await guard.look("ann", HERE, acts.now)
    acts.later(TICK)
    assert not await guard.look("ann", HERE, acts.now)


async def test_each_secret_network_and_kind_has_its_own_count(guard, acts):
    await spend_all(guard, acts)
    other = Guard(acts.house, "access_key", 3, WINDOW)
    for one, whose, network in ((guard, "bob", HERE), (guard, "ann", THERE), (other, "ann", HERE)):
        assert not await one.look(whose, network, acts.now)
        await one.count(whose, network, acts.now)


async def test_unknown_networks_share_one_count(guard, acts):
    await spend_all(guard, acts, network="")
    with pytest.raises(QuotaExceeded):
        await guard.count("ann", "", acts.now)


async def test_a_right_guess_clears_its_count_alone(guard, acts):
    await spend_all(guard, acts)
    await guard.count("bob", HERE, acts.now)
    await guard.clear("ann", HERE, acts.now)
    assert not await guard.look("ann", HERE, acts.now)
    assert await guard.look("bob", HERE, acts.now)
    await spend_all(guard, acts)


async def test_a_house_that_does_not_count_by_network_has_no_guards(acts):
    house = msgspec.structs.replace(acts.house, by_network=False)
    guard = Guard(house, "password", 1, WINDOW)
    for _ in range(5):
        await guard.count("ann", HERE, acts.now)
    assert not await guard.look("ann", HERE, acts.now)
    await guard.clear("ann", HERE, acts.now)


async def test_a_counter_shows_neither_secret_nor_network(guard, acts, tmp_path):
    await guard.count("ann-the-user", HERE, acts.now)
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert kept
    assert b"ann-the-user" not in kept
    assert HERE.encode() not in kept


async def test_whatever_is_named_can_be_counted(guard, acts):
    for whose in ("", "\x00", "\ud800", "用户", "x" * 5000):
        await guard.count(whose, HERE, acts.now)
        assert await guard.look(whose, HERE, acts.now)
