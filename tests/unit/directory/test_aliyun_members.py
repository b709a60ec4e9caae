"""Members: how they are made, named and listed, who may see them, and which type they are."""

import asyncio

import pytest

from tests.contract.acting import TICK
from tests.unit.directory.clouds import MA_NAME, PHONE, SPELLED, became, refusal, world_on
from tests.unit.directory.proving import SECOND
from watchword.directory.aliyun.refusals import (
    AccountNameMalformed,
    AccountNameTaken,
    AccountUnknown,
    CallerIsNoManager,
    DisplayNameMalformed,
    DisplayNameTaken,
    FolderMalformed,
    FolderUnknown,
    KeyInUse,
    MembersExist,
    NotEnabled,
    PhoneMissing,
    TooManyMembers,
    TypeMismatch,
)

TAGS = (("team", "red"), ("empty", ""))


@pytest.fixture
def directories(world):
    return world.directories


@pytest.fixture
def rename(directories, acts, manager):
    async def ask(account, name, of=manager, **terms):
        return (await directories.rename(of.id, account.id, name, acts.now, **terms)).account

    return ask


@pytest.fixture
def switch(directories, acts, manager):
    async def said(answer):
        return answer

    async def ask(account, to_resource=False, has_keys=False, of=manager, **terms):
        switched = await directories.switch(
            of.id, account.id, to_resource, acts.now, has_keys=lambda: said(has_keys), **terms
        )
        return switched.account

    return ask


async def the_claims(acts):
    """Display names as they are claimed, and whose they are."""
    records = await acts.store.records("aliyun_display_name", acts.now)
    return {record.key.partition(":")[2]: record.body.decode() for record in records}


async def test_a_member_is_a_resource_account_of_its_managers_app(
    world, directories, acts, manager, add_member
):
    acts.later(TICK)
    member = await add_member("Team A", "team-a", tags=TAGS)
    directory, _ = await directories.of(manager, acts.now)
    assert member.name == f"team-a@{directory.id}.aliyunid.com"
    assert (member.is_resource, member.invited, member.app_id) == (True, False, manager.app_id)
    assert (member.display_name, member.tags, member.has_phone) == ("Team A", TAGS, False)
    assert (member.directory_id, member.joined_at) == (directory.id, acts.now)
    assert directory.members == 1
    assert await world.accounts.account(member.id, acts.now) == member
    assert await directories.of(member, acts.now) == (directory, manager)


async def test_a_prefix_is_drawn_for_who_has_none(add_member):
    names = {(await add_member()).name for _ in range(5)}
    assert len(names) == 5


async def test_a_folder_is_the_root_or_unknown(directories, acts, manager, add_member):
    directory, _ = await directories.of(manager, acts.now)
    assert await add_member(folder=directory.root_folder_id)
    assert await refusal(add_member(folder="r-000000x")) is FolderUnknown
    assert await refusal(add_member(folder="root")) is FolderMalformed


async def test_only_a_manager_adds_members(world, acts, add_member, member):
    alone = await world.accounts.create(name="Alone", now=acts.now)
    for nobody in (alone, member):
        assert await refusal(add_member(of=nobody)) is NotEnabled


@pytest.mark.parametrize(
    "name", ["x", "x" * 51, " a", "a ", "a  b", "a\nb", "\ud800a", "a\u200b"], ids=ascii
)
async def test_a_display_name_that_may_not_be(add_member, rename, member, name):
    assert issubclass(await refusal(add_member(name)), DisplayNameMalformed)
    assert issubclass(await refusal(rename(member, name)), DisplayNameMalformed)


@pytest.mark.parametrize("name", ["ab", "x" * 50, "财务 部", "R&D (old)", "a:b"])
async def test_a_display_name_that_may_be(acts, add_member, name):
    assert (await add_member(name)).display_name == name


@pytest.mark.parametrize("prefix", ["a", "a" * 38, "_a", "a-", "a--b", "a b", "ä0"])
async def test_a_prefix_that_may_not_be(add_member, prefix):
    assert issubclass(await refusal(add_member(prefix=prefix)), AccountNameMalformed)


async def test_a_display_name_is_one_members_in_its_directory(
    directories, acts, stranger, add_member
):
    """In whatever case; another directory may have the same."""
    await add_member("Team A")
    assert await refusal(add_member("TEAM a")) is DisplayNameTaken
    assert await add_member("Team A", of=stranger)


async def test_an_account_name_is_one_members(acts, add_member):
    await add_member(prefix="team")
    assert await refusal(add_member("Other", "TEAM")) is AccountNameTaken
    assert await add_member("Other", "team2")


async def test_a_refused_member_is_not_counted(directories, acts, manager, add_member):
    await add_member("Team A")
    await refusal(add_member("Team A"))
    directory, members = await directories.members(manager.id, acts.now)
    assert directory.members == len(members) == 1


async def test_a_directory_has_room_for_so_many(acts, store, manager, add_member):
    small = world_on(store, acts, most_members=3)
    told = await became(add_member(by=small) for _ in range(10))
    assert told == {"done": 3, TooManyMembers: 7}
    directory, members = await small.directories.members(manager.id, acts.now)
    assert directory.members == len(members) == 3


async def test_members_are_listed_as_they_joined(directories, acts, manager, add_member):
    """Those of one instant by their ids, without the manager."""
    made = []
    for _ in range(3):
        made += sorted([await add_member() for _ in range(3)], key=lambda one: one.id)
        acts.later(TICK)
    assert (await directories.members(manager.id, acts.now))[1] == made


async def test_a_manager_sees_every_account_of_its_directory_and_no_other(
    directories, acts, manager, member, stranger
):
    directory, _ = await directories.of(manager, acts.now)
    for account in (manager, member):
        assert await directories.member(manager.id, account.id, acts.now) == (account, directory)
    for other in (stranger.id, "nobody", "\ud800"):
        seen = directories.member(manager.id, other, acts.now)
        assert await refusal(seen) is AccountUnknown


async def test_a_member_sees_itself_alone(directories, acts, manager, member):
    directory, _ = await directories.of(manager, acts.now)
    assert await directories.member(member.id, member.id, acts.now) == (member, directory)
    assert await refusal(directories.member(member.id, manager.id, acts.now)) is NotEnabled
    assert await refusal(directories.members(member.id, acts.now)) is NotEnabled


# Another name


async def test_a_new_display_name_leaves_the_old_one_free(acts, add_member, rename):
    first, second = await add_member("One"), await add_member("Two")
    acts.later(TICK)
    renamed = await rename(first, "Three")
    assert (renamed.display_name, renamed.modified_at) == ("Three", acts.now)
    assert await rename(second, "One")
    assert await the_claims(acts) == {"one": second.id, "three": first.id}


async def test_a_display_name_may_change_its_case(acts, rename, add_member):
    member = await add_member("Team A")
    for name in ("TEAM A", "TEAM A", "team A"):
        for dry_run in (True, False):
            assert (await rename(member, name, dry_run=dry_run)).display_name == name
    assert await the_claims(acts) == {"team a": member.id}


async def test_a_display_name_that_is_anothers_is_refused(acts, add_member, rename, manager):
    first, second = await add_member("One"), await add_member("Two")
    assert await refusal(rename(second, "ONE")) is DisplayNameTaken
    assert await refusal(rename(manager, "One")) is DisplayNameTaken
    assert await the_claims(acts) == {"one": first.id, "two": second.id}


async def test_who_may_rename_whom(world, acts, member, stranger, rename):
    alone = await world.accounts.create(name="Alone", now=acts.now)
    assert await refusal(rename(member, "New", of=alone)) is NotEnabled
    assert await refusal(rename(member, "New", of=member)) is CallerIsNoManager
    assert await refusal(rename(member, "New", of=stranger)) is AccountUnknown
    assert await refusal(rename(alone, "New")) is AccountUnknown


async def test_an_invited_member_gets_a_display_name(world, directories, acts):
    cloud = await world.accounts.create(name="Other", now=acts.now)
    prepared = await directories.prepare_enabling(cloud.id, MA_NAME, PHONE, SPELLED, acts.now)
    await acts.store.write(prepared.writes, acts.now)
    boss = prepared.account
    renamed = await directories.rename(boss.id, cloud.id, "Founder", acts.now)
    assert renamed.account.id == cloud.id
    assert await the_claims(acts) == {"founder": cloud.id}


# Another type


async def test_a_resource_account_with_a_phone_may_become_a_cloud_account(
    world, acts, member, switch, bind
):
    assert await refusal(switch(member)) is PhoneMissing
    await bind(member)
    switched = await switch(member)
    assert (switched.is_resource, world.accounts.phone(switched)) == (False, SPELLED)
    assert await refusal(switch(member)) is TypeMismatch
    assert await refusal(switch(member, to_resource=True, has_keys=True)) is KeyInUse
    assert (await switch(member, to_resource=True)).is_resource


async def test_a_type_that_is_there_already_is_a_mismatch(switch, member, manager):
    assert await refusal(switch(member, to_resource=True)) is TypeMismatch
    for to_resource in (True, False):
        assert await refusal(switch(manager, to_resource=to_resource)) is TypeMismatch


async def test_who_may_switch_whom(world, acts, member, stranger, switch):
    alone = await world.accounts.create(name="Alone", now=acts.now)
    assert await refusal(switch(member, of=alone)) is NotEnabled
    assert await refusal(switch(member, of=member)) is CallerIsNoManager
    assert await refusal(switch(member, of=stranger)) is AccountUnknown


# Dry runs


async def test_a_dry_run_refuses_the_same_and_changes_nothing(
    world, acts, manager, add_member, rename, switch, bind
):
    one, two = await add_member("One", "one"), await add_member("Two", "two")
    await bind(one)
    before = await world.accounts.accounts(acts.now), await the_claims(acts)
    for asked, refused in (
        (add_member("ONE", dry_run=True), DisplayNameTaken),
        (add_member("New", "one", dry_run=True), AccountNameTaken),
        (rename(two, "One", dry_run=True), DisplayNameTaken),
        (switch(two, dry_run=True), PhoneMissing),
    ):
        assert await refusal(asked) is refused
    assert (await add_member("New", "new", dry_run=True)).display_name == "New"
    assert (await rename(one, "New", dry_run=True)).display_name == "New"
    assert not (await switch(one, dry_run=True)).is_resource
    assert (await world.accounts.accounts(acts.now), await the_claims(acts)) == before
    assert (await world.directories.of(manager, acts.now))[0].members == 2


# Many at once


async def test_of_20_of_one_display_name_at_once_one_is_made(
    world, far_world, acts, manager, add_member
):
    worlds = (world, far_world)
    told = await became(add_member("Team A", by=worlds[n % 2]) for n in range(20))
    assert told == {"done": 1, DisplayNameTaken: 19}
    directory, members = await world.directories.members(manager.id, acts.now)
    assert directory.members == len(members) == 1


async def test_of_20_made_at_once_every_one_is_counted(world, far_world, acts, manager, add_member):
    worlds = (world, far_world)
    told = await became(add_member(by=worlds[n % 2]) for n in range(20))
    assert told == {"done": 20}
    directory, members = await world.directories.members(manager.id, acts.now)
    assert directory.members == len(members) == 20


@pytest.mark.parametrize("round_", range(5))
async def test_a_directory_that_ends_has_no_member_and_one_with_a_member_does_not_end(
    world, far_world, acts, manager, add_member, round_
):
    """Whichever comes first, the other is refused."""
    acting = [far_world.directories.destroy(manager.id, acts.now)]
    acting[round_ % 2 : 0] = [add_member() for _ in range(3)]
    told = await became(acting)
    if MembersExist in told:
        assert told == {"done": 3, MembersExist: 1}
        assert len((await world.directories.members(manager.id, acts.now))[1]) == 3
    else:
        assert told == {"done": 1, NotEnabled: 3}
        assert await acts.store.records("aliyun_directory", acts.now) == []
        assert len(await world.accounts.accounts(acts.now)) == 1


async def test_of_many_renamed_to_one_name_at_once_one_has_it(acts, add_member, rename):
    members = [await add_member() for _ in range(10)]
    told = await became(rename(member, "Wanted") for member in members)
    assert told == {"done": 1, DisplayNameTaken: 9}
    assert len(await the_claims(acts)) == 10


async def test_one_member_of_many_names_at_once_has_the_last(world, acts, member, rename):
    """And claims no other."""
    await asyncio.gather(*(rename(member, f"Name {n}") for n in range(10)))
    last = (await world.accounts.account(member.id, acts.now)).display_name
    assert await the_claims(acts) == {last.casefold(): member.id}


async def test_a_name_that_is_given_back_and_taken_at_once_stays_with_who_took_it(
    acts, add_member, rename
):
    """Nobody gives back a claim that has become another's since."""
    first, second = await add_member("One"), await add_member("Two")
    await asyncio.gather(
        *(rename(first, name) for name in ("Three", "Four")),
        *(rename(second, "One") for _ in range(3)),
        return_exceptions=True,
    )
    claims = await the_claims(acts)
    assert sorted(claims.values()) == sorted([first.id, second.id])


async def test_a_rename_and_a_switch_at_once_are_both_kept(
    world, acts, member, rename, switch, bind
):
    await bind(member)
    await asyncio.gather(rename(member, "Other"), switch(member))
    account = await world.accounts.account(member.id, acts.now)
    assert (account.display_name, account.is_resource) == ("Other", False)


async def test_a_change_is_seen_by_its_caller_at_once_here_and_within_a_second_elsewhere(
    world, far_world, acts, member, rename
):
    for one in (world, far_world):
        await one.accounts.caller(member.id, acts.now)
    await rename(member, "Other")
    assert (await world.accounts.caller(member.id, acts.now)).account.display_name == "Other"
    acts.later(SECOND)
    caller = await far_world.accounts.caller(member.id, acts.now)
    assert caller.account.display_name == "Other"
