"""P3: guessing is bounded across codes, per app and destination, whatever is sent again."""

import pytest

from tests.contract.acting import ANN, BANK, BOB, DAY, HOUR, MINUTE, SHOP, TICK, Acts, at_once
from watchword.domain.challenge import Verdict
from watchword.domain.destination import mailbox
from watchword.domain.failures import Budget
from watchword.domain.purpose import Purpose
from watchword.domain.quota import Quota, Scope
from watchword.errors import FailureBudgetSpent


async def spent(act) -> FailureBudgetSpent:
    with pytest.raises(FailureBudgetSpent) as refusal:
        await act
    return refusal.value


@pytest.fixture
async def right(acts):
    """Answer rightly, wherever from, through a challenge that was opened before."""
    issued = await acts.send(purpose=Purpose.CHANGE, ttl=60 * DAY)
    code = await acts.code(issued.challenge_id)

    async def check(**client):
        return await acts.check(issued.challenge_id, code, **client)

    return check


async def test_ten_wrong_codes_from_one_network_are_the_last(acts, right):
    """The eleventh try is refused for half an hour after the first, even with the right code."""
    for minute in range(10):
        acts.at(minute * MINUTE)
        await acts.miss(1, network="192.0.2.1")
    refusal = await spent(right(network="192.0.2.1"))
    assert (refusal.retry_in, refusal.amount) == (21 * MINUTE, 10)
    acts.at(30 * MINUTE - TICK)
    assert (await spent(right(network="192.0.2.1"))).retry_in == TICK
    acts.later(TICK)
    assert (await right(network="192.0.2.1")).verdict is Verdict.MATCH


async def test_another_network_is_heard_until_thirty(acts, right):
    for network in ("a", "b", "c"):
        assert (await acts.check(await fresh(acts), "-", network="z")).verdict
        await acts.miss(9, network=network)
    assert (await spent(right(network="z"))).amount == 30
    assert (await spent(right())).amount == 30


async def fresh(acts):
    return (await acts.send()).challenge_id


async def test_unknown_networks_have_thirty_in_all(acts, right):
    await acts.miss(30)
    refusal = await spent(right())
    assert (refusal.amount, refusal.retry_in) == (30, 30 * MINUTE)


async def test_failures_add_up_over_challenges_resends_and_purposes(acts, right):
    purposes = (Purpose.SIGN_IN, Purpose.RESET, Purpose.BIND)
    for purpose in purposes:
        await acts.miss(10, purpose=purpose)
    await spent(right())


async def test_failures_add_up_over_subjects_and_tags(acts):
    """Another binding, or a +tag, is another challenge under the same budget."""
    await acts.miss(15, to=mailbox("ann@example.com"), channel="email", subject=b"one")
    await acts.miss(15, to=mailbox("Ann+tag@example.com"), channel="email", subject=b"two")
    await spent(acts.send(to=mailbox("ann@example.com"), channel="email"))


async def test_a_right_answer_clears_all_of_it(acts, right):
    """From every network."""
    await acts.miss(9, network="a")
    await acts.miss(9, network="b")
    assert (await right(network="a")).verdict is Verdict.MATCH
    await acts.miss(9, network="b")
    await acts.miss(9, network="a")


async def test_a_resend_clears_nothing(acts):
    for _ in range(10):
        await acts.miss(1, network="a")
        await acts.send()
    await spent(acts.check(await fresh(acts), "-", network="a"))


async def test_a_spent_budget_refuses_before_an_attempt_is_counted(acts):
    await acts.miss(8, network="a")
    standing = await acts.send()
    assert standing.attempts_left == 2
    other = await acts.send(purpose=Purpose.RESET)
    for _ in range(2):
        await acts.check(other.challenge_id, "-", network="a")
    for _ in range(5):
        await spent(acts.check(standing.challenge_id, "-", network="a"))
        await spent(acts.check(other.challenge_id, "-", network="a"))
    assert (await acts.store.challenge(SHOP.id, standing.challenge_id)).attempts_left == 2
    assert (await acts.store.challenge(SHOP.id, other.challenge_id)).attempts_left == 3


async def test_a_spent_budget_refuses_sends_which_then_spend_nothing(store):
    acts = Acts(store, quotas=(Quota(Scope.DESTINATION, 31, DAY),))
    await acts.miss(30)
    for _ in range(5):
        assert (await spent(acts.send())).retry_in == 30 * MINUTE
    acts.later(30 * MINUTE)
    await acts.send()


async def test_a_network_that_failed_ten_times_sends_nothing_either(acts):
    await acts.miss(10, network="a")
    await spent(acts.send(network="a"))
    await acts.send(network="b")


async def test_parallel_wrong_codes_spend_exactly_the_budget(store):
    """50 at once: the network's ten, and not one more."""
    acts = Acts(store, max_attempts=50)
    issued = await acts.send()
    told = await at_once(acts.check(issued.challenge_id, "-", network="a") for _ in range(50))
    assert (told.count("mismatch"), told.count("FailureBudgetSpent")) == (10, 40)
    assert (await acts.store.challenge(SHOP.id, issued.challenge_id)).attempts == 10


async def test_answers_to_a_closed_challenge_spend_nothing(acts):
    """Used, exhausted, expired or cancelled: nothing can be guessed there any more."""
    used = await acts.send()
    await acts.check(used.challenge_id, await acts.code(used.challenge_id))
    exhausted = await acts.send()
    for _ in range(5):
        await acts.check(exhausted.challenge_id, "-", network="a")
    cancelled = await acts.send()
    await acts.store.cancel(SHOP.id, cancelled.challenge_id, acts.now)
    expired = await acts.send(ttl=MINUTE)
    acts.later(MINUTE)
    closed = [used, exhausted, cancelled, expired]
    for issued in closed * 20:
        verdict = await acts.verdict(issued.challenge_id, "-", network="a")
        assert verdict not in (Verdict.MATCH, Verdict.MISMATCH)
    await acts.miss(5, network="a")
    await spent(acts.send(network="a"))


async def test_neither_another_app_nor_another_destination_is_affected(acts):
    await acts.miss(30)
    await spent(acts.send())
    await acts.miss(29, to=BOB)
    await acts.miss(29, app=BANK)


async def a_hundred(acts):
    """A hundred in a row, the last one now."""
    for amount in (30, 30, 30, 10):
        acts.later(31 * MINUTE)
        await acts.miss(amount)


async def test_a_hundred_in_a_row_rest_for_a_day(acts):
    """Until 24 h after the last failure; one more wrong code, and it is a day again."""
    await a_hundred(acts)
    assert (await spent(acts.send())).retry_in == DAY
    acts.later(DAY - TICK)
    await spent(acts.send())
    acts.later(TICK)
    await acts.miss(1)
    assert (await spent(acts.send())).retry_in == DAY


async def test_a_right_answer_ends_the_row(acts, right):
    for amount in (30, 30, 30, 9):
        acts.later(31 * MINUTE)
        await acts.miss(amount)
    acts.later(MINUTE)
    assert (await right()).verdict is Verdict.MATCH
    await acts.miss(29)
    acts.later(31 * MINUTE)
    await acts.send()


async def test_unlocking_forgets_the_failures(acts):
    """Of this destination; False says that there were none."""
    key = acts.house.guesses(SHOP.id, ANN)
    assert not await acts.store.unlock(key)
    await a_hundred(acts)
    await acts.miss(1, to=BOB)
    assert await acts.store.unlock(key)
    await acts.miss(29)
    assert await acts.store.unlock(acts.house.guesses(SHOP.id, BOB))


async def test_a_hard_stop_does_not_end_with_the_day(store):
    acts = Acts(store, budget=Budget(hard_stop=True))
    await a_hundred(acts)
    acts.later(20 * DAY)
    await spent(acts.send())
    assert await acts.store.unlock(acts.house.guesses(SHOP.id, ANN))
    await acts.send()


async def test_failures_are_forgotten_after_30_idle_days(acts):
    """A row that nobody continued does not stand for ever."""
    for amount in (30, 30, 30, 9):
        acts.later(31 * MINUTE)
        await acts.miss(amount)
    acts.later(30 * DAY)
    await acts.sweep()
    await acts.miss(1)
    await acts.send()
    assert await acts.store.unlock(acts.house.guesses(SHOP.id, ANN))


async def test_failures_are_kept_through_29_idle_days(acts):
    for amount in (30, 30, 30, 9):
        acts.later(31 * MINUTE)
        await acts.miss(amount)
    acts.later(29 * DAY)
    await acts.sweep()
    await acts.miss(1)
    await spent(acts.send())


async def test_a_clock_that_steps_back_frees_no_budget(acts):
    await acts.miss(30)
    acts.later(-HOUR)
    refusal = await spent(acts.send())
    acts.later(refusal.retry_in - TICK)
    await spent(acts.send())
    acts.later(TICK)
    await acts.send()


async def test_a_clock_that_steps_back_refuses_nothing_that_was_free(store):
    """Nine at the beginning, one when they no longer count: one is spent, whatever time it is."""
    acts = Acts(store, max_attempts=50)
    await acts.miss(9, network="a")
    acts.later(31 * MINUTE)
    await acts.miss(1, network="a")
    acts.later(-20 * MINUTE)
    await acts.miss(1, network="a")


async def test_a_hard_stop_says_when_it_ends_and_ends_then(store):
    """30 idle days after the last failure, to the microsecond, swept or not."""
    acts = Acts(store, budget=Budget(hard_stop=True))
    await a_hundred(acts)
    acts.later(20 * DAY)
    refusal = await spent(acts.send())
    assert refusal.retry_in == 10 * DAY
    acts.later(refusal.retry_in - TICK)
    assert (await spent(acts.send())).retry_in == TICK
    acts.later(TICK)
    await acts.send()


async def test_failures_are_forgotten_whether_or_not_a_sweep_came_by(acts):
    """Neither the row nor the thirty goes on after 30 idle days."""
    for amount in (30, 30, 30, 9):
        acts.later(31 * MINUTE)
        await acts.miss(amount)
    acts.later(30 * DAY)
    await acts.miss(29)
    await acts.send()
