"""How a lane spends its places: a rate, a share for each app, a pause."""

import asyncio
from collections import Counter
from datetime import timedelta

import msgspec
import pytest

from tests.contract.acting import BANK, SHOP
from tests.unit.service.test_deliver import Carrier, Faltering, numbers
from watchword.channels.texts import ours
from watchword.domain.delivery import DeliveryState
from watchword.domain.destination import phone
from watchword.domain.quota import Quota, Scope
from watchword.service.deliver import Lane, Pace
from watchword.service.pause import Pause, pause, resume

SECOND = timedelta(seconds=1)
RATE = Pace(rates=(Quota(Scope.EVERYTHING, 3, SECOND),))


@pytest.fixture
def running(acts):
    """Lanes on one store, until the test is over."""
    tasks = []

    def run(carrier, pace=Pace()):  # noqa: B008
        lane = Lane("sms", carrier, ours(), acts.house, lambda: acts.now, pace)
        tasks.append(asyncio.create_task(lane.run()))
        return lane

    yield run
    for task in tasks:
        task.cancel()


async def states(acts, sent):
    return Counter([await acts.store.delivery_state(one.delivery) for one in sent])


async def test_no_more_are_begun_than_the_rate_grants_by_all_lanes_together(
    acts, running, eventually
):
    """Exactly: three a second, by two lanes with places enough for all; what found no room is
    queued, not held."""
    sent, carriers = await numbers(acts, 0, 10), [Carrier(), Carrier()]
    for carrier in carriers:
        running(carrier, RATE)

    def handed():
        return sum(len(carrier.handed) for carrier in carriers)

    for second in range(1, 5):
        granted = min(10, 3 * second)

        async def settled(granted=granted):
            found = await states(acts, sent)
            return found["accepted"] == granted and found["accepted"] + found["queued"] == 10

        await eventually(settled)
        assert handed() == granted
        acts.later(SECOND - timedelta(microseconds=1))
        assert handed() == granted
        acts.later(timedelta(microseconds=1))


async def test_a_lane_at_its_rate_asks_the_store_for_no_lease(acts, eventually):
    """Until there is room: it does not spin."""
    leases = []

    class Counting(Faltering):
        def __getattr__(self, verb):
            if verb == "lease":
                leases.append(verb)
            return super().__getattr__(verb)

    house = msgspec.structs.replace(acts.house, store=Counting(acts.store))
    sent, carrier = await numbers(acts, 0, 8), Carrier()
    lane = Lane("sms", carrier, ours(), house, lambda: acts.now, RATE)
    task = asyncio.create_task(lane.run())

    async def three():
        return (await states(acts, sent))["accepted"] == 3

    await eventually(three)
    before = len(leases)
    for _ in range(20):
        lane.stir()
        await acts.store.ready()
    assert len(leases) == before
    task.cancel()
    await asyncio.wait([task])


async def test_an_app_whose_hand_overs_hang_leaves_a_place(acts, running, eventually):
    """Whatever it has queued, and before anybody else came."""
    never = asyncio.Event()

    async def hang(message):
        if message.to.startswith("+86138"):
            await never.wait()

    carrier = Carrier(does=hang)
    await numbers(acts, 0, 30)
    running(carrier)

    async def full():
        return len(carrier.handed) == Carrier.most_at_once - 1

    await eventually(full)
    sent = [await acts.send(BANK, to=phone(f"+861390013000{n}")) for n in range(5)]

    async def served():
        return (await states(acts, sent))["accepted"] == 5

    await eventually(served)
    assert len(carrier.handed) == Carrier.most_at_once - 1 + 5
    never.set()


async def test_a_lane_takes_no_more_places_than_its_settings_say(acts, running, eventually):
    never = asyncio.Event()

    async def hang(message):
        await never.wait()

    carrier = Carrier(does=hang)
    for app in (SHOP, BANK):
        for n in range(4):
            await acts.send(app, to=phone(f"+861380013800{n}"))
    running(carrier, Pace(at_once=2))

    async def full():
        return len(carrier.handed) == 2

    await eventually(full)
    assert {message.to for message in carrier.handed} == {"+8613800138000"}  # one of each app
    never.set()


async def test_a_paused_lane_begins_nothing(acts, running, eventually):
    told: list[Pause | None] = []
    await pause(acts.store, "sms", "the carrier is down", acts.now)
    sent, carrier = await numbers(acts, 0, 3), Carrier()
    lane = running(carrier)
    lane.pause_watchers.append(told.append)

    async def noticed():
        return lane.paused

    await eventually(noticed)
    assert lane.paused.reason == "the carrier is down"
    assert await states(acts, sent) == {DeliveryState.QUEUED: 3}
    assert carrier.handed == []
    await resume(acts.store, "sms", acts.now)

    async def delivered():
        return (await states(acts, sent))["accepted"] == 3

    await eventually(delivered)
    assert [one and one.reason for one in told] == ["the carrier is down", None]


async def test_what_found_no_room_is_handed_back_when_the_store_is_back(acts, eventually):
    """A store that is away as the rate is asked leaves nothing leased."""
    house = msgspec.structs.replace(acts.house, store=Faltering(acts.store, spend=2, hand_back=2))
    sent, carrier = await numbers(acts, 0, 8), Carrier()
    lane = Lane("sms", carrier, ours(), house, lambda: acts.now, RATE)
    task = asyncio.create_task(lane.run())

    async def settled():
        return await states(acts, sent) == {"accepted": 3, "queued": 5}

    await eventually(settled)
    task.cancel()
    await asyncio.wait([task])


async def test_what_a_rate_puts_off_keeps_its_place_in_line(acts, running, eventually):
    """Else the oldest would be overtaken until their codes expire."""
    sent, carrier = await numbers(acts, 0, 12), Carrier()
    running(carrier, RATE)
    for handed in (3, 6, 9, 12):

        async def granted(handed=handed):
            return (await states(acts, sent))["accepted"] == handed

        await eventually(granted)
        acts.later(SECOND)
    order = [message.to for message in carrier.handed]
    assert [sorted(order[turn : turn + 3]) for turn in range(0, 12, 3)] == [
        sorted(order)[turn : turn + 3] for turn in range(0, 12, 3)
    ]


async def test_a_lane_goes_on_after_a_defect(acts, eventually):
    """In its own code or in a watcher's: it is told, and nothing is begun that nobody records."""
    carrier, sent = Carrier(), []
    told: list[ValueError] = []
    lane = Lane("sms", carrier, ours(), acts.house, lambda: acts.now)

    def falter(*_):
        if len(told) < 2:
            raise ValueError

    lane.watchers.append(falter)

    async def again_and_again():
        while True:
            try:
                await lane.run()
            except ValueError as defect:
                told.append(defect)

    task = asyncio.create_task(again_and_again())
    for turn in range(3):
        sent += await numbers(acts, 2 * turn, 2)

        async def recorded(turn=turn, sent=tuple(sent)):
            found = await states(acts, sent)
            return found["accepted"] == 2 * turn + 2 and len(told) >= min(2, turn + 1)

        await eventually(recorded)
    task.cancel()
    await asyncio.wait([task])
    assert len(carrier.handed) == 6
