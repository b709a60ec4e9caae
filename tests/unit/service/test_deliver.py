"""A lane takes each message to its provider once, and writes down what became of it."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import msgspec
import pytest

from tests.contract.acting import ANN, BOB, LEASE, MINUTE, SHOP, OpenRing
from watchword.channels.texts import ours
from watchword.domain.challenge import State
from watchword.domain.delivery import DeliveryState, Receipt, back_off
from watchword.domain.destination import phone
from watchword.domain.keys import KeyRing
from watchword.errors import (
    OutcomeUnknown,
    ProviderRefused,
    ProviderUnavailable,
    StoreUnavailable,
)
from watchword.providers.virtual import Settings, Virtual
from watchword.service import deliver
from watchword.service.deliver import Lane

REFUSED, DOWN, SILENT, SLOW = (phone(f"+861380013{ending}") for ending in
                               ("0001", "0002", "0003", "0004"))  # fmt: skip


def ring_with_seal(id):
    """The ring of the acts, but with another seal key, under this id."""
    kinds = {kind: {1: bytes(32)} for kind in ("code", "journal")}
    active = {"code": 1, "seal": id, "journal": 1}
    return KeyRing(**kinds, seal={id: bytes(32)}, index=b"index".ljust(32), active=active)


@pytest.fixture
async def virtual(acts, tmp_path):
    settings = Settings(slow_s=1)
    provider = Virtual(tmp_path / "inbox.db", acts.ring, clock=lambda: acts.now, settings=settings)
    yield provider
    await provider.close()


class Carrier:
    """A provider that does as its test says, and keeps what it was handed."""

    name = "carrier"
    timeout = timedelta(seconds=5)
    most_at_once = 8

    def __init__(self, *, repeats=False, does=None):
        self.repeats_harmlessly = repeats
        self.handed = []
        self._does = does

    async def send(self, message):
        self.handed.append(message)
        if self._does:
            await self._does(message)
        return Receipt("reference")

    async def close(self):
        pass


class Faltering:
    """The store, except that each verb named here is unavailable so many times first."""

    def __init__(self, store, **times):
        self._store, self.times = store, times

    def __getattr__(self, verb):
        async def falter(*given, **more):
            if self.times.get(verb):
                self.times[verb] -= 1
                raise StoreUnavailable
            return await getattr(self._store, verb)(*given, **more)

        return falter


async def state(acts, issued):
    return await acts.store.delivery_state(issued.delivery)


async def test_what_is_queued_arrives_with_its_code(acts, virtual, working):
    issued = await acts.send()
    async with working(virtual) as work:
        assert (await work.ended()).state is DeliveryState.DELIVERED
    (received,) = await virtual.received(ANN.identity)
    assert received.code == await acts.code(issued.challenge_id)
    assert received.code in received.text
    (delivery,) = await acts.store.deliveries(SHOP.id, issued.challenge_id)
    assert (delivery.state, delivery.provider, delivery.tries) == ("delivered", "virtual", 1)


async def test_what_is_queued_while_it_works_is_taken_at_once(acts, virtual, working):
    async with working(virtual) as work:
        for _ in range(3):
            await acts.send()
            work.lane.stir()
            assert (await work.ended()).state is DeliveryState.DELIVERED


async def test_what_another_process_queued_is_found_without_a_word(acts, virtual, working):
    async with working(virtual) as work:
        await acts.send()
        assert (await work.ended()).state is DeliveryState.DELIVERED


async def test_accepted_without_a_receipt_stays_accepted(acts, virtual, working):
    issued = await acts.send(to=SILENT)
    async with working(virtual) as work:
        await work.ended()
    assert await state(acts, issued) is DeliveryState.ACCEPTED


async def test_a_message_to_nobody_is_handed_to_no_provider(acts, working):
    """It is taken up and written down as any other; no code is right for it."""
    carrier = Carrier()
    issued = await acts.send(nobody=True)
    async with working(carrier) as work:
        assert (await work.ended()).state is DeliveryState.CANCELLED
    assert not carrier.handed
    (delivery,) = await acts.store.deliveries(SHOP.id, issued.challenge_id)
    assert (delivery.state, delivery.tries) == (DeliveryState.CANCELLED, 1)
    assert (await acts.store.challenge(SHOP.id, issued.challenge_id)).state is State.PENDING


async def test_a_message_to_nobody_holds_up_no_other(acts, working):
    """It is written down no sooner than the last real one was, and takes nobody's place; when the
    lane ends it waits for nothing."""
    carrier = Carrier()
    carrier.most_at_once = 1
    async with working(carrier) as work:
        work.lane._took_s = 1000.0
        hollow = await acts.send(nobody=True)
        issued = await acts.send(to=BOB)
        assert (await work.ended()).state is DeliveryState.ACCEPTED
        assert await state(acts, hollow) is DeliveryState.SENDING
    assert await state(acts, issued) is DeliveryState.ACCEPTED
    assert await state(acts, hollow) is DeliveryState.CANCELLED


async def test_a_refusal_is_final(acts, virtual, working):
    issued = await acts.send(to=REFUSED)
    async with working(virtual) as work:
        await work.ended()
    (delivery,) = await acts.store.deliveries(SHOP.id, issued.challenge_id)
    assert (delivery.state, delivery.tries) == (DeliveryState.FAILED, 1)
    assert delivery.reason
    assert REFUSED.address not in delivery.reason
    assert await acts.store.next_due("sms") is None


async def test_unavailable_is_tried_again_until_the_code_expires(
    acts, virtual, working, eventually
):
    """Each time a little later, and never once the code is dead."""
    issued = await acts.send(to=DOWN, ttl=MINUTE)
    async with working(virtual) as work:
        for tries in (1, 2, 3, 4, 5):
            handover = await work.ended()
            assert handover.state is DeliveryState.QUEUED
            assert handover.not_before == acts.now + back_off(tries)
            acts.now = handover.not_before
        handover = await work.ended()
        acts.now = issued.expires_at

        async def has_expired():
            return await state(acts, issued) is DeliveryState.EXPIRED

        await eventually(has_expired)
    (delivery,) = await acts.store.deliveries(SHOP.id, issued.challenge_id)
    assert delivery.tries == 6
    assert await virtual.received() == []


async def test_each_message_is_handed_over_once(acts, working):
    """However many lanes there are."""
    carrier = Carrier()
    sent = [await acts.send(to=phone(f"+86138001381{n:02d}")) for n in range(30)]
    async with working(carrier) as one, working(carrier) as other:
        async with asyncio.timeout(20):
            while len(carrier.handed) < len(sent):
                await asyncio.wait(
                    [asyncio.ensure_future(work.ended()) for work in (one, other)],
                    return_when=asyncio.FIRST_COMPLETED,
                    timeout=0.05,
                )
    keys = [message.key for message in carrier.handed]
    assert len(keys) == len(set(keys)) == len(sent)
    assert {await state(acts, issued) for issued in sent} == {DeliveryState.ACCEPTED}


async def test_a_slow_one_delays_nobody(acts, virtual, working):
    """Others arrive while it is still being handed over."""
    slow = await acts.send(to=SLOW)
    async with working(virtual) as work:
        others = [await acts.send(to=phone(f"+86138001382{n:02d}")) for n in range(5)]
        work.lane.stir()
        ended = {(await work.ended()).id for _ in others}
        assert ended == {issued.delivery for issued in others}
        assert await state(acts, slow) is DeliveryState.SENDING
        assert (await work.ended()).id == slow.delivery
    assert await state(acts, slow) is DeliveryState.DELIVERED


async def test_no_more_are_under_way_than_the_provider_takes(acts, working):
    running, most = 0, 0
    may_end = asyncio.Event()

    async def hold(message):
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == Carrier.most_at_once:
            may_end.set()
        await may_end.wait()
        running -= 1

    for n in range(3 * Carrier.most_at_once):
        await acts.send(to=phone(f"+86138001383{n:02d}"))
    async with working(Carrier(does=hold)) as work:
        for _ in range(3 * Carrier.most_at_once):
            await work.ended()
    assert most == Carrier.most_at_once


@pytest.mark.parametrize("trouble", [OutcomeUnknown, ZeroDivisionError])
async def test_doubt_is_unknown_and_not_repeated(acts, working, trouble):
    """It may have arrived: twice is worse than not knowing."""

    async def fail(message):
        raise trouble

    issued = await acts.send()
    carrier = Carrier(does=fail)
    async with working(carrier) as work:
        assert (await work.ended()).state is DeliveryState.UNKNOWN
    assert await state(acts, issued) is DeliveryState.UNKNOWN
    assert len(carrier.handed) == 1


async def test_doubt_is_repeated_under_the_same_key_where_that_is_harmless(acts, working):
    async def fail_once(message):
        if len(carrier.handed) == 1:
            raise OutcomeUnknown

    carrier = Carrier(does=fail_once, repeats=True)
    await acts.send()
    async with working(carrier) as work:
        acts.now = (await work.ended()).not_before
        assert (await work.ended()).state is DeliveryState.ACCEPTED
    first, second = carrier.handed
    assert first == second


async def test_a_hand_over_that_takes_too_long_is_ended(acts, working):
    class Hasty(Carrier):
        timeout = timedelta(seconds=0.05)

    async def never(message):
        await asyncio.Event().wait()

    await acts.send()
    async with working(Hasty(does=never)) as work:
        handover = await work.ended()
    assert (handover.state, handover.reason) == (DeliveryState.UNKNOWN, "timed out")


async def test_a_message_under_a_key_that_is_not_there_waits_alone(acts, working):
    """It blocks nothing: the next one goes out, and a ring put right can still send it."""
    poisoned = await acts.send()
    assert acts.ring.adopt(ring_with_seal(1))  # as if it were another ring's
    sound = await acts.send(to=SILENT)
    carrier = Carrier()
    async with working(carrier) as work:
        ended = {(one := await work.ended()).id: one.state for _ in range(2)}
    assert ended[poisoned.delivery] is DeliveryState.QUEUED
    assert ended[sound.delivery] is DeliveryState.ACCEPTED
    assert [message.to for message in carrier.handed] == [SILENT.address]
    (delivery,) = await acts.store.deliveries(SHOP.id, poisoned.challenge_id)
    assert "key ring" in delivery.reason


@pytest.mark.parametrize("verb", ["next_due", "lease", "begin_sending", "record_handovers"])
async def test_a_store_that_is_away_for_a_moment_loses_nothing(acts, working, verb):
    """The message is handed over once, and what became of it is written down in the end."""
    faltering = Faltering(acts.store, **{verb: 2})
    house = msgspec.structs.replace(acts.house, store=faltering)
    issued = await acts.send()
    carrier = Carrier()
    async with working(carrier, house) as work:
        await work.ended()
        if verb == "next_due":
            again = await acts.send()
            assert (await work.ended()).id == again.delivery
    assert faltering.times == {verb: 0}
    assert await state(acts, issued) is DeliveryState.ACCEPTED
    assert len({message.key for message in carrier.handed}) == len(carrier.handed)


class Unheard(Faltering):
    """The store, except that each verb named here is done so many times without an answer."""

    def __getattr__(self, verb):
        async def done(*given, **more):
            answer = await getattr(self._store, verb)(*given, **more)
            if self.times.get(verb):
                self.times[verb] -= 1
                raise StoreUnavailable
            return answer

        return done


@pytest.mark.parametrize("verb", ["begin_sending", "record_handovers"])
async def test_a_step_whose_answer_is_lost_is_taken_once(acts, working, verb):
    """What was committed as begun is handed over all the same, and nothing ends as unknown."""
    unheard = Unheard(acts.store, **{verb: 2})
    house = msgspec.structs.replace(acts.house, store=unheard)
    issued = await acts.send()
    carrier = Carrier()
    async with working(carrier, house) as work:
        await work.ended()
    assert unheard.times == {verb: 0}
    assert len(carrier.handed) == 1
    (delivery,) = await acts.store.deliveries(SHOP.id, issued.challenge_id)
    assert (delivery.state, delivery.tries) == (DeliveryState.ACCEPTED, 1)


async def test_what_was_not_sent_is_tried_again_though_the_store_was_away(acts, working):
    """Its lease lapsed meanwhile; yet what is known of it is written down before anybody else looks
    at it."""

    async def away(message):
        acts.later(LEASE)
        raise ProviderUnavailable("no")

    issued = await acts.send()
    house = msgspec.structs.replace(acts.house, store=Faltering(acts.store, record_handovers=4))
    async with working(Carrier(does=away), house) as work:
        assert (await work.ended()).state is DeliveryState.QUEUED
    (delivery,) = await acts.store.deliveries(SHOP.id, issued.challenge_id)
    assert (delivery.state, delivery.reason) == (DeliveryState.QUEUED, "no")


async def test_what_is_under_way_is_finished_when_the_lane_is_stopped(acts, working):
    """And written down: an orderly stop leaves nothing in doubt."""
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def hold(message):
        begun.set()
        await may_end.wait()

    issued = await acts.send()
    async with working(Carrier(does=hold)):
        await begun.wait()
        asyncio.get_running_loop().call_later(0.05, may_end.set)
    assert await state(acts, issued) is DeliveryState.ACCEPTED


async def test_a_provider_that_is_away_is_asked_again_later(acts, working):
    async def away_once(message):
        if len(carrier.handed) == 1:
            raise ProviderUnavailable

    carrier = Carrier(does=away_once)
    issued = await acts.send()
    async with working(carrier) as work:
        acts.now = (await work.ended()).not_before
        await work.ended()
    assert await state(acts, issued) is DeliveryState.ACCEPTED


async def test_a_provider_is_told_when_the_code_dies(acts, working):
    issued = await acts.send()
    carrier = Carrier()
    async with working(carrier) as work:
        await work.ended()
    assert [message.expires_at for message in carrier.handed] == [issued.expires_at]


WORDS = pytest.mark.parametrize(
    "words", ["bad \udc80 byte", "a\r\nb\0c\u202ed\u2028e", "x" * 10_000]
)


@WORDS
@pytest.mark.parametrize("trouble", [ProviderRefused, ProviderUnavailable, OutcomeUnknown])
async def test_whatever_a_provider_says_the_lane_goes_on(acts, working, words, trouble):
    """Its reason is kept as one line of at most 200 characters."""

    async def fail_first(message):
        if len(carrier.handed) == 1:
            raise trouble(words)

    carrier = Carrier(does=fail_first)
    issued = await acts.send()
    async with working(carrier) as work:
        await work.ended()
        await acts.send(to=SILENT)
        work.lane.stir()
        assert (await work.ended()).state is DeliveryState.ACCEPTED
    (delivery,) = await acts.store.deliveries(SHOP.id, issued.challenge_id)
    assert 0 < len(delivery.reason) <= 200
    assert delivery.reason.isprintable()


@WORDS
async def test_whatever_a_receipt_refers_to_the_lane_goes_on(acts, working, words):
    class Wordy(Carrier):
        async def send(self, message):
            await super().send(message)
            return Receipt(words)

    issued = await acts.send()
    async with working(Wordy()) as work:
        assert (await work.ended()).reference.isprintable()
    assert await state(acts, issued) is DeliveryState.ACCEPTED


async def test_a_ring_put_right_sends_what_it_could_not_open(acts, working):
    issued = await acts.send()
    assert acts.ring.adopt(ring_with_seal(2))
    carrier = Carrier()
    async with working(carrier) as work:
        refused = await work.ended()
        assert refused.state is DeliveryState.QUEUED
        assert acts.ring.adopt(OpenRing())
        acts.now = refused.not_before
        assert (await work.ended()).state is DeliveryState.ACCEPTED
    assert await state(acts, issued) is DeliveryState.ACCEPTED


class Stopping:
    """The store, which has the lane cancelled at one verb: as it is asked, or as it answers."""

    def __init__(self, store, verb, when):
        self._store, self._verb, self._when = store, verb, when
        self.stop: Callable[[], object] = lambda: None

    def __getattr__(self, verb):
        async def ask(*given, **more):
            if (verb, "asked") == (self._verb, self._when):
                self.stop()
            answer = await getattr(self._store, verb)(*given, **more)
            if (verb, "answering") == (self._verb, self._when):
                self.stop()
            return answer

        return ask


async def is_orderly(acts, carrier, sent):
    """Whether what was handed over says so, and all the rest is as free as it was."""
    await acts.store.ready()  # an act that was begun before is done by now
    states = [await state(acts, issued) for issued in sent]
    handed = {message.key.rpartition("-")[2] for message in carrier.handed}
    expected = ["accepted" if str(one.delivery) in handed else "queued" for one in sent]
    return states == expected


async def numbers(acts, first, count):
    return [await acts.send(to=phone(f"+86138{first + n:08d}")) for n in range(count)]


@pytest.mark.parametrize("when", ["asked", "answering"])
@pytest.mark.parametrize("verb", ["next_due", "lease", "begin_sending", "record_handovers"])
async def test_a_lane_stopped_at_any_step_is_stopped_in_order(acts, verb, when):
    """Nothing is left leased, nor sending without having been handed over."""
    stopping = Stopping(acts.store, verb, when)
    house = msgspec.structs.replace(acts.house, store=stopping)
    sent, carrier = await numbers(acts, 0, 20), Carrier()
    lane = asyncio.create_task(Lane("sms", carrier, ours(), house, lambda: acts.now).run())
    stopping.stop = lane.cancel
    await asyncio.wait([lane], timeout=20)
    assert lane.cancelled()
    assert await is_orderly(acts, carrier, sent)


async def test_a_lane_stopped_at_any_instant_is_stopped_in_order(acts):
    """Over many rounds, each a little later than the one before."""

    async def breathe(message):
        await asyncio.sleep(0)

    for turns in range(0, 400, 8):
        sent, carrier = await numbers(acts, turns, 8), Carrier(does=breathe)
        carrier.most_at_once = 3
        lane = asyncio.create_task(Lane("sms", carrier, ours(), acts.house, lambda: acts.now).run())
        for _ in range(turns):
            await asyncio.sleep(0)
        lane.cancel()
        await asyncio.wait([lane], timeout=20)
        assert lane.cancelled()
        assert await is_orderly(acts, carrier, sent)
        for issued in sent:
            await acts.store.cancel(SHOP.id, issued.challenge_id, acts.now)


@pytest.mark.parametrize("verb", ["next_due", "lease", "begin_sending", "record_handovers"])
async def test_a_lane_stopped_while_the_store_is_away_ends(acts, monkeypatch, verb):
    """Within a lease, as cancelled, and for good."""
    monkeypatch.setattr(deliver, "GRACE", timedelta(seconds=0.3))

    class Brief(Carrier):
        timeout = timedelta(seconds=0.1)

    away = asyncio.Event()

    class Away(Faltering):
        def __getattr__(self, asked):
            if asked == verb:
                away.set()
            return super().__getattr__(asked)

    house = msgspec.structs.replace(acts.house, store=Away(acts.store, **{verb: 10_000}))
    carrier = Brief()
    lane = Lane("sms", carrier, ours(), house, lambda: acts.now)
    await acts.send()
    others = asyncio.all_tasks()
    running = asyncio.create_task(lane.run())
    await asyncio.wait_for(away.wait(), 20)
    running.cancel()
    await asyncio.wait([running], timeout=5)
    assert running.cancelled()
    assert asyncio.all_tasks() == others
