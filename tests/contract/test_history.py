"""What a support person looks at: the challenges of a destination, and its failures."""

import pytest

from tests.contract.acting import ANN, BANK, BOB, MINUTE, SHOP, Acts
from watchword.domain.purpose import Purpose
from watchword.domain.quota import Quota, Scope
from watchword.service.find import World, find
from watchword.stores.postgres import store as postgres
from watchword.stores.sqlite import store as sqlite


@pytest.fixture(params=[1, 2, 20_000])
def page(request, monkeypatch):
    """Pages of every length tell the same."""
    for store in (sqlite, postgres):
        monkeypatch.setattr(store, "PAGE", request.param)


async def test_the_challenges_of_a_destination_are_found_newest_first(acts, page):
    """In every app that is named, and nobody else's."""
    first = await acts.send()
    acts.later(MINUTE)
    await acts.send(to=BOB)
    second = await acts.send(purpose=Purpose.RESET)
    elsewhere = await acts.send(BANK)
    ours, theirs = (acts.house.guesses(app.id, ANN) for app in (SHOP, BANK))

    async def found(*named):
        return [one.id for one in await acts.store.history(named)]

    assert await found(ours) == [second.challenge_id, first.challenge_id]
    assert await found(ours, theirs) == [
        *(elsewhere.challenge_id, second.challenge_id, first.challenge_id)
    ]
    assert await found() == []


async def test_failures_are_looked_at_and_unlocked(acts):
    counted = acts.house.guesses(SHOP.id, ANN)
    assert (await acts.store.failures(counted)).streak == 0
    await acts.miss(3)
    failures = await acts.store.failures(counted)
    assert (failures.streak, failures.instants) == (3, (acts.now,) * 3)
    assert await acts.store.unlock(counted)
    assert (await acts.store.failures(counted)).streak == 0


async def test_finding_tells_which_limit_holds_and_spends_nothing(store):
    acts = Acts(store, quotas=[Quota(Scope.DESTINATION, 2, 60 * MINUTE)])
    world = World(app=SHOP, dialect="native", house=acts.house)

    async def refusals():
        found = await find([BOB, ANN], [world], store, now=acts.now)
        assert found.to == (ANN if found.challenges else BOB).masked
        return [(one.scope, one.until) for one in found.standings[0].refusals]

    assert await refusals() == []
    await acts.send()
    for _ in range(3):
        assert await refusals() == []
    await acts.send()
    assert await refusals() == [("destination", acts.now + 60 * MINUTE)]


async def test_finding_tells_when_a_lock_ends(acts):
    """A hundred wrong codes in a row lock for a day."""
    world = World(app=SHOP, dialect="native", house=acts.house)
    await acts.miss(29)
    found = await find([ANN], [world], acts.store, now=acts.now)
    assert (found.standings[0].failures, found.standings[0].locked_until) == (29, None)
    await acts.miss(1)
    found = await find([ANN], [world], acts.store, now=acts.now)
    assert found.standings[0].locked_until == acts.now + 30 * MINUTE


async def test_a_lane_that_stands_is_told(acts):
    """What was due a minute ago and lies there yet."""
    world = World(app=SHOP, dialect="native", house=acts.house)
    await acts.send()
    begun = acts.now
    assert (await find([ANN], [world], acts.store, now=acts.now)).standing_lanes == {}
    acts.later(MINUTE)
    found = await find([ANN], [world], acts.store, now=acts.now)
    assert found.standing_lanes == {"sms": begun}
