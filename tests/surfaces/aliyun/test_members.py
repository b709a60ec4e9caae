"""Directories and their members: made, looked at, listed, changed, ended."""

import math
import re
from datetime import timedelta
from functools import partial

import pytest

from tests.surfaces.aliyun.calling import (
    BIND,
    DONE,
    ENABLE,
    NEWER,
    OLDER,
    SEND_RD,
    Caller,
    at_once,
    became,
    binding,
    enabling,
    manager,
    member_of,
    newcomer,
    phone,
)
from watchword import config

CREATE, DESTROY = "CreateResourceAccount", "DestroyResourceDirectory"
GET, GET_DIRECTORY = "GetAccount", "GetResourceDirectory"
LIST, UPDATE = "ListAccounts", "UpdateAccount"
DIRECTORY_FIELDS = {
    "ResourceDirectoryId", "MasterAccountId", "MasterAccountName", "RootFolderId", "CreateTime",
    "ControlPolicyStatus", "MemberDeletionStatus", "IdentityInformation",
    "MemberAccountDisplayNameSyncStatus",
}  # fmt: skip
FIELDS = {
    "AccountId", "AccountName", "DisplayName", "Type", "Status", "FolderId", "ResourceDirectoryId",
    "ResourceDirectoryPath", "JoinMethod", "JoinTime", "ModifyTime", "IdentityInformation",
    "Location", "EmailStatus",
}  # fmt: skip
LOOKED_AT = {NEWER: FIELDS | {"HasSecureMobilePhone", "SecureMobilePhone"}, OLDER: FIELDS}
"""What GetAccount says, and it alone, in each edition."""

ACCOUNT_NAME = (400, "InvalidParameter.Account.AccountNamePrefix")
ACCOUNT_NAME_LENGTH = (400, "InvalidParameter.Account.AccountNamePrefix.Length")
DISPLAY_NAME = (400, "InvalidParameter.Account.DisplayName")
DISPLAY_NAME_LENGTH = (400, "InvalidParameter.Account.DisplayName.Length")
DISPLAY_NAME_TAKEN = (409, "InvalidParameter.Account.DisplayName.AlreadyUsed")
FULL = (409, "LimitExceeded.Account")
NEITHER_OR_BOTH = (409, "MissingDisplayNameOrAccountType")
NO_ACCOUNT = (404, "EntityNotExists.Account")
NO_DIRECTORY = (404, "EntityNotExists.ResourceDirectory")
NO_MANAGER = (409, "CallerIdentityError")
NOBODY = "1000000000000000"
NOT_IN_USE = (404, "ResourceDirectoryNotInUse")
TYPE = (409, "AccountTypeMismatch")
TIMES = 20

TAGS = {"Tag.1.Key": "team", "Tag.1.Value": "blue", "Tag.2.Key": "tier", "Tag.2.Value": ""}


@pytest.fixture
def boss(server):
    """A manager where nothing happens but what it asks for."""
    return manager(server)


def acting_for(server, account_id):
    """Whoever has a key of this account."""
    accounts = server.service.aliyun.accounts
    return Caller(server, server.do(accounts.account(account_id, server.clock())))


def created(boss, display_name="ann", **asked):
    return boss.ask(CREATE, DisplayName=display_name, **asked).success["Account"]


def shown(boss, account_id, version=NEWER, **asked):
    return boss.ask(GET, version, AccountId=account_id, **asked).success["Account"]


def page(boss, **asked):
    return boss.ask(LIST, **asked).success


def listed(boss, **asked):
    """The display names on a page."""
    return [one["DisplayName"] for one in page(boss, **asked)["Accounts"]["Account"]]


# Making members


@pytest.mark.parametrize("version", [NEWER, OLDER])
@pytest.mark.parametrize("ask", [Caller.ask, Caller.ask_v1], ids=["ACS3", "V1"])
def test_a_member_is_made_and_all_of_it_is_told(boss, ask, version):
    answer = ask(boss, CREATE, version, DisplayName="Ann Smith", AccountNamePrefix="ann").success
    assert set(answer) == {"RequestId", "Account"}
    told = answer["Account"]
    directory = boss.ask(GET_DIRECTORY).success["ResourceDirectory"]
    directory_id, folder_id = directory["ResourceDirectoryId"], directory["RootFolderId"]
    assert set(told) == FIELDS
    assert re.fullmatch("[1-9][0-9]{15}", told["AccountId"])
    assert told["DisplayName"] == "Ann Smith"
    assert told["AccountName"] == f"ann@{directory_id}.aliyunid.com"
    assert (told["Type"], told["Status"]) == ("ResourceAccount", "CreateSuccess")
    assert told["JoinMethod"] == "created"
    assert (told["ResourceDirectoryId"], told["FolderId"]) == (directory_id, folder_id)
    assert told["ResourceDirectoryPath"] == f"{directory_id}/{folder_id}/{told['AccountId']}"
    assert told["JoinTime"] == told["ModifyTime"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", told["JoinTime"])
    looked_at = shown(boss, told["AccountId"], version)
    assert {name: looked_at[name] for name in FIELDS} == told


def test_the_prefix_of_a_name_is_drawn_where_none_is_given(boss):
    names = {created(boss, name)["AccountName"] for name in ("ann", "bea")}
    assert len(names) == 2
    assert all(re.fullmatch(r"[a-z0-9]{2,37}@rd-\w+\.aliyunid\.com", name) for name in names)


DISPLAY_NAMES = {
    **dict.fromkeys(["ab", "x" * 50, "Ann Smith", "安娜", "J. O'Brien <b>"], DONE),
    **dict.fromkeys(["a", "x" * 51, "x" * 500], DISPLAY_NAME_LENGTH),
    **dict.fromkeys(
        [" ab", "ab ", "a\nb", "a\0b", "a\u200bb", "a\u202eb", "  ", "\t\t", "a  b"], DISPLAY_NAME
    ),
}


@pytest.mark.parametrize(("name", "becomes"), DISPLAY_NAMES.items(), ids=lambda v: ascii(v)[:12])
def test_a_display_name_has_2_to_50_characters_that_show(boss, name, becomes):
    assert became(boss.ask(CREATE, DisplayName=name)) == becomes
    assert listed(boss) == ([name] if becomes == DONE else [])


@pytest.mark.parametrize("asked", [{}, {"DisplayName": ""}], ids=["absent", "empty"])
def test_a_display_name_is_mandatory(boss, asked):
    assert became(boss.ask(CREATE, **asked)) == (400, "MissingDisplayName")


PREFIXES = {
    **dict.fromkeys(["ab", "a.b-c_d", "x" * 37, "A1"], DONE),
    **dict.fromkeys(["a", "x" * 38], ACCOUNT_NAME_LENGTH),
    **dict.fromkeys(["a..b", ".ab", "ab-", "a b", "jörg", "ab\n", "a@b"], ACCOUNT_NAME),
}


@pytest.mark.parametrize(("prefix", "becomes"), PREFIXES.items(), ids=lambda v: ascii(v)[:12])
def test_a_prefix_has_a_form(boss, prefix, becomes):
    reply = boss.ask(CREATE, DisplayName="ann", AccountNamePrefix=prefix)
    assert became(reply) == becomes


def test_a_display_name_is_one_members(server, boss):
    """In any case; in another directory it is free, and a refused member is not there."""
    created(boss, "Ann")
    for name in ("Ann", "ANN", "ann"):
        assert became(boss.ask(CREATE, DisplayName=name)) == DISPLAY_NAME_TAKEN
    assert listed(boss) == ["Ann"]
    assert became(manager(server).ask(CREATE, DisplayName="Ann")) == DONE


def test_an_account_name_is_one_accounts(boss):
    created(boss, AccountNamePrefix="ann")
    reply = boss.ask(CREATE, DisplayName="bea", AccountNamePrefix="ANN")
    assert became(reply) == (409, "InvalidParameter.Account.AccountNamePrefix.AlreadyUsed")


def test_of_twenty_at_once_one_gets_a_display_name(boss):
    answers = at_once([partial(boss.ask, CREATE, DisplayName="Ann")] * TIMES)
    assert answers == {DONE: 1, DISPLAY_NAME_TAKEN: TIMES - 1}
    assert page(boss)["TotalCount"] == 1


def test_of_twenty_at_once_each_gets_its_own(boss):
    """Nobody is told to come again because somebody else was quicker."""
    names = [f"ann {number}" for number in range(TIMES)]
    answers = at_once([partial(boss.ask, CREATE, DisplayName=name) for name in names])
    assert answers == {DONE: TIMES}
    assert sorted(listed(boss, PageSize=100)) == sorted(names)


def test_a_directory_has_as_many_members_as_the_house_allows(serving):
    """Exactly three of twenty that come at once, in each directory."""
    with serving(aliyun=config.Aliyun(members=3)) as small:
        for boss in (manager(small), manager(small)):
            answers = at_once(
                partial(boss.ask, CREATE, DisplayName=f"ann {number}") for number in range(TIMES)
            )
            assert answers == {DONE: 3, FULL: TIMES - 3}
            assert page(boss)["TotalCount"] == 3
            assert became(boss.ask(CREATE, DisplayName="bea", DryRun="true")) == FULL


def test_members_are_in_the_root_folder(boss):
    """The only one there is."""
    root = boss.ask(GET_DIRECTORY).success["ResourceDirectory"]["RootFolderId"]
    assert created(boss, "ann", ParentFolderId=root)["FolderId"] == root
    for folder, becomes in (
        ("fd-1234567890", (404, "EntityNotExists.Folder")),
        ("r-", (400, "InvalidParameter.ParentFolderId")),
        ("/root", (400, "InvalidParameter.ParentFolderId")),
    ):
        reply = boss.ask(CREATE, DisplayName="bea", ParentFolderId=folder)
        assert became(reply) == becomes


def test_what_is_not_emulated_is_not_looked_at(boss):
    created(boss, PayerAccountId="1", ResellAccountType="resell")


def test_a_dry_run_makes_no_member(boss):
    """It is refused where the act would be."""
    reply = boss.ask(CREATE, DisplayName="Ann", AccountNamePrefix="ann", DryRun="true")
    assert set(reply.success) == {"RequestId"}
    assert listed(boss) == []
    created(boss, "Ann", AccountNamePrefix="ann")
    for asked, refusal in (
        ({"DisplayName": "ANN"}, DISPLAY_NAME_TAKEN),
        ({"DisplayName": "a"}, DISPLAY_NAME_LENGTH),
        ({"DisplayName": "bea", "AccountNamePrefix": "b"}, ACCOUNT_NAME_LENGTH),
    ):
        assert became(boss.ask(CREATE, **asked, DryRun="True")) == refusal


def test_the_older_edition_has_no_dry_run(boss):
    assert boss.ask(CREATE, OLDER, DisplayName="Ann", DryRun="true").success["Account"]
    assert listed(boss) == ["Ann"]


def test_only_a_manager_makes_members(server, boss):
    member = acting_for(server, member_of(boss))
    for caller in (newcomer(server), member):
        assert became(caller.ask(CREATE, DisplayName="ann")) == NO_DIRECTORY


# Tags


def test_tags_are_kept_in_their_order(boss):
    told = created(boss, **TAGS)
    assert "Tags" not in told
    assert "Tags" not in shown(boss, told["AccountId"])
    assert shown(boss, told["AccountId"], IncludeTags="True")["Tags"] == [
        {"Key": "team", "Value": "blue"},
        {"Key": "tier", "Value": ""},
    ]


@pytest.mark.parametrize("version", [NEWER, OLDER])
def test_without_tags_there_are_none_to_include(boss, version):
    """An empty list, nested where the vendor nests it."""
    member = member_of(boss)
    assert shown(boss, member, version, IncludeTags="true")["Tags"] == []
    (told,) = boss.ask(LIST, version, IncludeTags="true").success["Accounts"]["Account"]
    assert told["Tags"] == {"Tag": []}


@pytest.mark.parametrize(
    "tags",
    [
        {"Tag.1.Value": "blue"}, {"Tag.1.Key": "x" * 129},
        {"Tag.1.Key": "x", "Tag.1.Value": "x" * 129},
    ],
    ids=lambda tags: str(tags)[:30],
)  # fmt: skip
def test_a_malformed_tag_is_refused(boss, tags):
    assert became(boss.ask(CREATE, DisplayName="ann", **tags)) == (400, "InvalidTag.1")
    assert listed(boss) == []


# Looking at one


@pytest.mark.parametrize("version", [NEWER, OLDER])
def test_an_account_has_its_fields(delivering, version):
    """The phone is the newer edition's, once it is bound."""
    boss, to = manager(delivering), phone()
    member = member_of(boss)
    told = shown(boss, member, version)
    assert set(told) == LOOKED_AT[version]
    assert (told.get("HasSecureMobilePhone"), told.get("SecureMobilePhone")) == (
        (False, "") if version == NEWER else (None, None)
    )
    assert became(boss.ask(BIND, **binding(boss, member, to))) == DONE
    told = shown(boss, member, version)
    assert set(told) == LOOKED_AT[version]
    if version == NEWER:
        assert (told["HasSecureMobilePhone"], told["SecureMobilePhone"]) == (True, to)
    assert told["ModifyTime"] > told["JoinTime"]


def test_a_phone_is_shown_by_looking_at_one_account_alone(delivering):
    """A list, or the answer to a change, says nothing of it."""
    boss, to = manager(delivering), phone()
    member = member_of(boss)
    assert became(boss.ask(BIND, **binding(boss, member, to))) == DONE
    change = boss.ask(UPDATE, AccountId=member, NewDisplayName="Ann").success["Account"]
    (listed_one,) = page(boss)["Accounts"]["Account"]
    for told in (change, listed_one):
        assert not {"HasSecureMobilePhone", "SecureMobilePhone"} & set(told)


def test_whom_an_account_shows_itself_to(server, boss):
    """Its manager and itself; a manager is in its own directory, too."""
    member_id = member_of(boss)
    member, other, alone = acting_for(server, member_id), manager(server), newcomer(server)
    assert shown(member, member_id) == shown(boss, member_id)
    assert shown(boss, boss.id)["AccountId"] == boss.id
    for caller, account_id, refusal in (
        (other, member_id, NO_ACCOUNT),
        (boss, other.id, NO_ACCOUNT),
        (boss, alone.id, NO_ACCOUNT),
        (boss, NOBODY, NO_ACCOUNT),
        (member, boss.id, NO_DIRECTORY),
        (member, member_of(boss), NO_DIRECTORY),
        (alone, member_id, NO_DIRECTORY),
        (alone, alone.id, NO_DIRECTORY),
    ):
        assert became(caller.ask(GET, AccountId=account_id)) == refusal


@pytest.mark.parametrize("action", [GET, UPDATE])
def test_an_account_is_named_by_16_digits(boss, action):
    assert became(boss.ask(action)) == (400, "MissingAccountId")
    for account_id in ("1", "x" * 16, "1" * 17, "１" * 16, f"{NOBODY} "):
        reply = boss.ask(action, AccountId=account_id)
        assert became(reply) == (400, "InvalidParameter.AccountId")


# Listing them


def test_a_directory_without_members_lists_none(boss):
    told = page(boss)
    assert told.pop("RequestId")
    assert told == {
        "TotalCount": 0, "PageNumber": 1, "PageSize": 10, "Accounts": {"Account": []},
    }  # fmt: skip
    told = page(boss, MaxResults=5)
    assert told.pop("RequestId")
    assert told == {"TotalCount": 0, "NextToken": "", "Accounts": {"Account": []}}


@pytest.fixture(scope="module")
def eleven(server):
    """A manager with eleven members, whom tests only look at."""
    boss = manager(server)
    for number in range(11):
        tags = {"Tag.1.Key": "parity", "Tag.1.Value": "odd" if number % 2 else "even"}
        first = {"Tag.2.Key": "first", "Tag.2.Value": "yes"} if number == 0 else {}
        created(boss, f"Ann {number:02d}", AccountNamePrefix=f"ann-{number:02d}", **tags, **first)
    return boss


ALL = [f"Ann {number:02d}" for number in range(11)]


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ({}, ALL[:10]),
        ({"PageNumber": 2}, ALL[10:]),
        ({"PageNumber": 3}, []),
        ({"PageNumber": 1_000_000}, []),
        ({"PageSize": 1}, ALL[:1]),
        ({"PageSize": 100}, ALL),
        ({"PageSize": 4, "PageNumber": 2}, ALL[4:8]),
        ({"PageSize": "", "PageNumber": ""}, ALL[:10]),
    ],
    ids=str,
)
def test_a_page_is_named_by_its_number(eleven, asked, names):
    """In the order they joined; TotalCount is of all pages, and the page is told again."""
    told = page(eleven, **asked)
    assert set(told) == {"RequestId", "TotalCount", "PageNumber", "PageSize", "Accounts"}
    assert set(told["Accounts"]) == {"Account"}
    assert [one["DisplayName"] for one in told["Accounts"]["Account"]] == names
    assert told["TotalCount"] == 11
    assert told["PageNumber"] == int(asked.get("PageNumber") or 1)
    assert told["PageSize"] == int(asked.get("PageSize") or 10)


@pytest.mark.parametrize("version", [NEWER, OLDER])
def test_each_listed_account_has_its_fields(eleven, version):
    for told in eleven.ask(LIST, version).success["Accounts"]["Account"]:
        assert set(told) == FIELDS


@pytest.mark.parametrize("size", [1, 3, 5, 10, 11, 100])
def test_what_comes_next_is_named_by_a_token(eleven, size):
    """Until it is empty; nobody is listed twice, or left out, and no page is empty."""
    found, token = [], ""
    for _ in range(math.ceil(11 / size)):
        told = page(eleven, MaxResults=size, NextToken=token)
        assert set(told) == {"RequestId", "TotalCount", "NextToken", "Accounts"}
        found += [one["DisplayName"] for one in told["Accounts"]["Account"]]
        token = told["NextToken"]
    assert (found, token) == (ALL, "")


def test_a_token_says_enough(eleven):
    """What comes after it is ten, where nobody says how many; a new member in between is no
    harm."""
    boss = manager(eleven.server)
    created(boss, "ann")
    created(boss, "bea")
    token = page(boss, MaxResults=1)["NextToken"]
    created(boss, "cyd")
    assert listed(boss, NextToken=token) == ["bea", "cyd"]


def test_the_older_edition_has_no_tokens(eleven):
    """Nor keywords: what it does not know, it does not look at."""
    told = eleven.ask(LIST, OLDER, MaxResults=1, NextToken="x", QueryKeyword="09").success
    assert (told["TotalCount"], told["PageSize"]) == (11, 10)
    assert "NextToken" not in told


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("PageSize", ["0", "-1", "101", "x", "1.0", "１", " 1", "1" * 400]),
        ("MaxResults", ["0", "-1", "101", "x", "1.0", "１", " 1", "1" * 400]),
        ("PageNumber", ["0", "-1", "x", "1.0", "1000001", "1" * 400]),
        ("NextToken", ["x", "MQ==", "😀", "x" * 4000]),
        ("IncludeTags", ["yes", "1"]),
    ],
)
def test_what_is_no_page_is_refused(eleven, name, values):
    for value in values:
        assert became(eleven.ask(LIST, **{name: value})) == (400, f"Invalid{name}")


def test_a_token_of_somebody_else_is_none(eleven):
    token = page(eleven, MaxResults=1)["NextToken"]
    reply = manager(eleven.server).ask(LIST, NextToken=token)
    assert became(reply) == (400, "InvalidNextToken")


@pytest.mark.parametrize(
    ("keyword", "names"),
    [
        ("Ann 03", ALL[3:4]), ("ANN 03", ALL[3:4]), ("nn 1", ALL[10:]), ("ann-07@rd-", ALL[7:8]),
        ("aliyunid.com", ALL), ("bea", []), ("", ALL), ("%", []), ("*", []), ("_", []),
    ],
)  # fmt: skip
def test_a_keyword_is_looked_for_in_id_and_names(eleven, keyword, names):
    """In any case, and to the letter."""
    assert listed(eleven, QueryKeyword=keyword, PageSize=100) == names
    assert page(eleven, QueryKeyword=keyword)["TotalCount"] == len(names)


def test_a_member_is_found_by_its_id(eleven):
    wanted = page(eleven, PageSize=1, PageNumber=6)["Accounts"]["Account"][0]
    assert listed(eleven, QueryKeyword=wanted["AccountId"]) == [wanted["DisplayName"]]


@pytest.mark.parametrize(
    ("tags", "names"),
    [
        ([("parity", "odd")], ALL[1::2]),
        ([("parity", "")], ALL),
        ([("parity", "even"), ("first", "yes")], ALL[:1]),
        ([("parity", "odd"), ("first", "yes")], []),
        ([("Parity", "odd")], []),
        ([("parity", "Odd")], []),
    ],
    ids=str,
)
def test_tags_are_looked_for_together(eleven, tags, names):
    """All of them have to be there; one without a value may have any."""
    named = [(f"Tag.{number}", *tag) for number, tag in enumerate(tags, 1)]
    asked = {f"{tag}.Key": key for tag, key, _ in named}
    asked |= {f"{tag}.Value": value for tag, _, value in named}
    assert listed(eleven, PageSize=100, **asked) == names


def test_listed_tags_are_nested(eleven):
    """Unlike those of GetAccount."""
    first, second, *_ = page(eleven, IncludeTags="True")["Accounts"]["Account"]
    even, yes = {"Key": "parity", "Value": "even"}, {"Key": "first", "Value": "yes"}
    assert first["Tags"] == {"Tag": [even, yes]}
    assert second["Tags"] == {"Tag": [{"Key": "parity", "Value": "odd"}]}


def test_only_a_manager_lists(server, boss):
    member = acting_for(server, member_of(boss))
    for caller in (newcomer(server), member):
        assert became(caller.ask(LIST)) == NO_DIRECTORY


# Changing one


def test_a_member_may_be_called_otherwise(boss):
    """Its old name is free then, and its new one taken."""
    member = created(boss, "Ann")["AccountId"]
    told = boss.ask(UPDATE, AccountId=member, NewDisplayName="Bea").success["Account"]
    assert set(told) == FIELDS
    assert (told["DisplayName"], told["Status"]) == ("Bea", "CreateSuccess")
    assert shown(boss, member)["DisplayName"] == "Bea"
    created(boss, "Ann")
    assert became(boss.ask(CREATE, DisplayName="Bea")) == DISPLAY_NAME_TAKEN


def test_a_member_is_not_called_like_another(boss):
    """But like itself, in any case."""
    member = created(boss, "Ann")["AccountId"]
    created(boss, "Bea")
    reply = boss.ask(UPDATE, AccountId=member, NewDisplayName="BEA")
    assert became(reply) == DISPLAY_NAME_TAKEN
    for name in ("ANN", "ann", "ann"):
        assert became(boss.ask(UPDATE, AccountId=member, NewDisplayName=name)) == DONE
    assert became(boss.ask(UPDATE, AccountId=member, NewDisplayName="x")) == DISPLAY_NAME_LENGTH
    assert listed(boss) == ["ann", "Bea"]


def test_of_twenty_at_once_one_is_called_so(boss):
    members = [created(boss, f"ann {number}")["AccountId"] for number in range(TIMES)]
    asked = [partial(boss.ask, UPDATE, AccountId=one, NewDisplayName="Ann") for one in members]
    assert at_once(asked) == {DONE: 1, DISPLAY_NAME_TAKEN: TIMES - 1}
    assert listed(boss, PageSize=100).count("Ann") == 1


@pytest.mark.parametrize(
    ("asked", "refusal"),
    [
        ({}, NEITHER_OR_BOTH),
        ({"NewDisplayName": "", "NewAccountType": ""}, NEITHER_OR_BOTH),
        ({"NewDisplayName": "Bea", "NewAccountType": "CloudAccount"}, NEITHER_OR_BOTH),
        ({"NewAccountType": "cloudaccount"}, (400, "InvalidNewAccountType")),
        ({"NewAccountType": "ResourceAccount"}, TYPE),
        ({"NewAccountType": "CloudAccount"}, (409, "MissingSecurityInfo")),
    ],
    ids=str,
)
def test_a_change_is_of_one_thing_that_can_change(boss, asked, refusal):
    """A resource account is one already, and without a phone it can be nothing else."""
    member = member_of(boss)
    before = shown(boss, member)
    assert became(boss.ask(UPDATE, AccountId=member, **asked)) == refusal
    assert shown(boss, member) == before


def test_a_phone_makes_a_cloud_account_possible(delivering):
    """That is what it is bound for; and back again."""
    boss = manager(delivering)
    member = member_of(boss)
    assert became(boss.ask(BIND, **binding(boss, member, phone()))) == DONE
    for kind in ("CloudAccount", "ResourceAccount"):
        asked = {"AccountId": member, "NewAccountType": kind}
        assert set(boss.ask(UPDATE, **asked, DryRun="true").success) == {"RequestId"}
        assert shown(boss, member)["Type"] != kind
        told = boss.ask(UPDATE, **asked).success["Account"]
        assert (told["Type"], told["Status"]) == (kind, "SwitchSuccess")
        assert shown(boss, member)["Type"] == kind
        assert became(boss.ask(UPDATE, **asked)) == TYPE


def test_who_still_has_a_key_stays_a_cloud_account(delivering):
    """PrimaryAkInUse, until it is revoked."""
    boss = manager(delivering)
    member_id = member_of(boss)
    assert became(boss.ask(BIND, **binding(boss, member_id, phone()))) == DONE
    assert became(boss.ask(UPDATE, AccountId=member_id, NewAccountType="CloudAccount")) == DONE
    member = acting_for(delivering, member_id)
    back = {"AccountId": member_id, "NewAccountType": "ResourceAccount"}
    assert became(boss.ask(UPDATE, **back)) == (409, "PrimaryAkInUse")
    credentials = delivering.service.aliyun.credentials
    delivering.do(credentials.revoke_key(member.ak, delivering.clock()))
    assert became(boss.ask(UPDATE, **back)) == DONE


def test_a_temporary_key_is_in_use_until_it_ends(delivering):
    boss = manager(delivering)
    member_id = member_of(boss)
    assert became(boss.ask(BIND, **binding(boss, member_id, phone()))) == DONE
    assert became(boss.ask(UPDATE, AccountId=member_id, NewAccountType="CloudAccount")) == DONE
    credentials, hour = delivering.service.aliyun.credentials, timedelta(hours=1)
    delivering.do(credentials.create_key(member_id, delivering.clock(), ttl=hour))
    back = {"AccountId": member_id, "NewAccountType": "ResourceAccount"}
    assert became(boss.ask(UPDATE, **back)) == (409, "PrimaryAkInUse")
    delivering.clock.pass_by(hour)
    assert became(boss.ask(UPDATE, **back)) == DONE


def test_a_dry_run_renames_nobody(boss):
    member = created(boss, "Ann")["AccountId"]
    created(boss, "Bea")
    asked = {"AccountId": member, "DryRun": "true"}
    assert set(boss.ask(UPDATE, **asked, NewDisplayName="Cyd").success) == {"RequestId"}
    assert became(boss.ask(UPDATE, **asked, NewDisplayName="bea")) == DISPLAY_NAME_TAKEN
    assert listed(boss) == ["Ann", "Bea"]


def test_only_its_manager_changes_a_member(server, boss):
    member_id = member_of(boss)
    member, other = acting_for(server, member_id), manager(server)
    for asked in ({"NewDisplayName": "Bea"}, {"NewAccountType": "CloudAccount"}):
        for caller, account_id, refusal in (
            (newcomer(server), member_id, NO_DIRECTORY),
            (member, member_id, NO_MANAGER),
            (other, member_id, NO_ACCOUNT),
            (boss, NOBODY, NO_ACCOUNT),
        ):
            assert became(caller.ask(UPDATE, AccountId=account_id, **asked)) == refusal


def test_a_manager_is_of_the_type_it_is(boss):
    for kind in ("CloudAccount", "ResourceAccount"):
        assert became(boss.ask(UPDATE, AccountId=boss.id, NewAccountType=kind)) == TYPE


# The directory


@pytest.mark.parametrize("version", [NEWER, OLDER])
def test_a_directory_is_the_same_from_either_side(server, boss, version):
    """A member sees what its manager sees."""
    member = acting_for(server, member_of(boss))
    answer = boss.ask(GET_DIRECTORY, version).success
    assert set(answer) == {"RequestId", "ResourceDirectory"}
    told = answer["ResourceDirectory"]
    assert set(told) == DIRECTORY_FIELDS
    assert (told["MasterAccountId"], told["MasterAccountName"]) == (boss.id, boss.account.name)
    assert member.ask(GET_DIRECTORY, version).success["ResourceDirectory"] == told


def test_who_is_in_none_sees_none(server):
    assert became(newcomer(server).ask(GET_DIRECTORY)) == NOT_IN_USE


def test_a_directory_ends_and_another_can_begin(delivering):
    """A code can be sent again, and makes another one."""
    boss = manager(delivering)
    before = boss.ask(GET_DIRECTORY).success["ResourceDirectory"]
    assert set(boss.ask(DESTROY).success) == {"RequestId"}
    assert became(boss.ask(GET_DIRECTORY)) == NOT_IN_USE
    assert became(boss.ask(LIST)) == NO_DIRECTORY
    assert became(boss.ask(SEND_RD, SecureMobilePhone=phone())) == DONE
    told = boss.ask(ENABLE, **enabling(boss, phone())).success["ResourceDirectory"]
    assert told["ResourceDirectoryId"] != before["ResourceDirectoryId"]


def test_a_directory_with_members_does_not_end(boss):
    member = member_of(boss)
    assert became(boss.ask(DESTROY)) == (409, "DeleteConflict.ResourceDirectory.Account")
    assert shown(boss, member)["AccountId"] == member


def test_only_its_manager_ends_a_directory(server, boss):
    member = acting_for(server, member_of(boss))
    for caller in (member, newcomer(server)):
        assert became(caller.ask(DESTROY)) == NO_DIRECTORY


def test_a_directory_ends_once(boss):
    assert at_once([partial(boss.ask, DESTROY)] * TIMES) == {DONE: 1, NO_DIRECTORY: TIMES - 1}


def test_no_member_is_left_without_a_directory(server):
    """Of an end and a new member at once, one is refused."""
    for _ in range(5):
        boss = manager(server)
        answers = at_once(
            [*[partial(boss.ask, CREATE, DisplayName="ann")] * 3, *[partial(boss.ask, DESTROY)] * 3]
        )
        assert answers[DONE] == 1
        if became(boss.ask(GET_DIRECTORY)) == DONE:
            assert page(boss)["TotalCount"] == 1
        else:
            assert became(boss.ask(LIST)) == NO_DIRECTORY
