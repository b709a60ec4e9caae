"""What is counted without a send, as guesses at a secret: exact, all or none, forgotten whole."""

from collections import Counter
from itertools import chain

import pytest

from tests.contract.acting import DAY, HOUR, MINUTE, NOW, TICK, at_once
from watchword.domain.quota import Quota, Scope, Span, demand, meters
from watchword.errors import QuotaExceeded

FIFTEEN_AN_HOUR = Quota(Scope.CREDENTIAL, 15, HOUR)
TWO_AN_HOUR = Quota(Scope.CREDENTIAL, 2, HOUR)
TWO_A_DAY = Quota(Scope.CREDENTIAL, 2, span=Span.DAY)
BOTH_KINDS = pytest.mark.parametrize("quota", [TWO_AN_HOUR, TWO_A_DAY], ids=["trailing", "tally"])


def wanted(*quotas, of=b"ann", now=NOW):
    return [demand(meter, of + meter.calendar.encode(), now) for meter in meters(quotas)]


async def refused(act) -> QuotaExceeded:
    with pytest.raises(QuotaExceeded) as refusal:
        await act
    return refusal.value


async def test_of_40_units_at_once_exactly_15_are_spent(store):
    told = await at_once(store.spend(wanted(FIFTEEN_AN_HOUR), NOW) for _ in range(40))
    assert Counter(told) == {"done": 15, "QuotaExceeded": 25}


async def test_two_processes_spend_exactly_15(two_processes):
    told = await two_processes(does="guess", times=20, quotas=[FIFTEEN_AN_HOUR])
    assert Counter(chain.from_iterable(told)) == {"done": 15, "QuotaExceeded": 25}


async def test_a_refusal_spends_nothing_of_any_demand(store):
    roomy, full = wanted(FIFTEEN_AN_HOUR, of=b"bob"), wanted(TWO_AN_HOUR)
    for _ in range(2):
        await store.spend(full, NOW)
    for _ in range(20):
        await refused(store.spend([*roomy, *full], NOW))
    assert not await store.spent(roomy, NOW)
    told = await at_once(store.spend(roomy, NOW) for _ in range(16))
    assert Counter(told) == {"done": 15, "QuotaExceeded": 1}


async def test_a_refusal_tells_the_longest_wait(store):
    hour, day = wanted(TWO_AN_HOUR), wanted(Quota(Scope.CREDENTIAL, 2, DAY), of=b"bob")
    for _ in range(2):
        await store.spend([*hour, *day], NOW)
    for ask in (store.spend, store.spent):
        refusal = await refused(ask([*hour, *day], NOW + MINUTE))
        assert (refusal.scope, refusal.retry_in) == ("credential", DAY - MINUTE)


async def test_its_window_trails(store):
    """There is room again for each unit as soon as it is a window ago."""
    for minute in (0, 20):
        await store.spend(wanted(TWO_AN_HOUR), NOW + minute * MINUTE)
    assert (await refused(store.spend(wanted(TWO_AN_HOUR), NOW + HOUR - TICK))).retry_in == TICK
    await store.spend(wanted(TWO_AN_HOUR), NOW + HOUR)
    await refused(store.spend(wanted(TWO_AN_HOUR), NOW + HOUR + 20 * MINUTE - TICK))


@BOTH_KINDS
async def test_a_look_spends_nothing(store, quota):
    assert not await store.spent(wanted(quota), NOW)
    await store.spend(wanted(quota), NOW)
    for _ in range(5):
        assert await store.spent(wanted(quota), NOW)
    await store.spend(wanted(quota), NOW)
    await refused(store.spent(wanted(quota), NOW))


@BOTH_KINDS
async def test_a_look_sees_nothing_of_what_is_over(store, quota):
    await store.spend(wanted(quota), NOW)
    assert not await store.spent(wanted(quota, now=NOW + DAY), NOW + DAY)


@BOTH_KINDS
async def test_what_is_forgotten_was_never_counted(store, quota):
    """And what others count is not forgotten with it."""
    mine, others = wanted(quota), wanted(quota, of=b"bob")
    for _ in range(2):
        await store.spend([*mine, *others], NOW)
    await store.forget([one.counter for one in mine])
    assert not await store.spent(mine, NOW)
    told = await at_once(store.spend(mine, NOW) for _ in range(3))
    assert Counter(told) == {"done": 2, "QuotaExceeded": 1}
    await refused(store.spend(others, NOW))


async def test_a_long_count_is_forgotten_whole(store):
    """Over all the parts that it is kept in."""
    hundred = wanted(Quota(Scope.CREDENTIAL, 100, HOUR))
    for _ in range(2):
        told = await at_once(store.spend(hundred, NOW) for _ in range(101))
        assert Counter(told) == {"done": 100, "QuotaExceeded": 1}
        await store.forget([one.counter for one in hundred])


async def test_nothing_demanded_is_nothing_spent(store):
    await store.spend([], NOW)
    await store.forget([])
    assert not await store.spent([], NOW)
