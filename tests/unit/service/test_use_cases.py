"""What the use cases add to the store's acts: refusals, cancelling, the word to the lane."""

import msgspec
import pytest

from tests.contract.acting import ANN, HOUR, SHOP, Acts
from watchword.domain.app import Terms
from watchword.domain.challenge import State
from watchword.domain.destination import Kind, mailbox
from watchword.domain.purpose import Purpose
from watchword.domain.quota import Quota, Scope
from watchword.errors import ChallengeClosed, ChannelUnavailable, QuotaExceeded, RequestInvalid
from watchword.ports import RedrawNeeded
from watchword.service.cancel import cancel
from watchword.service.issue import Send, issue


async def test_a_channel_that_nobody_carries_is_refused(acts):
    """Before anything is drawn or counted."""
    with pytest.raises(ChannelUnavailable):
        await acts.send(channel="voice")


async def test_a_channel_takes_only_its_kind_of_destination(acts):
    with pytest.raises(RequestInvalid) as refusal:
        await acts.send(to=mailbox("ann@example.com"), channel="sms")
    assert refusal.value.field == "/channel"


async def test_the_lane_hears_of_what_was_queued(acts):
    heard: list[str] = []
    acts.house = msgspec.structs.replace(acts.house, queued=heard.append)
    await acts.send()
    await acts.send(to=mailbox("ann@example.com"), channel="email")
    assert heard == ["sms", "email"]


async def test_cancelling_says_what_came_before_it(acts):
    issued = await acts.send()
    for _ in range(2):
        done = await cancel(SHOP.id, issued.challenge_id, acts.house, now=acts.now)
        assert done.state is State.CANCELLED
    again = await acts.send()
    await acts.check(again.challenge_id, await acts.code(again.challenge_id))
    with pytest.raises(ChallengeClosed) as refusal:
        await cancel(SHOP.id, again.challenge_id, acts.house, now=acts.now)
    assert refusal.value.state == State.APPROVED
    last = await acts.send()
    acts.now = last.expires_at
    with pytest.raises(ChallengeClosed) as refusal:
        await cancel(SHOP.id, last.challenge_id, acts.house, now=acts.now)
    assert refusal.value.state == State.EXPIRED


async def test_an_app_has_terms_of_its_own(acts):
    """Those of the purpose over those of every purpose over the house's."""
    terms = {"*": Terms(length=8, max_attempts=2), "reset": Terms(length=4)}
    shop = msgspec.structs.replace(SHOP, terms=terms)
    for purpose, length in ((Purpose.SIGN_IN, 8), (Purpose.RESET, 4)):
        issued = await acts.send(shop, purpose=purpose)
        assert issued.attempts_left == 2
        assert len(await acts.code(issued.challenge_id)) == length


async def test_by_network_switched_off_counts_no_network_and_no_device(store):
    """For test rigs, where everybody comes from one address."""
    acts = Acts(store, quotas=[Quota(s, 1, HOUR) for s in (Scope.NETWORK, Scope.FINGERPRINT)])
    acts.house = msgspec.structs.replace(acts.house, by_network=False)
    for _ in range(3):
        await acts.send(network="192.0.2.1", fingerprint="f")
    await acts.miss(29, network="192.0.2.1")
    acts.house = msgspec.structs.replace(acts.house, by_network=True)
    await acts.send(network="192.0.2.1", fingerprint="f")
    with pytest.raises(QuotaExceeded):
        await acts.send(network="192.0.2.1", fingerprint="f")


async def test_at_rest_no_destination_is_readable(acts):
    issued = await acts.send()
    challenge = await acts.store.challenge(SHOP.id, issued.challenge_id)
    assert ANN.address.encode() not in msgspec.msgpack.encode(challenge)
    assert challenge.masked == ANN.masked
    assert acts.house.channels["sms"] is Kind.PHONE


class Moving:
    """The store, in which another send comes first so many times."""

    def __init__(self, store, times):
        self._store, self._times = store, times

    async def issue(self, order, now):
        if self._times:
            self._times -= 1
            return RedrawNeeded(None, order.challenge.code_length)
        return await self._store.issue(order, now)


@pytest.mark.parametrize("times", range(6))
async def test_what_was_sent_in_the_end_is_never_called_undone(acts, times):
    """However often others come first, an act that was committed is the answer."""
    house = msgspec.structs.replace(acts.house, store=Moving(acts.store, times))
    send = Send(app=SHOP, purpose=Purpose.SIGN_IN, destination=ANN, channel="sms")
    issued = await issue(send, house, now=acts.now)
    assert len(await acts.store.deliveries(SHOP.id, issued.challenge_id)) == 1
