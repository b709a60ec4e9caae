"""Resource directories: who may have one, what a used code makes, and what ends them."""

import re

import pytest

from tests.contract.acting import SHOP, TICK
from tests.unit.directory.clouds import MA_NAME, PHONE, SPELLED, became, refusal
from watchword.directory.aliyun.accounts import NAME
from watchword.directory.aliyun.refusals import (
    AlreadyEnabled,
    InAnotherDirectory,
    MembersExist,
    NameMalformed,
    NotEnabled,
    NotInUse,
)
from watchword.domain.challenge import Verdict
from watchword.errors import AccessDenied, RecordConflict


@pytest.fixture
def directories(world):
    return world.directories


@pytest.fixture
def prepare(world, acts, cloud):
    """A new management account for the caller."""

    def ask(account=cloud, name=MA_NAME, by=world):
        return by.directories.prepare_enabling(account.id, name, PHONE, SPELLED, acts.now)

    return ask


@pytest.fixture
def enable_new(prepare, acts):
    """As a right code does it."""

    async def ask(**wish):
        prepared = await prepare(**wish)
        await acts.store.write(prepared.writes, acts.now)
        return prepared

    return ask


async def test_an_account_may_manage_a_directory_itself(world, directories, acts, cloud):
    assert await directories.may_enable(cloud.id, acts.now) == cloud
    acts.later(TICK)
    directory, manager = await directories.enable(cloud.id, acts.now)
    assert re.fullmatch(r"rd-[a-z0-9]{10}", directory.id)
    assert re.fullmatch(r"r-[a-z0-9]{6}", directory.root_folder_id)
    assert (directory.manager_id, directory.members) == (cloud.id, 0)
    assert (manager.directory_id, manager.manages) == (directory.id, True)
    assert manager.joined_at == manager.modified_at == directory.created_at == acts.now
    assert await world.accounts.account(cloud.id, acts.now) == manager
    assert await directories.of(cloud, acts.now) == (directory, manager)


async def test_who_manages_a_directory_has_no_second_one(directories, acts, manager, prepare):
    for again in (
        directories.may_enable(manager.id, acts.now),
        directories.enable(manager.id, acts.now),
        prepare(),
    ):
        assert await refusal(again) is AlreadyEnabled


async def test_a_member_has_no_directory_of_its_own(directories, acts, member, prepare):
    for asked in (
        directories.may_enable(member.id, acts.now),
        directories.enable(member.id, acts.now),
        prepare(account=member),
    ):
        assert await refusal(asked) is InAnotherDirectory


async def test_who_is_not_there_enables_nothing(directories, acts):
    assert await refusal(directories.may_enable("nobody", acts.now)) is AccessDenied
    assert await refusal(directories.enable("nobody", acts.now)) is AccessDenied


async def test_an_account_in_no_directory_is_told_so(directories, acts, cloud):
    assert await refusal(directories.of(cloud, acts.now)) is NotInUse
    for asked in (
        directories.destroy(cloud.id, acts.now),
        directories.members(cloud.id, acts.now),
        directories.member(cloud.id, cloud.id, acts.now),
    ):
        assert await refusal(asked) is NotEnabled


# With a new management account


async def test_preparing_writes_nothing(world, acts, cloud, prepare):
    await prepare()
    assert await world.accounts.accounts(acts.now) == [cloud]


async def test_a_new_manager_is_made_and_the_caller_becomes_a_member(
    world, directories, acts, cloud, enable_new
):
    acts.later(TICK)
    enabled = await enable_new()
    manager, directory = enabled.account, enabled.directory
    assert await world.accounts.by_name(MA_NAME.upper(), acts.now) == manager
    assert (manager.app_id, manager.manages, manager.is_resource) == (cloud.app_id, True, False)
    assert world.accounts.phone(manager) == SPELLED
    (caller,) = (await directories.members(manager.id, acts.now))[1]
    assert (caller.id, caller.directory_id, caller.manages) == (cloud.id, directory.id, False)
    assert (caller.invited, caller.is_resource, caller.joined_at) == (True, False, acts.now)
    for account in (caller, manager):
        assert await directories.of(account, acts.now) == (directory, manager)
    assert await refusal(directories.may_enable(cloud.id, acts.now)) is InAnotherDirectory
    assert await refusal(directories.destroy(manager.id, acts.now)) is MembersExist
    assert await refusal(directories.destroy(cloud.id, acts.now)) is NotEnabled


async def test_a_right_code_enables_and_a_wrong_one_does_not(directories, acts, cloud, prepare):
    issued = await acts.send(to=PHONE)
    for code, verdict in (
        (await acts.wrong(issued.challenge_id), Verdict.MISMATCH),
        (await acts.code(issued.challenge_id), Verdict.MATCH),
    ):
        prepared = await prepare()
        effect = prepared.writes
        assert await acts.verdict(issued.challenge_id, code, effect=effect) is verdict
    assert await directories.of(cloud, acts.now) == (prepared.directory, prepared.account)


async def test_a_name_that_is_anothers_is_named_in_the_act(world, acts, cloud, prepare):
    """And the code of who asked for it stays good."""
    await world.accounts.create(name=MA_NAME.title(), now=acts.now)
    issued, prepared = await acts.send(), await prepare()
    code = await acts.code(issued.challenge_id)
    with pytest.raises(RecordConflict) as conflict:
        await acts.check(issued.challenge_id, code, effect=prepared.writes)
    assert conflict.value.kind == NAME
    assert await world.directories.may_enable(cloud.id, acts.now) == cloud
    other = await prepare(name="b0@rdadmin.aliyunid.com")
    verdict = await acts.verdict(issued.challenge_id, code, effect=other.writes)
    assert verdict is Verdict.MATCH


@pytest.mark.parametrize("prefix", ["ab", "a" * 50, "A.b_c-d", "1-1", "0a"])
async def test_a_management_account_name_that_may_be(prepare, prefix):
    name = f"{prefix}@rdadmin.aliyunid.com"
    assert (await prepare(name=name)).account.name == name


@pytest.mark.parametrize(
    "name",
    [
        *("", "boss", "@rdadmin.aliyunid.com", "a@rdadmin.aliyunid.com"),
        *(f"{'a' * 51}@rdadmin.aliyunid.com", "-a@rdadmin.aliyunid.com"),
        *("a_@rdadmin.aliyunid.com", "a..b@rdadmin.aliyunid.com", "a-_b@rdadmin.aliyunid.com"),
        *("ä b@rdadmin.aliyunid.com", "аb@rdadmin.aliyunid.com", "a1@rdadmin.aliyunid.com\n"),
        *("boss@rdadmin.aliyunid.com.cn", "boss@aliyunid.com", "a@b@rdadmin.aliyunid.com"),
    ],
)
async def test_a_management_account_name_that_may_not_be(prepare, name):
    assert await refusal(prepare(name=name)) is NameMalformed


# Its end


async def test_a_directory_without_members_can_be_destroyed_and_had_anew(
    world, directories, acts, cloud, manager
):
    await directories.rename(manager.id, manager.id, "Head office", acts.now)
    await directories.destroy(manager.id, acts.now)
    left = await world.accounts.account(cloud.id, acts.now)
    assert (left.directory_id, left.manages, left.joined_at, left.display_name) == (
        *("", False, None, ""),
    )
    assert await refusal(directories.of(manager, acts.now)) is NotInUse
    assert await refusal(directories.destroy(manager.id, acts.now)) is NotEnabled
    for kind in ("aliyun_directory", "aliyun_display_name"):
        assert await acts.store.records(kind, acts.now) == []
    directory, _ = await directories.enable(cloud.id, acts.now)
    assert directory.id != manager.directory_id


async def test_a_directory_with_members_is_not_destroyed(directories, acts, manager, member):
    assert await refusal(directories.destroy(manager.id, acts.now)) is MembersExist
    assert await refusal(directories.destroy(member.id, acts.now)) is NotEnabled


# Many at once


async def test_of_20_at_once_in_two_processes_one_enables(world, far_world, acts, cloud):
    worlds = (world, far_world)
    told = await became(worlds[n % 2].directories.enable(cloud.id, acts.now) for n in range(20))
    assert told == {"done": 1, AlreadyEnabled: 19}
    assert len(await acts.store.records("aliyun_directory", acts.now)) == 1


async def test_of_20_codes_at_once_one_enables(world, acts, cloud, prepare):
    """The others keep their codes, though each made a name of its own, and are told why."""
    checks = []
    for n in range(20):
        issued = await acts.send(subject=str(n).encode())
        effect = (await prepare(name=f"boss{n}@rdadmin.aliyunid.com")).writes
        code = await acts.code(issued.challenge_id)
        checks.append(acts.check(issued.challenge_id, code, effect=effect))
    assert await became(checks) == {"done": 1, RecordConflict: 19}
    assert len(await acts.store.records("aliyun_directory", acts.now)) == 1
    assert len(await world.accounts.accounts(acts.now)) == 2
    assert await refusal(prepare()) is InAnotherDirectory


async def test_two_modes_at_once_make_one_directory(world, acts, cloud, prepare):
    """Whichever comes first: the caller manages a directory or is a member of one, never both."""
    issued, prepared = await acts.send(), await prepare()
    code = await acts.code(issued.challenge_id)
    told = await became(
        [
            acts.check(issued.challenge_id, code, effect=prepared.writes),
            *(world.directories.enable(cloud.id, acts.now) for _ in range(5)),
        ]
    )
    assert told["done"] == 1
    assert len(await acts.store.records("aliyun_directory", acts.now)) == 1


async def test_a_double_click_is_told_of_the_caller_before_the_name(acts, prepare):
    """Of two equal acts the second would fail on both; only judging it anew tells the truth."""
    first, second = await prepare(), await prepare()
    await acts.store.write(first.writes, acts.now)
    with pytest.raises(RecordConflict) as conflict:
        await acts.store.write(second.writes, acts.now)
    assert conflict.value.kind != NAME


async def test_one_name_is_one_managers_though_many_callers_ask_at_once(world, acts, prepare):
    callers = [await world.accounts.create(name=f"C{n}", now=acts.now) for n in range(10)]
    effects = [await prepare(account=caller) for caller in callers]
    told = await became(acts.store.write(one.writes, acts.now) for one in effects)
    assert told == {"done": 1, RecordConflict: 9}


async def test_a_suspension_meanwhile_is_not_overwritten(world, acts, cloud, prepare):
    prepared = await prepare()
    await world.accounts.suspend(cloud.id, acts.now)
    issued = await acts.send()
    code = await acts.code(issued.challenge_id, SHOP)
    with pytest.raises(RecordConflict):
        await acts.check(issued.challenge_id, code, effect=prepared.writes)
    await acts.check(issued.challenge_id, code, effect=(await prepare()).writes)
    assert (await world.accounts.account(cloud.id, acts.now)).suspended


async def test_nothing_is_remembered_of_a_directory(world, far_world, acts, cloud):
    """What another process has just changed is judged as it is, a second or not."""
    await world.directories.enable(cloud.id, acts.now)
    assert await far_world.directories.of(cloud, acts.now)
    await world.directories.destroy(cloud.id, acts.now)
    assert await refusal(far_world.directories.of(cloud, acts.now)) is NotInUse
    assert await far_world.directories.enable(cloud.id, acts.now)
