"""Who waits for a hand-over hears of it at once here, soon elsewhere, and never late."""

import asyncio
import time
from datetime import timedelta

import pytest

from tests.contract.acting import ANN, LEASE
from tests.unit.service.test_deliver import Carrier
from watchword.domain.delivery import DeliveryState, Handover
from watchword.errors import ProviderRefused, ProviderUnavailable, StoreUnavailable
from watchword.service.await_outcome import LONGEST, Outcomes

LONG = timedelta(seconds=20)


@pytest.fixture
def outcomes():
    return Outcomes()


async def recorded(acts, issued, state):
    """What another process does, of which nobody here is told."""
    (leased,) = await acts.lease()
    await acts.store.begin_sending([leased], acts.now, ttl=LEASE)
    ended = Handover(id=issued.delivery, token=leased.token, state=state)
    await acts.store.record_handovers([ended], provider="elsewhere", now=acts.now)


@pytest.mark.parametrize(
    ("trouble", "state"),
    [
        (None, DeliveryState.ACCEPTED),
        (ProviderRefused, DeliveryState.FAILED),
        (ProviderUnavailable, DeliveryState.QUEUED),
    ],
)
async def test_a_lane_of_this_process_tells_at_once(acts, outcomes, working, trouble, state):
    """Within milliseconds of the hand-over, and also when it is to be tried again."""
    ended_at = 0.0

    async def end(message):
        nonlocal ended_at
        ended_at = time.monotonic()
        if trouble:
            raise trouble

    issued = await acts.send(to=ANN)
    waiting = asyncio.create_task(outcomes.outcome(issued.delivery, acts.store, within=LONG))
    await asyncio.sleep(0)
    async with working(Carrier(does=end), watcher=outcomes.tell):
        assert await waiting is state
        heard_at = time.monotonic()
    assert heard_at - ended_at < 1


async def test_a_hand_over_of_another_process_is_looked_for(acts, outcomes):
    issued = await acts.send()
    waiting = asyncio.create_task(outcomes.outcome(issued.delivery, acts.store, within=LONG))
    await recorded(acts, issued, DeliveryState.FAILED)
    assert await waiting is DeliveryState.FAILED


async def test_what_was_settled_before_anyone_waited_is_told(acts, outcomes):
    issued = await acts.send()
    await recorded(acts, issued, DeliveryState.DELIVERED)
    outcome = await outcomes.outcome(issued.delivery, acts.store, within=LONG)
    assert outcome is DeliveryState.DELIVERED


async def test_nobody_waits_longer_than_two_seconds(acts, outcomes):
    """Then the answer is how it stands."""
    assert timedelta(seconds=2) == LONGEST
    issued = await acts.send()
    (leased,) = await acts.lease()
    await acts.begin([leased])
    began = time.monotonic()
    assert await outcomes.outcome(issued.delivery, acts.store) is DeliveryState.SENDING
    assert 1.9 < time.monotonic() - began < 4


async def test_a_store_that_is_away_does_not_end_the_wait(acts, outcomes):
    class Away:
        times = 2

        async def delivery_state(self, delivery):
            if self.times:
                self.times -= 1
                raise StoreUnavailable
            return await acts.store.delivery_state(delivery)

    issued = await acts.send()
    await recorded(acts, issued, DeliveryState.DELIVERED)
    outcome = await outcomes.outcome(issued.delivery, Away(), within=LONG)
    assert outcome is DeliveryState.DELIVERED


async def test_several_may_wait_for_one_hand_over(acts, outcomes, working):
    """An idempotent repeat waits beside the first call."""
    issued = await acts.send()
    waiting = [
        asyncio.create_task(outcomes.outcome(issued.delivery, acts.store, within=LONG))
        for _ in range(3)
    ]
    await asyncio.sleep(0)
    async with working(Carrier(), watcher=outcomes.tell):
        assert set(await asyncio.gather(*waiting)) == {DeliveryState.ACCEPTED}


async def test_nothing_is_kept_of_who_has_waited(acts, outcomes):
    issued = await acts.send()
    await outcomes.outcome(issued.delivery, acts.store, within=timedelta(milliseconds=20))
    assert outcomes._waiting == {}
