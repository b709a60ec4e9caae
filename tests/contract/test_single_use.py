"""P1: a code is accepted once, in its time, within its attempts, and only where it belongs."""

from collections import Counter
from itertools import chain

import pytest

from tests.contract.acting import ANN, BANK, BOB, MINUTE, SHOP, TICK, Acts, at_once
from watchword.domain.challenge import State, Verdict, serial
from watchword.domain.purpose import Purpose
from watchword.errors import ChallengeNotFound


async def test_of_50_right_answers_at_once_exactly_one_wins(acts):
    """Whoever comes second learns that the code is used, and spends nothing."""
    issued = await acts.send()
    code = await acts.code(issued.challenge_id)
    told = Counter(await at_once(acts.check(issued.challenge_id, code) for _ in range(50)))
    assert told == {Verdict.MATCH: 1, Verdict.ALREADY_USED: 49}
    challenge = await acts.store.challenge(SHOP.id, issued.challenge_id)
    assert (challenge.state, challenge.attempts) == (State.APPROVED, 0)


async def test_50_wrong_answers_at_once_spend_exactly_the_attempts(acts):
    issued = await acts.send()
    code = await acts.wrong(issued.challenge_id)
    told = Counter(await at_once(acts.check(issued.challenge_id, code) for _ in range(50)))
    assert told == {Verdict.MISMATCH: 5, Verdict.EXHAUSTED: 45}


async def test_two_processes_let_one_right_answer_win(acts, two_processes):
    """However many servers share a store, of 50 right answers one is taken."""
    issued = await acts.send()
    code = await acts.code(issued.challenge_id)
    told = await two_processes(does="check", times=25, challenge_id=issued.challenge_id, code=code)
    assert Counter(chain.from_iterable(told)) == {Verdict.MATCH: 1, Verdict.ALREADY_USED: 49}


async def test_two_processes_share_the_attempts(acts, two_processes):
    issued = await acts.send()
    code = await acts.wrong(issued.challenge_id)
    told = await two_processes(does="check", times=25, challenge_id=issued.challenge_id, code=code)
    assert Counter(chain.from_iterable(told)) == {Verdict.MISMATCH: 5, Verdict.EXHAUSTED: 45}


async def test_right_and_wrong_answers_at_once_never_approve_twice(acts):
    """Wrong ones may use up the attempts first; then no right one counts any more."""
    issued = await acts.send()
    right = await acts.code(issued.challenge_id)
    wrong = await acts.wrong(issued.challenge_id)
    codes = [wrong, wrong, wrong, right] * 12
    told = Counter(await at_once(acts.check(issued.challenge_id, code) for code in codes))
    assert told[Verdict.MATCH] <= 1
    assert told[Verdict.MISMATCH] <= 5
    assert told[Verdict.MATCH] or told[Verdict.MISMATCH] == 5


async def test_a_code_is_right_until_the_instant_it_expires(acts):
    issued = await acts.send()
    code = await acts.code(issued.challenge_id)
    acts.now = issued.expires_at
    assert await acts.verdict(issued.challenge_id, code) is Verdict.EXPIRED
    acts.now = issued.expires_at - TICK
    assert await acts.verdict(issued.challenge_id, code) is Verdict.MATCH


async def test_the_last_wrong_answer_says_that_none_is_left(acts):
    issued = await acts.send()
    left = [(await acts.check(issued.challenge_id, "-")).attempts_left for _ in range(5)]
    assert left == [4, 3, 2, 1, 0]
    code = await acts.wrong(issued.challenge_id)
    assert await acts.verdict(issued.challenge_id, code) is Verdict.EXHAUSTED


async def test_a_code_is_right_only_for_what_it_was_drawn_for(acts):
    """Another purpose, destination or subject is another challenge, with another code."""
    first = await acts.send()
    code = await acts.code(first.challenge_id)
    others = [
        await acts.send(purpose=Purpose.RESET),
        await acts.send(to=BOB),
        await acts.send(subject=b"another"),
    ]
    for other in others:
        assert other.opened
        assert other.challenge_id != first.challenge_id
        if await acts.code(other.challenge_id) != code:
            assert await acts.verdict(other.challenge_id, code) is Verdict.MISMATCH
    assert await acts.verdict(first.challenge_id, code) is Verdict.MATCH


async def test_no_app_reaches_the_challenge_of_another(acts):
    """To a neighbour it does not exist, whatever he asks."""
    issued = await acts.send()
    code = await acts.code(issued.challenge_id)
    slot = (await acts.store.challenge(SHOP.id, issued.challenge_id)).slot
    with pytest.raises(ChallengeNotFound):
        await acts.check(issued.challenge_id, code, app=BANK)
    with pytest.raises(ChallengeNotFound):
        await acts.store.challenge(BANK.id, issued.challenge_id)
    with pytest.raises(ChallengeNotFound):
        await acts.store.latest(BANK.id, slot)
    with pytest.raises(ChallengeNotFound):
        await acts.store.deliveries(BANK.id, issued.challenge_id)
    with pytest.raises(ChallengeNotFound):
        await acts.store.cancel(BANK.id, issued.challenge_id, acts.now)
    with pytest.raises(ChallengeNotFound):
        await acts.resend(issued.challenge_id, app=BANK)
    assert await acts.verdict(issued.challenge_id, code) is Verdict.MATCH


@pytest.mark.parametrize("odd", ["\0", "\ud800"], ids=["NUL", "half a character"])
async def test_what_no_id_has_in_it_names_no_challenge(acts, odd):
    """Not even where the rest is one's own: no verb fails over a character that it cannot write."""
    issued = await acts.send()
    known = issued.challenge_id
    for asked in (odd * len(known), odd + known[1:], known[:-1] + odd, known + odd):
        with pytest.raises(ChallengeNotFound):
            await acts.store.challenge(SHOP.id, asked)
        with pytest.raises(ChallengeNotFound):
            await acts.store.deliveries(SHOP.id, asked)
        with pytest.raises(ChallengeNotFound):
            await acts.store.cancel(SHOP.id, asked, acts.now)


async def test_no_answer_and_no_resend_reaches_a_challenge_by_an_id_with_a_nul(acts):
    issued = await acts.send()
    code = await acts.code(issued.challenge_id)
    for asked in ("\0" + issued.challenge_id[1:], issued.challenge_id + "\0"):
        with pytest.raises(ChallengeNotFound):
            await acts.check(asked, code)
        with pytest.raises(ChallengeNotFound):
            await acts.resend(asked)
    assert await acts.verdict(issued.challenge_id, code) is Verdict.MATCH


async def test_a_right_code_for_another_subject_is_wrong(acts):
    """And costs an attempt, as any wrong answer does."""
    issued = await acts.send(subject=b"mine")
    code = await acts.code(issued.challenge_id)
    judged = await acts.check(issued.challenge_id, code, subject=b"yours")
    assert (judged.verdict, judged.attempts_left) == (Verdict.MISMATCH, 4)
    assert await acts.verdict(issued.challenge_id, code, subject=b"mine") is Verdict.MATCH


async def test_a_code_may_be_typed_with_blanks_and_dashes(acts):
    issued = await acts.send()
    code = await acts.code(issued.challenge_id)
    typed = f" {code[:3]}-{code[3:]} "
    assert await acts.verdict(issued.challenge_id, typed) is Verdict.MATCH


async def test_what_is_closed_keeps_no_code(acts):
    """Neither sealed nor digested, however it was closed."""
    approved, exhausted, cancelled = [
        (await acts.send(purpose=purpose)).challenge_id
        for purpose in (Purpose.SIGN_IN, Purpose.RESET, Purpose.BIND)
    ]
    await acts.check(approved, await acts.code(approved))
    for _ in range(5):
        await acts.check(exhausted, "-")
    await acts.store.cancel(SHOP.id, cancelled, acts.now)
    for challenge_id in (approved, exhausted, cancelled):
        assert (await acts.store.challenge(SHOP.id, challenge_id)).draws == ()


async def test_a_cancelled_challenge_takes_no_answer(acts):
    """Cancelling twice is the same as once, and what ended otherwise stays as it ended."""
    issued = await acts.send()
    code = await acts.code(issued.challenge_id)
    first = await acts.store.cancel(SHOP.id, issued.challenge_id, acts.now)
    acts.later(MINUTE)
    assert await acts.store.cancel(SHOP.id, issued.challenge_id, acts.now) == first
    assert await acts.verdict(issued.challenge_id, code) is Verdict.CANCELLED
    again = await acts.send()
    await acts.check(again.challenge_id, await acts.code(again.challenge_id))
    kept = await acts.store.cancel(SHOP.id, again.challenge_id, acts.now)
    assert kept.state is State.APPROVED


async def test_a_closed_challenge_makes_room_for_a_new_one(store):
    """Used, exhausted, expired or cancelled: the next send opens another."""
    acts = Acts(store, quotas=())
    seen = set()

    async def opened():
        issued = await acts.send()
        assert issued.opened
        assert issued.attempts_left == 5
        seen.add(issued.challenge_id)
        return issued

    used = await opened()
    await acts.check(used.challenge_id, await acts.code(used.challenge_id))
    exhausted = await opened()
    for _ in range(5):
        await acts.check(exhausted.challenge_id, "-")
    cancelled = await opened()
    await acts.store.cancel(SHOP.id, cancelled.challenge_id, acts.now)
    expired = await opened()
    acts.now = expired.expires_at
    last = await opened()
    assert len(seen) == 5
    slot = (await acts.store.challenge(SHOP.id, last.challenge_id)).slot
    assert (await acts.store.latest(SHOP.id, slot)).id == last.challenge_id


async def test_parallel_first_sends_open_one_challenge(acts):
    """Of many sends for one key at once, one opens and the others extend."""
    told = await at_once(acts.send() for _ in range(10))
    assert told == ["issued"] * 10
    issued = await acts.send()
    assert not issued.opened
    assert len(await acts.store.deliveries(SHOP.id, issued.challenge_id)) == 11
    assert (await acts.send(to=ANN)).challenge_id == issued.challenge_id


async def test_one_challenge_is_open_also_where_the_clock_stepped_back(acts, monkeypatch):
    """A new one follows the last one of its slot, so that a resend finds it, and not that one."""
    used = await acts.send()
    await acts.check(used.challenge_id, await acts.code(used.challenge_id))
    monkeypatch.setattr("watchword.domain.challenge.time.time_ns", lambda: 1)
    fresh = await acts.send()
    assert fresh.opened
    assert serial(fresh.challenge_id) == serial(used.challenge_id) + 1
    again = await acts.send()
    assert (again.opened, again.challenge_id) == (False, fresh.challenge_id)


async def test_two_that_drew_one_serial_are_two_challenges(acts, monkeypatch):
    monkeypatch.setattr("watchword.domain.challenge.time.time_ns", lambda: 10**18)
    monkeypatch.setattr("watchword.domain.challenge.os.urandom", bytes)
    sent = [await acts.send(subject=subject) for subject in (b"a", b"b", b"c")]
    numbers = [serial(one.challenge_id) for one in sent]
    assert numbers == [numbers[0], numbers[0] + 1, numbers[0] + 2]
    for one, subject in zip(sent, (b"a", b"b", b"c"), strict=True):
        code = await acts.code(one.challenge_id)
        judged = await acts.check(one.challenge_id, code, subject=subject)
        assert judged.verdict is Verdict.MATCH
