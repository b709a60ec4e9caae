"""What holds for quotas on PostgreSQL: they are split into shares, and nobody sees the seams."""

import asyncio
from collections import Counter
from datetime import timedelta

import msgspec
import pytest

from tests.contract.acting import HOUR, Acts, at_once
from tests.unit.stores.others import holding, numbers, until_somebody_waits
from watchword.domain.quota import Quota, Scope, Span
from watchword.ports import PATIENCE_S


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


@pytest.mark.parametrize(
    "first",
    [
        "SELECT watchword.hold_share_of_trail(0, $1, 1000, 64, 2)",
        "SELECT watchword.hold_share_of_tally(0, $1, 0, 1000, 64, 2)",
    ],
    ids=["trailing", "calendar"],
)
async def test_of_two_who_make_the_first_share_none_waits(store, address, first):
    """Each makes one of its own, whichever share the other has drawn."""
    for counter in (bytes([number]) for number in range(20)):
        async with (
            asyncio.timeout(PATIENCE_S),
            holding(address, first, counter),
            holding(address, first, counter),
        ):
            pass


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
