"""A send while a challenge is open is a resend: never a second budget, never a longer old code."""

import pytest

from tests.contract.acting import ANN, BOB, MINUTE, MODES, SHOP, TICK, Acts
from watchword.domain.challenge import State, Verdict
from watchword.domain.policy import Resend
from watchword.domain.quota import Quota, Scope
from watchword.errors import (
    ChallengeClosed,
    ChallengeNotFound,
    FailureBudgetSpent,
    QuotaExceeded,
    ResendTooSoon,
)

TEN = 10 * MINUTE


@pytest.fixture(params=MODES)
def mode(request):
    return request.param


@pytest.fixture
def acts_in(store):
    """The house, resending in this way."""
    return lambda mode, **terms: Acts(store, resend=mode, **terms)


@pytest.fixture
def acts(acts_in, mode):
    return acts_in(mode)


async def at_nine_minutes(acts, **wish):
    """A first send, and a resend a minute before its code expires; the old code and the new."""
    first = await acts.send()
    old = await acts.code(first.challenge_id)
    acts.at(9 * MINUTE)
    second = await acts.send(**wish)
    return first, second, old, await acts.code(first.challenge_id)


async def test_a_resend_at_nine_of_ten_minutes_draws_anew(acts, mode):
    """It is the same challenge, and the new code has a lifetime of its own."""
    first, second, _old, new = await at_nine_minutes(acts)
    assert (second.challenge_id, second.opened) == (first.challenge_id, False)
    assert second.expires_at == acts.now + TEN
    acts.at(19 * MINUTE - TICK)
    assert await acts.verdict(first.challenge_id, new) is Verdict.MATCH


async def test_the_older_code_keeps_its_expiry_unless_newest_kills_it(acts, mode):
    first, _, old, new = await at_nine_minutes(acts)
    acts.at(TEN - TICK)
    expected = Verdict.MISMATCH if mode is Resend.NEWEST and old != new else Verdict.MATCH
    assert await acts.verdict(first.challenge_id, old) is expected


async def test_a_resend_never_moves_an_older_codes_expiry(acts, mode):
    first, _, old, new = await at_nine_minutes(acts)
    acts.at(TEN)
    if old != new:
        assert await acts.verdict(first.challenge_id, old) is Verdict.MISMATCH
    assert await acts.verdict(first.challenge_id, new) is Verdict.MATCH


async def test_a_resend_with_another_lifetime_gives_it_to_the_new_code_alone(acts, mode):
    """And the challenge expires with the last of its codes."""
    first, second, old, new = await at_nine_minutes(acts, ttl=30 * TICK)
    assert second.expires_at == acts.now + 30 * TICK
    acts.later(30 * TICK)
    verdict = await acts.verdict(first.challenge_id, new)
    if mode is Resend.NEWEST:
        assert verdict is Verdict.EXPIRED
    elif old != new:
        assert verdict is Verdict.MISMATCH
        acts.at(TEN - TICK)
        assert await acts.verdict(first.challenge_id, old) is Verdict.MATCH


async def test_a_longer_resend_outlives_the_older_codes(acts, mode):
    first, second, _old, new = await at_nine_minutes(acts, ttl=60 * MINUTE)
    assert second.expires_at == acts.now + 60 * MINUTE
    acts.at(69 * MINUTE - TICK)
    assert await acts.verdict(first.challenge_id, new) is Verdict.MATCH


async def test_another_binding_is_another_challenge(acts, mode):
    """With its own attempts and codes, beside the first, which stays as it was."""
    first, second, old, _ = await at_nine_minutes(acts, subject=b"another")
    assert second.opened
    assert second.challenge_id != first.challenge_id
    assert second.expires_at == acts.now + TEN
    assert await acts.verdict(first.challenge_id, old) is Verdict.MATCH
    code = await acts.code(second.challenge_id)
    assert await acts.verdict(second.challenge_id, code, subject=b"another") is Verdict.MATCH


async def test_another_binding_shares_limits_and_failure_budget(store, mode):
    acts = Acts(store, resend=mode, quotas=(Quota(Scope.DESTINATION, 12, 60 * MINUTE),))
    for n in range(6):
        await acts.miss(2, subject=str(n).encode(), network="a")
        if n == 4:
            break
    with pytest.raises(FailureBudgetSpent):
        await acts.send(subject=b"new", network="a")
    await acts.send(subject=b"new")
    await acts.send(subject=b"newer")
    with pytest.raises(QuotaExceeded):
        await acts.send(subject=b"newest")


async def test_a_resend_never_resets_attempts(acts, mode):
    """Two wrong, a resend, three wrong: that was all."""
    issued = await acts.send()
    for _ in range(2):
        await acts.check(issued.challenge_id, "-")
    for minute in (1, 6):
        acts.at(minute * MINUTE)
        assert (await acts.send()).attempts_left == 3
    for _ in range(3):
        await acts.check(issued.challenge_id, "-")
    assert (await acts.store.challenge(SHOP.id, issued.challenge_id)).state is State.EXHAUSTED
    assert (await acts.send()).opened


async def test_the_first_send_fixes_the_length_of_the_code(acts, mode):
    issued = await acts.send(code_length=8)
    acts.at(9 * MINUTE)
    again = await acts.send(code_length=4)
    assert again.challenge_id == issued.challenge_id
    assert [len(code) for code in await acts.codes(issued.challenge_id)] in ([8], [8, 8])


async def test_at_most_three_codes_live_at_once(acts_in):
    """The fourth send ends the first code, long before its time."""
    acts = acts_in(Resend.ANY, length=12)
    codes = []
    for minute in range(4):
        acts.at(minute * MINUTE)
        issued = await acts.send()
        codes.append(await acts.code(issued.challenge_id))
    assert await acts.codes(issued.challenge_id) == codes[1:]
    assert await acts.verdict(issued.challenge_id, codes[0]) is Verdict.MISMATCH
    assert await acts.verdict(issued.challenge_id, codes[1]) is Verdict.MATCH


async def test_only_the_newest_lives_where_a_resend_kills_the_others(acts_in):
    acts = acts_in(Resend.NEWEST, length=12)
    codes = []
    for minute in range(3):
        acts.at(minute * MINUTE)
        issued = await acts.send()
        codes.append(await acts.code(issued.challenge_id))
    for code in codes[:2]:
        assert await acts.verdict(issued.challenge_id, code) is Verdict.MISMATCH
    assert await acts.verdict(issued.challenge_id, codes[2]) is Verdict.MATCH


async def test_same_repeats_the_code_while_half_of_its_life_is_left(acts_in):
    """With its old expiry, whatever lifetime the resend asks for."""
    acts = acts_in(Resend.SAME, length=12)
    first = await acts.send()
    code = await acts.code(first.challenge_id)
    acts.at(5 * MINUTE)
    second = await acts.send(ttl=60 * MINUTE)
    assert (second.expires_at, second.drawn_at) == (first.expires_at, first.drawn_at)
    assert await acts.codes(first.challenge_id) == [code]
    sent = [acts.ring.unseal(one.code, first.challenge_id.encode()) for one in await acts.lease()]
    assert sent == [code.encode()] * 2
    acts.later(TICK)
    third = await acts.send()
    assert third.expires_at == acts.now + TEN
    assert len(await acts.codes(first.challenge_id)) == 2


async def test_same_repeats_the_latest_code_once_it_drew_anew(acts_in):
    acts = acts_in(Resend.SAME, length=12)
    issued = await acts.send()
    acts.at(6 * MINUTE)
    await acts.send()
    before = await acts.codes(issued.challenge_id)
    acts.at(8 * MINUTE)
    assert (await acts.send()).expires_at == 16 * MINUTE + issued.drawn_at
    assert await acts.codes(issued.challenge_id) == before


async def test_only_where_a_code_may_be_repeated_is_it_kept_readable(acts, mode):
    """Sealed, at that; the others are digests."""
    issued = await acts.send()
    (draw,) = (await acts.store.challenge(SHOP.id, issued.challenge_id)).draws
    assert (draw.sealed is not None) == (mode is Resend.SAME)


async def test_what_is_delivered_is_what_is_right(acts, mode):
    """Each message carries the code of its own draw, and expires with it."""
    issued = await acts.send()
    acts.at(9 * MINUTE)
    again = await acts.send()
    leased = await acts.lease()
    newest = leased[-1]
    assert newest.expires_at == again.expires_at
    code = acts.ring.unseal(newest.code, issued.challenge_id.encode()).decode()
    assert await acts.verdict(issued.challenge_id, code) is Verdict.MATCH


async def test_a_message_whose_code_was_killed_is_not_sent(acts_in):
    """While the carrier was away a newer code took its place: only that one goes out."""
    acts = acts_in(Resend.NEWEST)
    issued = await acts.send()
    acts.later(MINUTE)
    again = await acts.send()
    assert [one.id for one in await acts.lease()] == [again.delivery]
    states = [one.state for one in await acts.store.deliveries(SHOP.id, issued.challenge_id)]
    assert states == ["cancelled", "leased"]


async def test_the_minutes_told_are_those_left_when_it_was_issued(acts_in):
    """Ten for a new code, six for one repeated after four."""
    acts = acts_in(Resend.SAME)
    await acts.send()
    acts.at(4 * MINUTE)
    await acts.send()
    acts.later(MINUTE)
    assert [one.minutes for one in await acts.lease()] == [10, 6]


async def test_a_resend_goes_where_and_how_it_is_asked(acts, mode):
    """The channel last used is the challenge's."""
    issued = await acts.send()
    acts.later(MINUTE)
    again = await acts.resend(issued.challenge_id)
    assert (again.opened, again.channel, again.masked) == (False, "sms", ANN.masked)


async def test_a_resend_of_one_challenge_never_opens_another(acts, mode):
    """Closed or followed by another: it says so."""
    first = await acts.send()
    await acts.check(first.challenge_id, await acts.code(first.challenge_id))
    with pytest.raises(ChallengeClosed) as refusal:
        await acts.resend(first.challenge_id)
    assert refusal.value.state == State.APPROVED
    second = await acts.send()
    with pytest.raises(ChallengeClosed):
        await acts.resend(first.challenge_id)
    assert (await acts.resend(second.challenge_id)).challenge_id == second.challenge_id
    acts.later(TEN)
    with pytest.raises(ChallengeClosed) as refusal:
        await acts.resend(second.challenge_id)
    assert refusal.value.state == State.EXPIRED
    with pytest.raises(ChallengeNotFound):
        await acts.resend("0" * 26)


async def test_a_resend_extends_no_challenge_but_the_one_it_names(acts, mode):
    """Not even when a new one has the same key."""
    first = await acts.send()
    await acts.store.cancel(SHOP.id, first.challenge_id, acts.now)
    second = await acts.send()
    before = await acts.store.challenge(SHOP.id, second.challenge_id)
    with pytest.raises(ChallengeClosed) as refusal:
        await acts.send(only=first.challenge_id)
    assert refusal.value.state == State.CANCELLED
    assert await acts.store.challenge(SHOP.id, second.challenge_id) == before


async def test_the_interval_counts_from_each_send(acts_in, mode):
    """Exactly, and apart for each challenge."""
    acts = acts_in(mode, resend_interval=MINUTE)
    issued = await acts.send()
    acts.later(MINUTE - TICK)
    with pytest.raises(ResendTooSoon):
        await acts.resend(issued.challenge_id)
    assert (await acts.send(to=BOB)).opened
    acts.later(TICK)
    assert (await acts.resend(issued.challenge_id)).resend_at == acts.now + MINUTE
    with pytest.raises(ResendTooSoon) as refusal:
        await acts.send()
    assert refusal.value.retry_in == MINUTE


async def test_a_challenge_expires_with_its_last_code(acts_in):
    acts = acts_in(Resend.ANY)
    issued = await acts.send()
    acts.at(5 * MINUTE)
    await acts.send(ttl=MINUTE)
    challenge = await acts.store.challenge(SHOP.id, issued.challenge_id)
    assert challenge.expires_at == issued.expires_at
    assert challenge.state_at(issued.expires_at - TICK) is State.PENDING
    assert challenge.state_at(issued.expires_at) is State.EXPIRED


async def test_an_expired_challenge_is_not_revived(acts, mode):
    issued = await acts.send()
    acts.at(TEN)
    again = await acts.send()
    assert again.opened
    assert again.challenge_id != issued.challenge_id


async def test_of_what_is_queued_only_the_last_three_codes_are_sent(acts_in):
    """The message of a code that fell out of them is dropped, queued or leased."""
    acts = acts_in(Resend.ANY)
    sent = [await acts.send()]
    leased = await acts.lease()
    sent += [await acts.send() for _ in range(4)]
    states = [await acts.store.delivery_state(one.delivery) for one in sent]
    assert states == ["cancelled", "cancelled", "queued", "queued", "queued"]
    assert await acts.begin(leased) == []
    live = await acts.codes(sent[0].challenge_id)
    queued = await acts.lease()
    ring, bound_to = acts.ring, sent[0].challenge_id.encode()
    assert [ring.unseal(one.code, bound_to).decode() for one in queued] == live
