"""Why did a code not come? What a support person is told, on every store."""

from zoneinfo import ZoneInfo

import msgspec
import pytest

from tests.contract.acting import ANN, BANK, BOB, DAY, HOUR, MINUTE, NOW, SHOP, Acts
from watchword.domain.app import TestNumber as Number  # pytest would collect its own name
from watchword.domain.delivery import DeliveryState, Handover
from watchword.domain.destination import Kind
from watchword.domain.failures import Budget
from watchword.domain.quota import Quota, Scope, Span
from watchword.ports import Troubles
from watchword.service.find import MOST_EVENTS, World, find, find_challenge
from watchword.service.keep_journal import Scribe
from watchword.service.pause import pause
from watchword.service.read_journal import about, lately


async def found(acts, app=SHOP, to=ANN, **world):
    asked = World(app=app, dialect="native", house=acts.house, **world)
    return await find([to], [asked], acts.store, now=acts.now)


async def sealed(acts):
    hand = Scribe(acts.store, acts.ring, lambda: acts.now, keep=None)
    while await hand.seal():
        pass


async def unknown(acts):
    """A hand-over of whose end nobody heard."""
    await acts.send()
    (leased,) = await acts.begin(await acts.lease())
    ended = Handover(id=leased.id, token=leased.token, state=DeliveryState.UNKNOWN)
    await acts.store.record_handovers([ended], provider="p", now=acts.now)


async def test_it_tells_how_many_wait_before_and_when_the_next_try_is(acts):
    """Of its own channel alone, and only what is not over."""
    for to in (BOB, ANN, BOB):
        await acts.send(to=to)
    (told,) = (await found(acts)).challenges
    assert list(told.waiting_before.values()) == [1]
    assert told.deliveries[0].due_at == NOW
    (first,) = await acts.begin(await acts.lease(most=1))
    later = Handover(
        id=first.id, token=first.token, state=DeliveryState.QUEUED, not_before=NOW + MINUTE
    )
    await acts.store.record_handovers([later], provider="p", now=acts.now)
    two = (await found(acts, to=BOB)).challenges
    assert sorted(n for told in two for n in told.waiting_before.values()) == [0, 2]
    assert NOW + MINUTE in {one.due_at for told in two for one in told.deliveries}


async def test_a_paused_channel_is_told_with_since_and_why(acts):
    await acts.send()
    assert (await found(acts)).paused == {}
    await pause(acts.store, "sms", "the carrier asked", acts.now)
    acts.later(MINUTE)
    told = (await found(acts)).paused
    assert (told["sms"].since, told["sms"].reason) == (NOW, "the carrier asked")


async def test_a_paused_channel_that_a_resend_left_is_told(acts):
    """What was queued there first still waits there."""
    acts.house = msgspec.structs.replace(acts.house, channels={"sms": Kind.PHONE, "v": Kind.PHONE})
    issued = await acts.send()
    await pause(acts.store, "sms", "the carrier asked", acts.now)
    await acts.resend(issued.challenge_id, channel="v")
    told = await found(acts)
    assert [one.channel for one in told.challenges] == ["v"]
    assert list(told.paused) == ["sms"]
    acts.later(MINUTE)
    (late,) = [await find_challenge(issued.challenge_id, [SHOP.id], acts.store, now=acts.now)]
    assert (list(late.paused), sorted(late.standing_lanes)) == (["sms"], ["sms", "v"])


async def test_who_is_suspended_and_who_has_a_test_number_is_told(acts):
    number = Number(
        destination=acts.house.person(SHOP.id, ANN).hex(),
        masked=ANN.masked,
        code=b"",
        ends_at=NOW + DAY,
    )
    shop = msgspec.structs.replace(SHOP, test_numbers=(number,))
    (standing,) = (await found(acts, shop, is_suspended=True)).standings
    assert (standing.is_suspended, standing.is_test_number) == (True, True)
    (standing,) = (await found(acts, shop, to=BOB)).standings
    assert (standing.is_suspended, standing.is_test_number) == (False, False)


async def test_a_calendar_limit_is_told_until_its_day_is_over(store):
    zone = "Asia/Shanghai"
    acts = Acts(store, quotas=[Quota(Scope.DESTINATION, 1, span=Span.DAY, zone=zone)])
    await acts.send()
    (refusal,) = (await found(acts)).standings[0].refusals
    assert (refusal.scope, refusal.amount) == ("destination", 1)
    assert refusal.until.astimezone(ZoneInfo(zone)).hour == 0
    assert acts.now < refusal.until <= acts.now + DAY


@pytest.mark.parametrize("is_sealed", [False, True])
async def test_after_a_day_the_journal_tells_what_was_swept(acts, is_sealed):
    """The same, whether or not a scribe came by; of nobody else, and not twice what is kept."""
    gone = await acts.send()
    await acts.check(gone.challenge_id, "-wrong-")
    await acts.send(BANK)
    await acts.send(to=BOB)
    assert (await found(acts)).events.events == []
    acts.later(2 * DAY)
    await acts.sweep()
    kept = await acts.send()
    if is_sealed:
        await sealed(acts)
    told = await found(acts)
    assert [one.id for one in told.challenges] == [kept.challenge_id]
    assert {event.challenge_id for event in told.events.events} == {gone.challenge_id}
    kinds = [event.kind for event in told.events.events]
    assert kinds[:2] == ["created", "failed"]
    assert {"expired", "message_expired"} <= set(kinds)
    assert told.events.is_all
    assert {event.masked for event in told.events.events} == {ANN.masked}


async def test_of_many_events_the_newest_are_told(acts):
    (challenge,) = [await acts.send()]
    for _ in range(MOST_EVENTS + 5):
        await acts.resend(challenge.challenge_id)
    acts.later(2 * DAY)
    await acts.sweep()
    told = (await found(acts)).events
    assert (len(told.events), told.is_all) == (MOST_EVENTS, False)


async def test_a_challenge_is_found_by_its_id_while_it_is_kept_and_after(acts):
    issued = await acts.send(BANK)
    ids = [SHOP.id, BANK.id]

    async def by_id(challenge_id, app_ids=ids):
        return await find_challenge(challenge_id, app_ids, acts.store, now=acts.now)

    told = await by_id(issued.challenge_id)
    assert [(one.id, one.app_id) for one in told.challenges] == [(issued.challenge_id, "bank")]
    assert (await by_id(issued.challenge_id, [SHOP.id])).challenges == ()
    acts.later(2 * DAY)
    await acts.sweep()
    await sealed(acts)
    told = await by_id(issued.challenge_id)
    assert told.to == ANN.masked
    assert next(event.kind for event in told.events.events) == "created"
    for nothing in ("nonsense", issued.challenge_id[::-1]):
        assert (await by_id(nothing)).events.events == []
    assert (await by_id(issued.challenge_id, [SHOP.id])).events.events == []


async def test_the_latest_events_are_read_across_chains_and_not_twice(acts):
    """Two scribes' chains and what is not sealed yet, the newest last."""
    for n in range(6):
        await acts.send(to=BOB if n % 2 else ANN)
        acts.later(HOUR)
        if n < 4:
            await sealed(acts)
    every = (await lately(acts.store, most=100)).events
    assert [event.at for event in every] == [NOW + n * HOUR for n in range(6)]
    assert (await lately(acts.store, most=2)).events == every[-2:]
    anns = acts.house.guesses(SHOP.id, ANN)
    assert (await about(acts.store, [anns], most=100)).events == every[::2]
    assert (await about(acts.store, [], most=100)).events == []


async def test_hand_overs_nobody_knows_the_end_of_are_counted_for_a_day(acts):
    budget = Budget()
    assert await acts.store.troubles(budget, acts.now) == Troubles(0, 0)
    await unknown(acts)
    acts.later(DAY - MINUTE)
    assert await acts.store.troubles(budget, acts.now) == Troubles(1, 0)
    acts.later(MINUTE)
    assert await acts.store.troubles(budget, acts.now) == Troubles(0, 0)


@pytest.mark.parametrize("hard_stop", [False, True])
async def test_destinations_locked_in_a_row_are_counted(store, hard_stop):
    """Until the rest is over, or for good with a hard stop."""
    budget = Budget(in_a_row=3, hard_stop=hard_stop)
    acts = Acts(store, budget=budget)
    await acts.miss(2, to=BOB)
    await acts.miss(3, network="203.0.113.7")
    assert (await store.troubles(budget, acts.now)).locked == 1
    acts.later(DAY)
    assert (await store.troubles(budget, acts.now)).locked == int(hard_stop)
    await store.unlock(acts.house.guesses(SHOP.id, ANN))
    assert (await store.troubles(budget, acts.now)).locked == 0
