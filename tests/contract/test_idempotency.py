"""P10: the same idempotency key gives the first answer again, and does nothing a second time."""

import asyncio
import signal

import msgspec
import pytest

from tests.contract.acting import HOUR, MINUTE, NOW, SHOP, TICK, Acts, once
from watchword.domain.challenge import Verdict
from watchword.domain.quota import Quota, Scope
from watchword.errors import (
    FailureBudgetSpent,
    IdempotencyKeyReused,
    QuotaExceeded,
)
from watchword.ports import ONCE_KEPT


def first_told(answer):
    return msgspec.structs.replace(answer, replayed=False)


async def test_a_repeated_send_gives_the_first_answer(acts):
    """Much later too; there is one message, one code and one challenge."""
    issued = await acts.send(once=once("k"))
    code = await acts.code(issued.challenge_id)
    for minutes in (0, 1, 9, 30, 600):
        acts.at(minutes * MINUTE)
        again = await acts.send(once=once("k"))
        assert again.replayed
        assert first_told(again) == issued
    assert len(await acts.store.deliveries(SHOP.id, issued.challenge_id)) == 1
    acts.at(9 * MINUTE)
    assert await acts.verdict(issued.challenge_id, code) is Verdict.MATCH


async def test_the_same_send_at_once_is_one_send(store):
    """Twenty with one key: one message, and one unit of the limit."""
    acts = Acts(store, quotas=(Quota(Scope.DESTINATION, 2, HOUR),))
    told = await asyncio.gather(*(acts.send(once=once("k")) for _ in range(20)))
    assert len({first_told(one) for one in told}) == 1
    assert sum(one.replayed for one in told) == 19
    assert len(await acts.store.deliveries(SHOP.id, told[0].challenge_id)) == 1
    await acts.send()
    with pytest.raises(QuotaExceeded):
        await acts.send()


async def test_a_repeated_wrong_answer_spends_one_attempt(acts):
    issued = await acts.send()
    told = [await acts.check(issued.challenge_id, "-", once=once("k")) for _ in range(10)]
    assert {(one.verdict, one.attempts_left) for one in told} == {(Verdict.MISMATCH, 4)}
    assert [one.replayed for one in told] == [False] + [True] * 9
    assert (await acts.store.challenge(SHOP.id, issued.challenge_id)).attempts == 1


async def test_the_same_wrong_answer_at_once_spends_one_attempt_and_one_failure(acts):
    issued = await acts.send()
    await asyncio.gather(
        *(acts.check(issued.challenge_id, "-", network="a", once=once("k")) for _ in range(20))
    )
    assert (await acts.store.challenge(SHOP.id, issued.challenge_id)).attempts == 1
    await acts.miss(9, network="a")
    with pytest.raises(FailureBudgetSpent):
        await acts.send(network="a")


async def test_a_repeated_match_is_a_match_again(acts):
    """The program that never heard the first answer may ask for it; anyone else is told used."""
    issued = await acts.send()
    code = await acts.code(issued.challenge_id)
    assert await acts.verdict(issued.challenge_id, code, once=once("k")) is Verdict.MATCH
    acts.later(HOUR)
    assert await acts.verdict(issued.challenge_id, code, once=once("k")) is Verdict.MATCH
    assert await acts.verdict(issued.challenge_id, code, once=once("l")) is Verdict.ALREADY_USED


async def test_the_same_right_answer_at_once_is_one_match_told_to_all(acts):
    issued = await acts.send()
    code = await acts.code(issued.challenge_id)
    told = await asyncio.gather(
        *(acts.check(issued.challenge_id, code, once=once("k")) for _ in range(20))
    )
    assert {one.verdict for one in told} == {Verdict.MATCH}
    assert sum(one.replayed for one in told) == 19


async def test_another_request_under_the_same_key_is_refused(acts):
    """And changes nothing."""
    issued = await acts.send(once=once("k"))
    code = await acts.code(issued.challenge_id)
    with pytest.raises(IdempotencyKeyReused):
        await acts.send(once=once("k", "another"))
    await acts.check(issued.challenge_id, "-", once=once("c"))
    with pytest.raises(IdempotencyKeyReused):
        await acts.check(issued.challenge_id, code, once=once("c", "another"))
    assert (await acts.store.challenge(SHOP.id, issued.challenge_id)).attempts == 1
    assert len(await acts.store.deliveries(SHOP.id, issued.challenge_id)) == 1


async def test_a_refusal_is_not_remembered(store):
    """Whoever was told to come back may come back with the same key."""
    acts = Acts(store, quotas=(Quota(Scope.DESTINATION, 1, HOUR),))
    await acts.send()
    with pytest.raises(QuotaExceeded) as refusal:
        await acts.send(once=once("k"))
    acts.later(refusal.value.retry_in)
    assert not (await acts.send(once=once("k"))).replayed


async def test_a_refused_check_is_not_remembered(acts):
    issued = await acts.send()
    code = await acts.code(issued.challenge_id)
    await acts.miss(4)
    await acts.miss(26, subject=b"other")
    with pytest.raises(FailureBudgetSpent):
        await acts.check(issued.challenge_id, code, once=once("k"))
    await acts.store.unlock((await acts.store.challenge(SHOP.id, issued.challenge_id)).destination)
    judged = await acts.check(issued.challenge_id, code, once=once("k"))
    assert (judged.verdict, judged.replayed) == (Verdict.MATCH, False)


@pytest.mark.parametrize("swept", [False, True])
async def test_a_key_is_free_again_after_a_day(acts, swept):
    """To the microsecond, and whether or not somebody swept in between."""
    issued = await acts.send(once=once("k"))
    acts.at(ONCE_KEPT - TICK)
    if swept:
        await acts.sweep()
    assert (await acts.send(once=once("k"))).challenge_id == issued.challenge_id
    acts.at(ONCE_KEPT)
    if swept:
        await acts.sweep()
    again = await acts.send(once=once("k", "another"))
    assert (again.replayed, again.opened) == (False, True)
    assert (await acts.send(once=once("k", "another"))).replayed


async def test_a_send_whose_answer_died_with_the_process_is_answered(acts, doomed, place):
    """Killed between act and answer: the next process gives the answer, and sends nothing."""
    assert await doomed(does="send and die", key="k") == signal.SIGKILL
    store = await place.open()
    try:
        again = await Acts(store).send(once=once("k"))
        assert again.replayed
        assert again.drawn_at == NOW
        assert len(await store.deliveries(SHOP.id, again.challenge_id)) == 1
    finally:
        await store.close()


async def test_a_check_whose_answer_died_with_the_process_is_answered(acts, doomed, place):
    """The code was consumed, so only the key can say that it was right."""
    issued = await acts.send()
    code = await acts.code(issued.challenge_id)
    job = {"challenge_id": issued.challenge_id, "code": code, "key": "k"}
    assert await doomed(does="check and die", **job) == signal.SIGKILL
    store = await place.open()
    try:
        judged = await Acts(store).check(issued.challenge_id, code, once=once("k"))
        assert (judged.verdict, judged.replayed) == (Verdict.MATCH, True)
        late = await Acts(store).check(issued.challenge_id, code)
        assert late.verdict is Verdict.ALREADY_USED
    finally:
        await store.close()
