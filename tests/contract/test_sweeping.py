"""Sweeping forgets what nobody needs, a little at a time, and never what lives."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract.acting import DAY, HOUR, MINUTE, NOW, SHOP, TICK, Acts, once
from watchword.domain.challenge import State, Verdict
from watchword.domain.delivery import DeliveryState, Handover
from watchword.domain.destination import mailbox, phone
from watchword.domain.quota import Quota, Scope, Span
from watchword.errors import ChallengeNotFound, QuotaExceeded, WatchwordError
from watchword.ports import Swept, Write


async def there(acts, issued):
    try:
        return await acts.store.challenge(SHOP.id, issued.challenge_id)
    except ChallengeNotFound:
        return None


async def many(acts, count=30):
    return [await acts.send(to=phone(f"+8613800138{n:03d}")) for n in range(count)]


async def test_a_sweep_deletes_a_handful_and_says_when_there_is_more(acts):
    sent = await many(acts)
    acts.later(2 * DAY)
    assert (await acts.store.sweep(acts.now, most=10)).more
    assert sum([await there(acts, one) is not None for one in sent]) >= 20
    assert await acts.sweep(most=10) > 1
    assert not any([await there(acts, one) for one in sent])
    assert await acts.store.sweep(acts.now, most=10) == Swept(0, False)


async def test_the_codes_of_what_expired_are_wiped(acts):
    """A handful at a time, all of them in the end, also where many expired in one instant."""
    sent = await many(acts)
    acts.now = sent[0].expires_at
    await acts.store.sweep(acts.now, most=10)
    wiped = [(await there(acts, one)).draws == () for one in sent]
    assert sum(wiped) <= 10
    await acts.sweep(most=10)
    for one in sent:
        challenge = await there(acts, one)
        assert (challenge.draws, challenge.state_at(acts.now)) == ((), State.EXPIRED)
        assert await acts.verdict(one.challenge_id, "-") is Verdict.EXPIRED


async def test_a_look_past_what_is_closed_already_is_a_handful_too(acts):
    """As after a restart, over what a day has left: nobody waits for all of it."""
    for one in await many(acts, 170):
        await acts.store.cancel(SHOP.id, one.challenge_id, acts.now)
    left = await acts.send(to=phone("+8613900138000"))
    acts.now = left.expires_at
    assert await acts.store.sweep(acts.now, most=10) == Swept(0, True)
    await acts.sweep(most=10)
    assert (await there(acts, left)).draws == ()


async def test_what_expires_after_a_sweep_is_wiped_by_the_next(acts):
    first = await acts.send(ttl=MINUTE)
    second = await acts.send(to=phone("+8613800138001"), ttl=2 * MINUTE)
    for issued in (first, second):
        acts.now = issued.expires_at
        await acts.sweep()
        assert (await there(acts, issued)).draws == ()


async def test_a_dead_challenge_can_be_looked_at_for_a_day(acts):
    """With its deliveries; then both are gone."""
    issued = await acts.send()
    acts.now = issued.expires_at + DAY - TICK
    await acts.sweep()
    assert await there(acts, issued)
    assert len(await acts.store.deliveries(SHOP.id, issued.challenge_id)) == 1
    acts.later(TICK)
    await acts.sweep()
    assert await there(acts, issued) is None
    with pytest.raises(ChallengeNotFound):
        await acts.store.delivery_state(issued.delivery)


QUOTAS = (
    Quota(Scope.DESTINATION, 2, 90 * MINUTE),
    Quota(Scope.DESTINATION, 3, 7 * HOUR),
    Quota(Scope.DESTINATION, 5, span=Span.DAY, zone="Asia/Shanghai"),
    Quota(Scope.APP, 9, span=Span.MONTH),
)
instants = st.integers(0, 40 * 60).map(lambda minutes: minutes * MINUTE)
moves = st.lists(
    st.tuples(instants, st.sampled_from(["send", "miss", "hit", "claim"])), max_size=25
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=moves, most=st.integers(1, 7), key=st.integers(1, 3))
def test_sweeping_is_never_noticed(new_place, moves, most, key):
    """Two houses do the same, at the same instants; one is swept before each act. Every answer and
    every refusal is the same: nothing that lived was swept."""

    async def live(swept):
        with new_place() as place:
            store = await place.open()
            acts = Acts(store, quotas=QUOTAS)
            told = []
            for at, move in sorted(moves):
                acts.at(at)
                if swept:
                    await acts.store.sweep(acts.now, most=most)
                told.append(await _told(acts, move, key))
            await store.close()
            return told

    assert asyncio.run(live(swept=True)) == asyncio.run(live(swept=False))


async def _told(acts, move, key):
    """What an act answers, without what is random in it."""
    try:
        if move == "claim":
            ends_at = acts.now + 45 * MINUTE
            claim = Write(kind="nonce", key="one", version=0, body=b"", expires_at=ends_at)
            return await acts.store.write([claim], acts.now)
        issued = await acts.send(once=once(str(len(acts.ring.behind) % key)))
        code = await _newest(acts, issued) if move == "hit" else "-"
        if move == "send" or code is None:
            return issued.opened, issued.replayed, issued.attempts_left, issued.expires_at
        judged = await acts.check(issued.challenge_id, code)
        return judged.verdict, judged.attempts_left
    except QuotaExceeded as refusal:
        return type(refusal), refusal.scope, refusal.retry_in, refusal.amount
    except WatchwordError as refusal:
        return type(refusal)


async def _newest(acts, issued):
    challenge = await there(acts, issued)
    if challenge is None or not challenge.is_open(acts.now):
        return None
    return acts.ring.behind[challenge.draws[-1].digest]


async def test_live_things_outlast_any_number_of_sweeps(acts):
    """A challenge, its code, its message, a limit, a claim and a key, a tick before their end."""
    acts.house = Acts(acts.store, quotas=(Quota(Scope.DESTINATION, 1, 10 * MINUTE),)).house
    acts.ring = acts.house.keys
    ends_at = NOW + 10 * MINUTE
    claim = Write(kind="nonce", key="one", version=0, body=b"", expires_at=ends_at)
    await acts.store.write([claim], acts.now)
    issued = await acts.send(once=once("k"))
    acts.now = ends_at - TICK
    await acts.sweep()
    await acts.sweep(most=1)
    assert await acts.store.record("nonce", "one", acts.now)
    with pytest.raises(QuotaExceeded):
        await acts.send()
    assert (await acts.send(once=once("k"))).replayed
    assert len(await acts.lease()) == 1
    code = await acts.code(issued.challenge_id)
    assert await acts.verdict(issued.challenge_id, code) is Verdict.MATCH


async def test_what_no_lane_took_is_expired_by_the_sweep(acts):
    """Also where nobody serves its channel: it says so, and nothing of it stays due."""
    issued = await acts.send(to=mailbox("ann@example.com"), channel="email")
    acts.now = issued.expires_at - TICK
    await acts.sweep()
    assert await acts.store.delivery_state(issued.delivery) is DeliveryState.QUEUED
    acts.later(TICK)
    await acts.sweep()
    (found,) = await acts.store.deliveries(SHOP.id, issued.challenge_id)
    assert (found.state, found.settled_at) == (DeliveryState.EXPIRED, acts.now)
    assert await acts.store.next_due("email") is None


@pytest.mark.parametrize(
    ("said", "ends"),
    [
        (DeliveryState.ACCEPTED, DeliveryState.ACCEPTED),
        (DeliveryState.QUEUED, DeliveryState.EXPIRED),
    ],
)
async def test_what_is_being_sent_while_it_is_swept_ends_as_its_provider_says(acts, said, ends):
    """Unknown is only what nobody tells of."""
    issued = await acts.send()
    leased = await acts.lease()
    await acts.begin(leased)
    acts.now = issued.expires_at
    await acts.sweep()
    assert await acts.store.delivery_state(issued.delivery) is DeliveryState.UNKNOWN
    (one,) = leased
    told = Handover(id=one.id, token=one.token, state=said, not_before=acts.now)
    await acts.store.record_handovers([told], provider="acme", now=acts.now)
    assert await acts.store.delivery_state(issued.delivery) is ends


async def test_a_clock_that_steps_back_keeps_no_code_from_the_sweep(acts):
    """Not even if the code lived and died between two sweeps."""
    acts.later(2 * HOUR)
    await acts.sweep()
    acts.now = NOW
    issued = await acts.send()
    acts.now = issued.expires_at + MINUTE
    await acts.sweep()
    assert (await there(acts, issued)).draws == ()
