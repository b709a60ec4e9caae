"""What a store says of how it keeps up: what waits, and what has yet to be swept."""

from datetime import timedelta

from tests.contract.acting import DAY, LEASE, MINUTE, NOW, TICK
from watchword.domain.delivery import DeliveryState, Handover
from watchword.domain.destination import mailbox, phone
from watchword.ports import Condition, Waiting


async def test_an_empty_store_has_nothing_to_do(acts):
    assert await acts.store.condition(acts.now) == Condition([], None)


async def test_what_waits_is_counted_by_channel_with_the_age_of_the_oldest(acts):
    """However often it was put off: a message that is tried in vain has waited since it was
    queued."""
    first = await acts.send()
    acts.later(MINUTE)
    await acts.send(to=phone("+8613900139000"))
    await acts.send(to=mailbox("ann@example.com"), channel="email")
    (leased, *_) = await acts.store.lease("sms", acts.now, most=1, ttl=LEASE, repeats=False)
    assert leased.challenge_id == first.challenge_id
    assert leased.queued_at == NOW
    await acts.store.begin_sending([leased], acts.now, ttl=LEASE)
    again = Handover(
        id=leased.id,
        token=leased.token,
        state=DeliveryState.QUEUED,
        not_before=acts.now + timedelta(seconds=30),
    )
    await acts.store.record_handovers([again], provider="p", now=acts.now)
    condition = await acts.store.condition(acts.now)
    assert sorted(condition.waiting, key=lambda one: one.channel) == [
        Waiting("email", 1, NOW + MINUTE),
        Waiting("sms", 2, NOW),
    ]


async def test_what_has_arrived_does_not_wait(acts):
    await acts.send()
    leased = await acts.store.lease("sms", acts.now, most=1, ttl=LEASE, repeats=False)
    await acts.store.begin_sending(leased, acts.now, ttl=LEASE)
    done = Handover(id=leased[0].id, token=leased[0].token, state=DeliveryState.ACCEPTED)
    await acts.store.record_handovers([done], provider="p", now=acts.now)
    assert (await acts.store.condition(acts.now)).waiting == []


async def test_what_could_have_been_swept_is_told_until_it_is(acts):
    """From the instant on at which nobody may look at it any more."""
    issued = await acts.send()
    acts.now = issued.expires_at + DAY
    acts.later(-TICK)
    assert (await acts.store.condition(acts.now)).unswept_since is None
    acts.later(TICK)
    assert (await acts.store.condition(acts.now)).unswept_since == issued.expires_at + DAY
    acts.later(MINUTE)
    await acts.sweep()
    assert await acts.store.condition(acts.now) == Condition([], None)


async def test_a_store_says_how_many_acts_shared_a_commit(acts):
    """Where they ever do; each COMMIT is counted once."""
    before = sum(acts.store.commits.values())
    await acts.send()
    after = sum(acts.store.commits.values())
    assert after - before == (1 if acts.store.commits else 0)
