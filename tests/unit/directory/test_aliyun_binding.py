"""Binding a phone: whose may be bound by whom, and that it is bound once."""

import asyncio

import pytest
from msgspec.structs import replace

from tests.contract.acting import TICK
from tests.unit.directory.clouds import (
    MA_NAME,
    OTHER_PHONE,
    OTHER_SPELLED,
    PHONE,
    SPELLED,
    became,
    refusal,
)
from watchword.directory.aliyun.refusals import (
    AccountUnknown,
    AlreadyEnabled,
    CallerIsNoManager,
    InAnotherDirectory,
    NotEnabled,
    PhoneBound,
    PhoneMissing,
    TypeMismatch,
)
from watchword.domain.challenge import Verdict
from watchword.errors import AccessDenied, RecordConflict


@pytest.fixture
def may_bind(world, acts):
    def ask(caller, member_id):
        return world.directories.may_bind(caller.id, member_id, acts.now)

    return ask


@pytest.fixture
def prepare(world, acts):
    def ask(caller, member_id, phone=PHONE, spelled=SPELLED, by=world):
        return by.directories.prepare_binding(caller.id, member_id, phone, spelled, acts.now)

    return ask


@pytest.fixture
async def alone(world, acts):
    """A cloud account in no directory."""
    return await world.accounts.create(name="Alone", now=acts.now)


@pytest.fixture
async def founder(world, acts):
    """A cloud account that has made a management account for itself, which comes second."""
    cloud = await world.accounts.create(name="Founder", now=acts.now)
    prepared = await world.directories.prepare_enabling(cloud.id, MA_NAME, PHONE, SPELLED, acts.now)
    await acts.store.write(prepared.writes, acts.now)
    return await world.accounts.account(cloud.id, acts.now), prepared.account


async def test_a_code_may_be_sent_for_a_member(may_bind, bind, manager, member):
    """A phone that is bound already is told by the binding alone."""
    assert await may_bind(manager, member.id) == member
    bound = await bind(member)
    assert await may_bind(manager, member.id) == bound


async def test_who_is_elsewhere_is_told_so_whatever_the_caller_is(
    may_bind, manager, member, stranger, add_member, alone
):
    theirs = await add_member(of=stranger)
    for caller in (manager, member, alone):
        for target in (theirs, stranger):
            assert await refusal(may_bind(caller, target.id)) is InAnotherDirectory
    assert await refusal(may_bind(alone, member.id)) is InAnotherDirectory


async def test_who_manages_nothing_sends_nothing(may_bind, alone, member, manager, add_member):
    sibling = await add_member()
    for caller, target in (
        (alone, alone.id),
        (alone, "nobody"),
        (member, member.id),
        (member, sibling.id),
        (member, manager.id),
        (member, alone.id),
    ):
        assert await refusal(may_bind(caller, target)) is NotEnabled


async def test_whom_nobody_knows_is_told_so(may_bind, prepare, manager):
    for target in ("1234567890123456", "", "\ud800"):
        assert await refusal(may_bind(manager, target)) is AccountUnknown
        assert await refusal(prepare(manager, target)) is AccountUnknown


async def test_a_manager_and_a_cloud_account_have_their_own_way(may_bind, founder, alone):
    cloud, boss = founder
    assert await refusal(may_bind(boss, boss.id)) is AlreadyEnabled
    assert await refusal(may_bind(boss, cloud.id)) is InAnotherDirectory
    assert await refusal(may_bind(boss, alone.id)) is InAnotherDirectory


async def test_a_caller_that_is_not_there_is_denied(may_bind, prepare, member, alone):
    nobody = replace(alone, id="nobody")
    assert await refusal(may_bind(nobody, member.id)) is AccessDenied
    assert await refusal(prepare(nobody, member.id)) is AccessDenied


async def test_who_may_bind_whose(prepare, manager, member, stranger, alone, founder, add_member):
    cloud, boss = founder
    theirs = await add_member(of=stranger)
    for caller, target, refused in (
        (alone, theirs, CallerIsNoManager),
        (member, theirs, CallerIsNoManager),
        (manager, theirs, InAnotherDirectory),
        (manager, stranger, InAnotherDirectory),
        (manager, alone, InAnotherDirectory),
        (manager, manager, AlreadyEnabled),
        (boss, cloud, TypeMismatch),
    ):
        assert await refusal(prepare(caller, target.id)) is refused


async def test_a_right_code_binds_the_phone_and_a_wrong_one_does_not(
    world, acts, prepare, manager, member
):
    issued = await acts.send(to=PHONE)
    acts.later(TICK)
    prepared = await prepare(manager, member.id)
    for code, verdict, spelled in (
        (await acts.wrong(issued.challenge_id), Verdict.MISMATCH, ""),
        (await acts.code(issued.challenge_id), Verdict.MATCH, SPELLED),
    ):
        found = await acts.verdict(issued.challenge_id, code, effect=prepared.writes)
        account = await world.accounts.account(member.id, acts.now)
        assert (found, world.accounts.phone(account)) == (verdict, spelled)
    assert account == prepared.account
    assert (account.masked, account.modified_at) == (PHONE.masked, acts.now)


async def test_a_phone_is_bound_once(prepare, bind, manager, member):
    await bind(member)
    for phone, spelled in ((PHONE, SPELLED), (OTHER_PHONE, OTHER_SPELLED)):
        assert await refusal(prepare(manager, member.id, phone, spelled)) is PhoneBound


async def test_no_write_shows_whose_phone_it_is(prepare, manager, member):
    prepared = await prepare(manager, member.id)
    written = b"".join(
        f"{write.kind} {write.key} ".encode() + (write.body or b"") for write in prepared.writes
    )
    assert b"2025550100" not in written
    assert "2025550100" not in repr(prepared)


# Many at once


async def test_of_20_codes_at_once_one_phone_is_bound(
    world, far_world, acts, prepare, manager, member
):
    """Two phones in turn, in two processes; the codes of the others are not used up."""
    checks, phones = [], [(PHONE, SPELLED), (OTHER_PHONE, OTHER_SPELLED)]
    for n in range(20):
        phone, spelled = phones[n % 2]
        issued = await acts.send(to=phone, subject=str(n).encode())
        by = (world, far_world)[n // 2 % 2]
        effect = (await prepare(manager, member.id, phone, spelled, by=by)).writes
        code = await acts.code(issued.challenge_id)
        checks.append(acts.check(issued.challenge_id, code, effect=effect))
    assert await became(checks) == {"done": 1, RecordConflict: 19}
    account = await world.accounts.account(member.id, acts.now)
    assert world.accounts.phone(account) in (SPELLED, OTHER_SPELLED)
    assert await refusal(prepare(manager, member.id)) is PhoneBound


async def test_a_change_of_the_member_meanwhile_has_it_judged_anew(
    world, acts, prepare, manager, member
):
    """Suspended or renamed: nothing of that is lost."""
    for change in (
        world.accounts.suspend(member.id, acts.now),
        world.directories.rename(manager.id, member.id, "Other", acts.now),
    ):
        prepared = await prepare(manager, member.id)
        await change
        with pytest.raises(RecordConflict):
            await acts.store.write(prepared.writes, acts.now)
    await acts.store.write((await prepare(manager, member.id)).writes, acts.now)
    account = await world.accounts.account(member.id, acts.now)
    assert (account.suspended, account.display_name, account.has_phone) == (True, "Other", True)


async def test_a_switch_and_a_binding_at_once_fit_together(world, acts, bind, manager, member):
    """A cloud account has a phone, whichever comes first."""

    async def never():
        return False

    told = await asyncio.gather(
        world.directories.switch(manager.id, member.id, False, acts.now, has_keys=never),
        bind(member),
        return_exceptions=True,
    )
    account = await world.accounts.account(member.id, acts.now)
    assert account.has_phone
    assert isinstance(told[0], PhoneMissing) is account.is_resource
