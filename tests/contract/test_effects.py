"""What a used code changes is written in the act that consumes it, or the code is not consumed."""

import asyncio
from collections import Counter

import pytest

from tests.contract.acting import MINUTE, SHOP, at_once, once
from watchword.domain.challenge import State, Verdict
from watchword.errors import RecordConflict
from watchword.ports import Write


def put(key="ann", version=0, body=b"{}", kind="account", **more):
    return Write(kind=kind, key=key, version=version, body=body, **more)


async def standing(acts):
    issued = await acts.send()
    return issued.challenge_id, await acts.code(issued.challenge_id)


async def test_a_match_writes_its_effect(acts):
    challenge_id, code = await standing(acts)
    effect = [put(), put("ann@example.com", kind="address")]
    assert await acts.verdict(challenge_id, code, effect=effect) is Verdict.MATCH
    record = await acts.store.record("account", "ann", acts.now)
    assert (record.version, record.body) == (1, b"{}")
    assert await acts.store.record("address", "ann@example.com", acts.now)


async def test_a_wrong_answer_writes_nothing(acts):
    challenge_id, _ = await standing(acts)
    assert await acts.verdict(challenge_id, "-", effect=[put()]) is Verdict.MISMATCH
    assert await acts.store.record("account", "ann", acts.now) is None


async def test_a_refused_effect_leaves_the_code_as_it_was(acts):
    """Neither consumed nor tried, nothing of the effect written; the error names what was in the
    way, and another effect may use the code."""
    await acts.store.write([put("taken")], acts.now)
    challenge_id, code = await standing(acts)
    before = await acts.store.challenge(SHOP.id, challenge_id)
    for _ in range(7):
        with pytest.raises(RecordConflict) as refusal:
            await acts.check(challenge_id, code, effect=[put("free"), put("taken")])
        assert (refusal.value.kind, refusal.value.key) == ("account", "taken")
    assert await acts.store.challenge(SHOP.id, challenge_id) == before
    assert await acts.store.record("account", "free", acts.now) is None
    assert await acts.verdict(challenge_id, code, effect=[put("free")]) is Verdict.MATCH


async def test_a_refused_effect_spends_nothing_of_the_failure_budget(acts):
    await acts.store.write([put()], acts.now)
    challenge_id, code = await standing(acts)
    for _ in range(40):
        with pytest.raises(RecordConflict):
            await acts.check(challenge_id, code, network="a", effect=[put()])
    assert await acts.verdict(challenge_id, code, network="a") is Verdict.MATCH


async def test_a_refused_effect_is_not_remembered_under_its_key(acts):
    await acts.store.write([put()], acts.now)
    challenge_id, code = await standing(acts)
    with pytest.raises(RecordConflict):
        await acts.check(challenge_id, code, effect=[put()], once=once("k"))
    await acts.store.write([put(version=1, body=None)], acts.now)
    judged = await acts.check(challenge_id, code, effect=[put()], once=once("k"))
    assert (judged.verdict, judged.replayed) == (Verdict.MATCH, False)


async def test_30_checks_at_once_with_one_effect_make_one_record(acts):
    challenge_id, code = await standing(acts)
    told = Counter(await at_once(acts.check(challenge_id, code, effect=[put()]) for _ in range(30)))
    assert told == {Verdict.MATCH: 1, Verdict.ALREADY_USED: 29}
    assert (await acts.store.record("account", "ann", acts.now)).version == 1


async def test_of_many_challenges_with_one_unique_claim_one_wins(acts):
    """The others keep their codes."""
    codes = {}
    for n in range(10):
        issued = await acts.send(subject=str(n).encode())
        codes[issued.challenge_id] = await acts.code(issued.challenge_id)
    told = Counter(
        await at_once(acts.check(each, code, effect=[put()]) for each, code in codes.items())
    )
    assert told == {Verdict.MATCH: 1, "RecordConflict": 9}
    states = [(await acts.store.challenge(SHOP.id, each)).state for each in codes]
    assert Counter(states) == {State.APPROVED: 1, State.PENDING: 9}


async def test_an_effect_may_ask_for_a_version(acts):
    """Whoever read an older one has to read again."""
    await acts.store.write([put(body=b"1")], acts.now)
    challenge_id, code = await standing(acts)
    for version in (0, 2):
        with pytest.raises(RecordConflict):
            await acts.check(challenge_id, code, effect=[put(version=version, body=b"2")])
    effect = [put(version=1, body=b"2")]
    assert await acts.verdict(challenge_id, code, effect=effect) is Verdict.MATCH
    record = await acts.store.record("account", "ann", acts.now)
    assert (record.version, record.body) == (2, b"2")


async def test_writes_are_applied_all_or_none(acts):
    with pytest.raises(RecordConflict):
        await acts.store.write([put("a"), put("b", version=3), put("c")], acts.now)
    assert await acts.store.records("account", acts.now) == []


async def test_of_parallel_changes_to_one_version_one_wins(acts):
    await acts.store.write([put()], acts.now)
    change = [put(version=1, body=b"new")]
    told = await asyncio.gather(
        *(acts.store.write(change, acts.now) for _ in range(20)), return_exceptions=True
    )
    assert Counter(map(type, told)) == {type(None): 1, RecordConflict: 19}


async def test_a_record_may_be_deleted_at_its_version(acts):
    await acts.store.write([put()], acts.now)
    with pytest.raises(RecordConflict):
        await acts.store.write([put(version=2, body=None)], acts.now)
    await acts.store.write([put(version=1, body=None)], acts.now)
    assert await acts.store.record("account", "ann", acts.now) is None
    with pytest.raises(RecordConflict):
        await acts.store.write([put(version=1, body=None)], acts.now)


async def test_a_record_whose_time_is_over_is_absent(acts):
    """To looks and to conditions alike, swept or not; then its place is free."""
    ends_at = acts.now + MINUTE
    await acts.store.write([put(expires_at=ends_at)], acts.now)
    with pytest.raises(RecordConflict):
        await acts.store.write([put()], acts.now)
    assert await acts.store.record("account", "ann", acts.now)
    acts.now = ends_at
    assert await acts.store.record("account", "ann", acts.now) is None
    assert await acts.store.records("account", acts.now) == []
    for body in (b"late", None):
        with pytest.raises(RecordConflict):
            await acts.store.write([put(version=1, body=body)], acts.now)
    await acts.store.write([put()], acts.now)
    assert (await acts.store.record("account", "ann", acts.now)).version == 1


async def test_records_are_listed_by_kind_in_the_order_of_their_keys(acts):
    await acts.store.write([put("b"), put("a"), put("c", kind="other")], acts.now)
    assert [one.key for one in await acts.store.records("account", acts.now)] == ["a", "b"]


@pytest.mark.parametrize("odd", ["\0", "\ud800"], ids=["NUL", "half a character"])
async def test_a_key_that_nobody_can_write_has_no_record(acts, odd):
    """Whoever asks for it, by a token that he made up, is told so."""
    await acts.store.write([put()], acts.now)
    for key in (odd, "ann" + odd, odd + "ann"):
        assert await acts.store.record("account", key, acts.now) is None
