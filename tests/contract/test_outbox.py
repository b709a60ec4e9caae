"""The outbox: queued, leased, sending, an end. Each step is a commit, and each row has one end."""

import asyncio
from datetime import timedelta

import msgspec
import pytest

from tests.contract.acting import ANN, BANK, BOB, DAY, LEASE, MINUTE, SHOP, TICK
from watchword.domain.app import App
from watchword.domain.challenge import State
from watchword.domain.delivery import DeliveryState, Handover, Turns, back_off
from watchword.domain.destination import phone
from watchword.errors import ChallengeNotFound
from watchword.service.erase_subject import erase_subject
from watchword.service.pause import Pause, pause, paused, resume

ENDS = (DeliveryState.ACCEPTED, DeliveryState.DELIVERED, DeliveryState.FAILED)


async def going(acts, **terms):
    """The one delivery that is due, begun."""
    (leased,) = await acts.lease(**terms)
    assert await acts.begin([leased]) == [leased]
    return leased


async def record(acts, leased, state, **more):
    ended = Handover(id=leased.id, token=leased.token, state=state, **more)
    await acts.store.record_handovers([ended], provider="acme", now=acts.now)


async def delivery(acts, issued):
    return (await acts.store.deliveries(SHOP.id, issued.challenge_id))[-1]


async def state(acts, issued):
    found = await acts.store.delivery_state(issued.delivery)
    assert found is (await delivery(acts, issued)).state
    return found


async def is_wiped(acts, issued):
    """Whether nothing more can be had of this delivery, by any worker at any time."""
    now = acts.now
    acts.later(100 * MINUTE)
    leased = await acts.lease(repeats=True)
    acts.now = now
    return issued.delivery not in [one.id for one in leased]


async def test_a_worker_with_an_erased_message_ends_no_other(acts):
    """It was handed over as its subject was erased, and there is a new message since."""
    await acts.send()
    late = await going(acts)
    await erase_subject(ANN, [SHOP.id], acts.house, acts.now)
    issued = await acts.send(to=BOB)
    new = await going(acts)
    await record(acts, late, DeliveryState.FAILED)
    assert await state(acts, issued) is DeliveryState.SENDING
    await record(acts, new, DeliveryState.ACCEPTED)
    assert await state(acts, issued) is DeliveryState.ACCEPTED


async def test_a_lease_holds_all_that_a_hand_over_needs(acts):
    issued = await acts.send()
    (leased,) = await acts.lease()
    assert (leased.id, leased.challenge_id) == (issued.delivery, issued.challenge_id)
    assert (leased.app_id, leased.purpose, leased.channel) == (SHOP.id, "sign_in", "sms")
    assert (leased.tries, leased.minutes, leased.expires_at) == (0, 10, issued.expires_at)
    code = acts.ring.unseal(leased.code, issued.challenge_id.encode()).decode()
    assert code == await acts.code(issued.challenge_id)
    assert ANN.address.encode() in acts.ring.unseal(leased.recipient, leased.slot)


async def test_nothing_readable_rests_in_the_outbox(acts):
    issued = await acts.send(code_length=16)
    code = await acts.code(issued.challenge_id)
    (leased,) = await acts.lease()
    assert code.encode() not in leased.code
    assert ANN.address.encode() not in leased.recipient


@pytest.mark.parametrize("end", ENDS)
async def test_a_recorded_end_is_final(acts, end):
    issued = await acts.send()
    leased = await going(acts)
    acts.later(TICK)
    await record(acts, leased, end, reference="r", reason="why")
    found = await delivery(acts, issued)
    assert (found.state, found.provider, found.tries) == (end, "acme", 1)
    assert (found.reason, found.settled_at) == ("why", acts.now)
    assert await is_wiped(acts, issued)


async def test_a_leased_row_is_nobody_elses_until_the_lease_lapses(acts):
    await acts.send()
    (leased,) = await acts.lease()
    acts.later(LEASE - TICK)
    assert await acts.lease() == []
    acts.later(TICK)
    (again,) = await acts.lease()
    assert (again.id, again.tries) == (leased.id, 0)
    assert again.token != leased.token


async def test_a_stale_token_no_longer_counts(acts):
    """Neither to begin sending nor to say how it ended."""
    issued = await acts.send()
    (stale,) = await acts.lease()
    acts.later(LEASE)
    (leased,) = await acts.lease()
    assert await acts.begin([stale]) == []
    await record(acts, stale, DeliveryState.DELIVERED)
    assert await state(acts, issued) is DeliveryState.LEASED
    assert await acts.begin([leased]) == [leased]
    await record(acts, stale, DeliveryState.FAILED)
    await record(acts, stale, DeliveryState.QUEUED, not_before=acts.now)
    assert await state(acts, issued) is DeliveryState.SENDING
    await record(acts, leased, DeliveryState.ACCEPTED)
    assert await state(acts, issued) is DeliveryState.ACCEPTED


async def test_of_two_tokens_of_one_delivery_the_live_one_begins(acts):
    """A worker that still keeps what it lost and leased anew sends it once."""
    await acts.send()
    (stale,) = await acts.lease()
    acts.later(LEASE)
    (leased,) = await acts.lease()
    assert await acts.begin([stale, leased]) == [leased]
    assert await acts.begin([stale, leased]) == []


async def test_sending_begins_once(acts):
    await acts.send()
    (leased,) = await acts.lease()
    assert await acts.begin([leased]) == [leased]
    assert await acts.begin([leased]) == []


async def test_sending_is_begun_again_by_whom_nobody_answered(acts):
    """As one try, held from then on; not by whose token counts no more, nor once it has expired."""
    issued = await acts.send()
    (leased,) = await acts.lease()
    stale = msgspec.structs.replace(leased, token=leased.token - 1)
    await acts.begin([leased])
    acts.later(LEASE - TICK)
    assert await acts.begin([stale], again=True) == []
    assert await acts.begin([leased], again=True) == [leased]
    assert (await delivery(acts, issued)).tries == 1
    acts.later(LEASE - TICK)
    assert await acts.lease() == []
    acts.now = issued.expires_at
    assert await acts.begin([leased], again=True) == []
    assert await state(acts, issued) is DeliveryState.EXPIRED


async def test_two_workers_never_share_a_row(acts):
    for n in range(40):
        await acts.send(to=phone(f"+86138001380{n:02d}"))
    held = await asyncio.gather(*(acts.lease(most=5) for _ in range(10)))
    ids = [one.id for leased in held for one in leased]
    assert len(ids) == len(set(ids)) == 40


async def test_workers_of_two_processes_never_share_a_row(acts, two_processes):
    for n in range(40):
        await acts.send(to=phone(f"+86138001380{n:02d}"))
    one, other = await two_processes(does="lease")
    assert len(one) + len(other) == len({*one, *other}) == 40


async def test_no_more_are_leased_than_asked_for_and_the_oldest_first(acts):
    sent = []
    for n in range(5):
        sent.append((await acts.send(to=phone(f"+861380013800{n}"))).delivery)
        acts.later(TICK)
    assert [one.id for one in await acts.lease(most=3)] == sent[:3]
    assert [one.id for one in await acts.lease(most=3)] == sent[3:]


async def test_each_channel_has_its_own_queue(acts):
    await acts.send()
    assert await acts.lease(channel="email") == []
    assert await acts.store.next_due("email") is None
    assert len(await acts.lease(channel="sms")) == 1


async def test_what_was_unavailable_is_due_again_after_its_back_off(acts):
    """To the microsecond, each try counted, and no longer held by anyone."""
    issued = await acts.send()
    for tries in (1, 2, 3):
        leased = await going(acts)
        assert leased.tries == tries - 1
        not_before = acts.now + back_off(tries)
        await record(acts, leased, DeliveryState.QUEUED, reason="down", not_before=not_before)
        found = await delivery(acts, issued)
        assert (found.state, found.tries, found.settled_at) == ("queued", tries, None)
        assert await acts.store.next_due("sms") == not_before
        acts.now = not_before - TICK
        assert await acts.lease() == []
        acts.later(TICK)


async def test_nothing_is_sent_after_its_code_has_expired(acts):
    """Not by a fresh lease, nor by one taken in time; the row says expired and is wiped."""
    first, second = await acts.send(), await acts.send(to=BOB)
    acts.now = first.expires_at - TICK
    (leased,) = await acts.lease(most=1)
    acts.later(TICK)
    assert await acts.begin([leased]) == []
    assert await acts.lease() == []
    for issued in (first, second):
        assert await state(acts, issued) is DeliveryState.EXPIRED
        assert await is_wiped(acts, issued)


async def test_a_back_off_beyond_the_expiry_ends_at_the_expiry(acts):
    """Nobody waits for a hand-over that will never be."""
    issued = await acts.send(ttl=MINUTE)
    leased = await going(acts)
    later = issued.expires_at + MINUTE
    await record(acts, leased, DeliveryState.QUEUED, not_before=later)
    assert await acts.store.next_due("sms") == issued.expires_at
    acts.now = issued.expires_at
    assert await acts.lease() == []
    assert await state(acts, issued) is DeliveryState.EXPIRED


async def test_what_lapsed_while_sending_is_unknown_and_not_sent_again(acts):
    issued = await acts.send()
    await going(acts)
    acts.later(LEASE - TICK)
    assert await acts.lease() == []
    assert await state(acts, issued) is DeliveryState.SENDING
    acts.later(TICK)
    assert await acts.lease() == []
    assert await state(acts, issued) is DeliveryState.UNKNOWN
    assert await is_wiped(acts, issued)


async def test_a_provider_that_repeats_harmlessly_is_asked_again(acts):
    issued = await acts.send()
    first = await going(acts, repeats=True)
    acts.later(LEASE)
    second = await going(acts, repeats=True)
    assert (second.id, second.tries) == (first.id, 1)
    await record(acts, first, DeliveryState.FAILED)
    await record(acts, second, DeliveryState.DELIVERED)
    assert await state(acts, issued) is DeliveryState.DELIVERED


async def test_a_repeat_that_would_come_too_late_is_unknown(acts):
    issued = await acts.send(ttl=LEASE)
    await going(acts, repeats=True)
    acts.later(LEASE)
    assert await acts.lease(repeats=True) == []
    assert await state(acts, issued) is DeliveryState.UNKNOWN


async def test_a_late_word_on_an_unknown_hand_over_is_believed(acts):
    """The worker was only slow: what it says is the truth."""
    issued = await acts.send()
    leased = await going(acts)
    acts.later(LEASE)
    await acts.lease()
    await record(acts, leased, DeliveryState.QUEUED, not_before=acts.now)
    assert await state(acts, issued) is DeliveryState.UNKNOWN
    await record(acts, leased, DeliveryState.ACCEPTED)
    assert await state(acts, issued) is DeliveryState.ACCEPTED
    await record(acts, leased, DeliveryState.FAILED)
    assert await state(acts, issued) is DeliveryState.ACCEPTED


async def test_beginning_to_send_holds_the_row_anew(acts):
    """The provider gets its whole time, however late within the lease it began."""
    issued = await acts.send()
    (leased,) = await acts.lease()
    acts.later(LEASE - TICK)
    await acts.begin([leased])
    acts.later(LEASE - TICK)
    await acts.lease()
    assert await state(acts, issued) is DeliveryState.SENDING


async def close_by_cancel(acts, issued):
    await acts.store.cancel(SHOP.id, issued.challenge_id, acts.now)


async def close_by_match(acts, issued):
    await acts.check(issued.challenge_id, await acts.code(issued.challenge_id))


async def close_by_exhaustion(acts, issued):
    for _ in range(5):
        await acts.check(issued.challenge_id, "-")


CLOSINGS = pytest.mark.parametrize("close", [close_by_cancel, close_by_match, close_by_exhaustion])


@CLOSINGS
async def test_a_closed_challenge_drops_what_is_queued(acts, close):
    issued = await acts.send()
    await close(acts, issued)
    assert await state(acts, issued) is DeliveryState.CANCELLED
    assert await is_wiped(acts, issued)
    assert await acts.store.next_due("sms") is None


@CLOSINGS
async def test_a_closed_challenge_drops_what_is_leased(acts, close):
    """The worker that holds it learns so before the first byte."""
    issued = await acts.send()
    leased = await acts.lease()
    await close(acts, issued)
    assert await acts.begin(leased) == []
    assert await state(acts, issued) is DeliveryState.CANCELLED


@CLOSINGS
async def test_what_is_being_sent_as_its_challenge_closes_is_not_tried_again(acts, close):
    """It may end as the provider says; another try would bring a dead code."""
    issued = await acts.send()
    leased = await going(acts)
    await close(acts, issued)
    assert await state(acts, issued) is DeliveryState.SENDING
    again_at = acts.now + timedelta(seconds=1)
    await record(acts, leased, DeliveryState.QUEUED, not_before=again_at)
    acts.now = again_at
    assert await acts.lease(repeats=True) == []
    assert await state(acts, issued) is DeliveryState.CANCELLED


async def test_a_hand_over_that_lapsed_after_its_challenge_closed_is_unknown(acts):
    issued = await acts.send()
    await going(acts, repeats=True)
    await close_by_match(acts, issued)
    acts.later(LEASE)
    assert await acts.lease(repeats=True) == []
    assert await state(acts, issued) is DeliveryState.UNKNOWN


async def test_a_final_refusal_cancels_the_challenge_where_asked(acts):
    """In one act, with whatever else of it was queued."""
    issued = await acts.send(cancel_if_refused=True)
    leased = await going(acts)
    second = await acts.send(cancel_if_refused=True)
    await record(acts, leased, DeliveryState.FAILED)
    challenge = await acts.store.challenge(SHOP.id, issued.challenge_id)
    assert (challenge.state, challenge.draws) == (State.CANCELLED, ())
    assert await state(acts, second) is DeliveryState.CANCELLED


async def test_a_final_refusal_leaves_the_challenge_open_where_not_asked(acts):
    issued = await acts.send()
    await record(acts, await going(acts), DeliveryState.FAILED)
    challenge = await acts.store.challenge(SHOP.id, issued.challenge_id)
    assert challenge.state is State.PENDING


async def test_a_refusal_that_comes_after_the_match_changes_nothing(acts):
    issued = await acts.send(cancel_if_refused=True)
    leased = await going(acts)
    await close_by_match(acts, issued)
    await record(acts, leased, DeliveryState.FAILED)
    challenge = await acts.store.challenge(SHOP.id, issued.challenge_id)
    assert challenge.state is State.APPROVED


async def test_the_next_instant_with_work_is_known(acts):
    """Queued, leased and sending alike; nothing when all is settled."""
    assert await acts.store.next_due("sms") is None
    await acts.send()
    assert await acts.store.next_due("sms") == acts.now
    (leased,) = await acts.lease()
    assert await acts.store.next_due("sms") == acts.now + LEASE
    acts.later(TICK)
    await acts.begin([leased])
    assert await acts.store.next_due("sms") == acts.now + LEASE
    await record(acts, leased, DeliveryState.ACCEPTED)
    assert await acts.store.next_due("sms") is None


async def test_every_hand_over_of_a_challenge_is_listed_oldest_first(acts):
    issued = await acts.send()
    acts.later(MINUTE)
    again = await acts.send()
    found = await acts.store.deliveries(SHOP.id, issued.challenge_id)
    assert [one.id for one in found] == [issued.delivery, again.delivery]
    assert {one.challenge_id for one in found} == {issued.challenge_id}
    assert found[1].queued_at - found[0].queued_at == MINUTE


async def test_what_never_was_has_no_state(acts):
    with pytest.raises(ChallengeNotFound):
        await acts.store.delivery_state(987_654)
    with pytest.raises(ChallengeNotFound):
        await acts.store.deliveries(SHOP.id, "0" * 26)


PARK = App(id="park", name="Park")


async def flood(acts, app, count, first=0):
    """So many queued by one app; the ids, oldest first."""
    sent = []
    for n in range(count):
        sent.append((await acts.send(app, to=phone(f"+861390013{first + n:04d}"))).delivery)
        acts.later(TICK)
    return sent


def apps_of(leased):
    return [one.app_id for one in leased]


async def test_apps_take_turns_and_of_each_the_oldest_goes_first(acts):
    """However much one has queued, and before the others came."""
    shop = await flood(acts, SHOP, 20)
    bank, park = await flood(acts, BANK, 3), await flood(acts, PARK, 1)
    leased = await acts.lease(most=8)
    assert apps_of(leased).count("shop") == 4
    assert [one.id for one in leased if one.app_id == "shop"] == shop[:4]
    assert [one.id for one in leased if one.app_id == "bank"] == bank
    assert [one.id for one in leased if one.app_id == "park"] == park


async def test_apps_take_turns_where_one_place_is_free_at_a_time(acts):
    for app in (SHOP, BANK, PARK):
        await flood(acts, app, 4)
    served: list[str] = []
    for _ in range(9):
        last = served[-1] if served else ""
        served += apps_of(await acts.lease(most=1, turns=Turns(after=last)))
    assert served == ["bank", "park", "shop"] * 3


async def test_a_place_goes_to_whoever_holds_the_fewest(acts):
    await flood(acts, SHOP, 6)
    await flood(acts, BANK, 6)
    leased = await acts.lease(most=4, turns=Turns(held={"shop": 3, "gone": 9}))
    assert apps_of(leased) == ["bank", "bank", "bank", "bank"]
    leased = await acts.lease(most=3, turns=Turns(held={"shop": 3, "bank": 4}, after="bank"))
    assert apps_of(leased) == ["shop", "shop", "bank"]


async def test_no_app_holds_more_than_its_share(acts):
    """Also where nobody else wants the places: who comes next finds one."""
    await flood(acts, SHOP, 8)
    turns = Turns(held={"shop": 1}, share=3)
    assert apps_of(await acts.lease(most=6, turns=turns)) == ["shop", "shop"]
    assert await acts.lease(most=6, turns=Turns(held={"shop": 3}, share=3)) == []
    (bank,) = await flood(acts, BANK, 1)
    held = Turns(held={"shop": 3}, share=3)
    assert [one.id for one in await acts.lease(most=6, turns=held)] == [bank]


async def test_what_is_past_help_takes_nobodys_place(acts):
    """A poison app with a hundred lapsed hand-overs is settled, and the other is served in the same
    act, were there a single place."""
    await flood(acts, SHOP, 100)
    assert len(await acts.begin(await acts.lease())) == 100
    acts.later(LEASE)
    (park,) = await flood(acts, PARK, 1)
    turns = Turns(after="park")
    assert [one.id for one in await acts.lease(most=1, turns=turns)] == [park]
    assert await acts.lease(most=1) == []
    found = await acts.store.listed(DeliveryState.UNKNOWN, most=1000)
    assert len(found) == 100


async def test_what_is_tried_again_waits_in_its_own_line(acts):
    """A back-off is nobody else's: what is not due takes no turn."""
    await flood(acts, BANK, 1)
    leased = await going(acts)
    again_at = acts.now + MINUTE
    await record(acts, leased, DeliveryState.QUEUED, not_before=again_at)
    await flood(acts, SHOP, 2)
    assert apps_of(await acts.lease(most=1)) == ["shop"]
    acts.now = again_at
    assert apps_of(await acts.lease(most=1, turns=Turns(after="shop"))) == ["bank"]


async def test_what_is_handed_back_is_due_at_once(acts):
    """Nobody waits for the lease to lapse, and no try was made."""
    issued = await acts.send()
    leased = await acts.lease()
    await acts.store.hand_back(leased)
    assert await state(acts, issued) is DeliveryState.QUEUED
    (again,) = await acts.lease()
    assert (again.id, again.tries) == (leased[0].id, 0)
    assert await acts.begin(leased) == []
    assert await acts.begin([again]) == [again]


async def test_only_what_is_still_held_is_handed_back(acts):
    """Neither what another has leased since, nor what was begun, nor what has ended."""
    begun, lapsed, over = [await acts.send(to=phone(f"+861390013900{n}")) for n in range(3)]
    by_id = {one.id: one for one in await acts.lease()}
    await acts.begin([by_id[begun.delivery]])
    await acts.store.cancel(SHOP.id, over.challenge_id, acts.now)
    acts.later(LEASE)
    again = {one.id: one for one in await acts.lease()}
    await acts.store.hand_back(list(by_id.values()))
    assert await state(acts, begun) is DeliveryState.UNKNOWN
    assert await state(acts, lapsed) is DeliveryState.LEASED
    assert await state(acts, over) is DeliveryState.CANCELLED
    assert lapsed.delivery in again


async def unknown(acts):
    issued = await acts.send()
    leased = await going(acts)
    acts.later(LEASE)
    await acts.lease()
    return issued, leased


@pytest.mark.parametrize("told", [DeliveryState.DELIVERED, DeliveryState.FAILED])
async def test_what_is_unknown_is_settled_by_word_of_mouth(acts, told):
    issued, _ = await unknown(acts)
    acts.later(MINUTE)
    settle = {"reason": "asked the carrier", "by_receipt": False}
    assert await acts.store.settle(issued.delivery, told, acts.now, **settle)
    found = await delivery(acts, issued)
    assert (found.state, found.reason) == (told, "asked the carrier")
    assert found.settled_at == acts.now
    assert not await acts.store.settle(issued.delivery, told, acts.now, **settle)


async def test_only_a_receipt_settles_what_was_accepted(acts):
    """And nothing but what was sent: an end that is known stays."""
    issued = await acts.send()
    settle = {"now": acts.now, "reason": "", "state": DeliveryState.DELIVERED}
    for by_receipt in (False, True):
        assert not await acts.store.settle(issued.delivery, **settle, by_receipt=by_receipt)
    await record(acts, await going(acts), DeliveryState.ACCEPTED)
    assert not await acts.store.settle(issued.delivery, **settle, by_receipt=False)
    assert await state(acts, issued) is DeliveryState.ACCEPTED
    assert await acts.store.settle(issued.delivery, **settle, by_receipt=True)
    assert await state(acts, issued) is DeliveryState.DELIVERED
    failed = {**settle, "state": DeliveryState.FAILED}
    assert not await acts.store.settle(issued.delivery, **failed, by_receipt=True)
    assert not await acts.store.settle(987_654, **settle, by_receipt=True)


async def test_nothing_leads_out_of_unknown_by_itself(acts):
    """Neither time, nor a sweep, nor another worker's look."""
    issued, _ = await unknown(acts)
    acts.now = issued.expires_at + MINUTE
    await acts.sweep()
    assert await acts.lease(repeats=True) == []
    assert await state(acts, issued) is DeliveryState.UNKNOWN


async def test_deliveries_of_a_state_are_listed_newest_first_and_masked(acts):
    first = await acts.send()
    second = await acts.send(BANK, to=BOB)
    found = await acts.store.listed(DeliveryState.QUEUED, most=10)
    assert [(one.id, one.app_id) for one in found] == [
        (second.delivery, "bank"),
        (first.delivery, "shop"),
    ]
    assert found[0].masked == second.masked
    assert len(await acts.store.listed(DeliveryState.QUEUED, most=1)) == 1
    assert await acts.store.listed(DeliveryState.UNKNOWN, most=10) == []


async def test_a_pause_is_kept_until_it_is_resumed(acts):
    """With its reason and since when; a second one changes the reason alone."""
    store = acts.store
    assert await paused(store, "sms", acts.now) is None
    began = acts.now
    await pause(store, "sms", "the carrier is down", began)
    acts.later(MINUTE)
    await pause(store, "sms", "still down", acts.now)
    acts.later(DAY)
    assert await paused(store, "sms", acts.now) == Pause(began, "still down")
    assert await paused(store, "email", acts.now) is None
    assert await resume(store, "sms", acts.now)
    assert not await resume(store, "sms", acts.now)
    assert await paused(store, "sms", acts.now) is None
