"""A test number skips send limits and carriers. Everything else holds for it too."""

import msgspec
import pytest

from tests.contract.acting import ANN, BANK, BOB, DAY, HOUR, MINUTE, NOW, SHOP, Acts
from watchword.domain.app import TestNumber as Number  # pytest would collect its own name
from watchword.domain.challenge import Verdict
from watchword.domain.quota import Quota, Scope
from watchword.errors import FailureBudgetSpent, QuotaExceeded, ResendTooSoon

CODE = "424242"


@pytest.fixture
def acts(store):
    return Acts(store, quotas=(Quota(Scope.DESTINATION, 1, HOUR), Quota(Scope.APP, 2, HOUR)))


@pytest.fixture
def shop(acts):
    """The shop, with Ann's phone as a test number until tomorrow."""
    number = Number(
        destination=acts.house.person(SHOP.id, ANN).hex(),
        masked=ANN.masked,
        code=acts.ring.test_digest(SHOP.id, CODE),
        ends_at=NOW + DAY,
    )
    return msgspec.structs.replace(SHOP, test_numbers=(number,))


async def test_its_fixed_code_is_right_and_nothing_is_sent(acts, shop):
    issued = await acts.send(shop)
    assert issued.delivery is None
    assert await acts.store.next_due("sms") is None
    assert await acts.store.deliveries(SHOP.id, issued.challenge_id) == []
    assert await acts.verdict(issued.challenge_id, CODE, app=shop) is Verdict.MATCH


async def test_it_neither_meets_nor_spends_a_limit(acts, shop):
    for _ in range(5):
        await acts.send(shop)
    await acts.send(shop, BOB)
    with pytest.raises(QuotaExceeded):
        await acts.send(shop, BOB)


async def test_its_code_is_accepted_once(acts, shop):
    issued = await acts.send(shop)
    await acts.check(issued.challenge_id, CODE, shop)
    assert await acts.verdict(issued.challenge_id, CODE, app=shop) is Verdict.ALREADY_USED


async def test_its_attempts_and_failures_are_counted(acts, shop):
    for _ in range(30):
        issued = await acts.send(shop)
        await acts.check(issued.challenge_id, "-")
    with pytest.raises(FailureBudgetSpent):
        await acts.send(shop)


async def test_its_code_expires_and_its_resend_waits(store, shop):
    acts = Acts(store, resend_interval=MINUTE)
    issued = await acts.send(shop)
    with pytest.raises(ResendTooSoon):
        await acts.send(shop)
    acts.now = issued.expires_at
    assert await acts.verdict(issued.challenge_id, CODE, app=shop) is Verdict.EXPIRED


async def test_its_code_is_right_nowhere_else(acts, shop):
    """Not for another number, nor for another app's challenge for the same one."""
    other = await acts.send(shop, BOB)
    assert await acts.verdict(other.challenge_id, CODE, app=shop) is Verdict.MISMATCH
    bank = await acts.send(BANK, ANN)
    assert await acts.verdict(bank.challenge_id, CODE, app=BANK) is Verdict.MISMATCH


async def test_it_is_an_ordinary_number_again_after_its_end(acts, shop):
    acts.now = NOW + DAY
    issued = await acts.send(shop)
    assert issued.delivery is not None
    assert len(await acts.lease()) == 1


async def test_its_code_is_not_right_for_a_real_challenge_once_it_is_removed(acts, shop):
    known = await acts.send(shop)
    assert await acts.verdict(known.challenge_id, CODE) is Verdict.MISMATCH
    real = await acts.send(SHOP)
    assert real.opened
    assert real.challenge_id != known.challenge_id
    assert real.delivery is not None
    assert await acts.verdict(real.challenge_id, CODE) is Verdict.MISMATCH
    assert await acts.verdict(real.challenge_id, await acts.code(real.challenge_id)) == "match"


async def test_a_number_becomes_one_while_a_real_challenge_is_open(acts, shop):
    """Its next send answers to the fixed code, and the real code stays that of the real one."""
    real = await acts.send(SHOP)
    issued = await acts.send(shop)
    assert issued.delivery is None
    assert await acts.verdict(real.challenge_id, CODE, app=shop) is Verdict.MISMATCH
    assert await acts.verdict(issued.challenge_id, CODE, app=shop) is Verdict.MATCH
