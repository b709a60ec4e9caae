"""Enabling a resource directory: for the caller itself, or with a code for a new account."""

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
    manager_name,
    member_of,
    newcomer,
    phone,
    wrong,
)

CODE = (409, "Invalid.VerificationCode")
ELSEWHERE = (409, "NotSupport.AccountInAnotherResourceDirectory")
ENABLED = (409, "EntityAlreadyExists.ResourceDirectory")
INFO_INVALID = (409, "InvalidParameter.ManagementAccountSecurityInfo")
INFO_MISSING = (409, "MissingSecurityInfo")
NAME = (409, "InvalidParameter.ManagementAccountName")
NAME_TAKEN = (409, "InvalidParameter.ManagementAccountName.AlreadyUsed")
NO_DIRECTORY = (404, "ResourceDirectoryNotInUse")
PHONE_MISSING = (409, "MissingSecureMobilePhone")
FIELDS = {
    "ResourceDirectoryId", "MasterAccountId", "MasterAccountName", "RootFolderId", "CreateTime",
}  # fmt: skip
MINUTE = timedelta(minutes=1)
TIMES = 20


def directory_of(caller):
    """What the caller is told of the directory it is in."""
    return caller.ask("GetResourceDirectory").success["ResourceDirectory"]


def has_none(caller):
    return became(caller.ask("GetResourceDirectory")) == NO_DIRECTORY


def acting_for(server, account_id):
    """Whoever has a key of this account."""
    accounts = server.service.aliyun.accounts
    return Caller(server, server.do(accounts.account(account_id, server.clock())))


def enabled(caller, to):
    """A new directory of this phone, and its manager."""
    told = caller.ask(ENABLE, **enabling(caller, to)).success["ResourceDirectory"]
    return told, acting_for(caller.server, told["MasterAccountId"])


# For the caller itself


@pytest.mark.parametrize("version", [NEWER, OLDER])
@pytest.mark.parametrize("ask", [Caller.ask, Caller.ask_v1], ids=["ACS3", "V1"])
def test_the_current_account_needs_no_code(delivering, ask, version):
    """It manages the directory that it is told of."""
    caller = newcomer(delivering)
    answer = ask(caller, ENABLE, version, EnableMode="CurrentAccount").success
    assert set(answer) == {"RequestId", "ResourceDirectory"}
    told = answer["ResourceDirectory"]
    assert set(told) == FIELDS
    assert told["MasterAccountId"] == caller.id
    assert told["MasterAccountName"] == caller.account.name
    assert re.fullmatch("rd-[0-9a-z]+", told["ResourceDirectoryId"])
    assert re.fullmatch("r-[0-9a-z]+", told["RootFolderId"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", told["CreateTime"])
    assert told.items() <= directory_of(caller).items()


def test_whoever_manages_a_directory_enables_no_other(boss, to):
    """In neither mode, and by no code of before."""
    before = directory_of(boss)
    assert became(boss.ask(ENABLE, EnableMode="CurrentAccount")) == ENABLED
    asked = {"MAName": manager_name(), "MASecureMobilePhone": to, "VerificationCode": "123456"}
    assert became(boss.ask(ENABLE, EnableMode="NewManagementAccount", **asked)) == ENABLED
    assert directory_of(boss) == before


def test_what_is_for_a_new_account_is_not_looked_at_for_the_current_one(shop):
    asked = {"MAName": "?", "MASecureMobilePhone": "?", "VerificationCode": "?"}
    assert became(shop.ask(ENABLE, EnableMode="CurrentAccount", **asked)) == DONE


@pytest.mark.parametrize(
    ("mode", "refusal"),
    [
        ({}, (400, "MissingEnableMode")),
        ({"EnableMode": ""}, (400, "MissingEnableMode")),
        ({"EnableMode": "currentaccount"}, (400, "InvalidEnableMode")),
        ({"EnableMode": "CurrentAccount "}, (400, "InvalidEnableMode")),
        ({"EnableMode": "NewManagementAccount\0"}, (400, "InvalidEnableMode")),
    ],
    ids=str,
)
def test_there_are_two_modes(shop, mode, refusal):
    assert became(shop.ask(ENABLE, **mode)) == refusal
    assert has_none(shop)


# For a new account


@pytest.mark.parametrize("version", [NEWER, OLDER])
@pytest.mark.parametrize("ask", [Caller.ask, Caller.ask_v1], ids=["ACS3", "V1"])
def test_a_right_code_makes_a_manager_and_the_caller_a_member(delivering, shop, to, ask, version):
    """All of it is told, and can be seen from either side."""
    given = enabling(shop, to)
    answer = ask(shop, ENABLE, version, **given).success
    assert set(answer) == {"RequestId", "ResourceDirectory"}
    told = answer["ResourceDirectory"]
    assert set(told) == FIELDS
    assert told["MasterAccountName"] == given["MAName"]
    assert re.fullmatch("[1-9][0-9]{15}", told["MasterAccountId"])
    assert told["MasterAccountId"] != shop.id
    boss = acting_for(delivering, told["MasterAccountId"])
    assert told.items() <= directory_of(shop).items()
    assert directory_of(boss) == directory_of(shop)
    assert became(shop.ask(SEND_RD, SecureMobilePhone=to)) == ELSEWHERE
    assert became(boss.ask(SEND_RD, SecureMobilePhone=to)) == ENABLED


def test_the_new_manager_has_the_phone_that_was_proven(delivering, shop, to):
    """And its old manager's app: its messages name the same brand."""
    told, boss = enabled(shop, to)
    account = boss.ask("GetAccount", AccountId=boss.id).success["Account"]
    assert (account["HasSecureMobilePhone"], account["SecureMobilePhone"]) == (True, to)
    assert (account["AccountName"], account["Type"]) == (told["MasterAccountName"], "CloudAccount")
    assert boss.account.app_id == shop.account.app_id


def test_the_caller_is_the_only_member_and_was_invited(shop, to):
    _, boss = enabled(shop, to)
    (member,) = boss.ask("ListAccounts").success["Accounts"]["Account"]
    assert member["AccountId"] == shop.id
    assert (member["JoinMethod"], member["Type"]) == ("invited", "CloudAccount")


def test_the_new_manager_does_all_that_a_manager_does(shop, to):
    _, boss = enabled(shop, to)
    other = phone()
    assert became(boss.ask(BIND, **binding(boss, member_of(boss), other))) == DONE
    refusal = (409, "DeleteConflict.ResourceDirectory.Account")
    assert became(boss.ask("DestroyResourceDirectory")) == refusal


def test_who_has_become_a_member_enables_no_other(shop, to):
    """In neither mode."""
    enabled(shop, to)
    before = directory_of(shop)
    assert became(shop.ask(ENABLE, EnableMode="CurrentAccount")) == ELSEWHERE
    asked = {"MAName": manager_name(), "MASecureMobilePhone": to, "VerificationCode": "123456"}
    assert became(shop.ask(ENABLE, EnableMode="NewManagementAccount", **asked)) == ELSEWHERE
    assert directory_of(shop) == before


# What a code is bound to


def test_a_code_is_for_its_own_phone(shop, to):
    """The new account's has to be the one that was sent to; also where both have a code."""
    given, other = enabling(shop, to), phone()
    assert became(shop.ask(ENABLE, **{**given, "MASecureMobilePhone": other})) == CODE
    enabling(shop, other)
    assert became(shop.ask(ENABLE, **{**given, "MASecureMobilePhone": other})) == CODE
    assert has_none(shop)
    assert became(shop.ask(ENABLE, **given)) == DONE


def test_a_code_is_for_its_own_caller(delivering, shop, to):
    """Whichever app the other one has."""
    given = enabling(shop, to)
    for other in (newcomer(delivering), newcomer(delivering, app_id=shop.account.app_id)):
        assert became(other.ask(ENABLE, **given)) == CODE
        theirs = enabling(other, to)
        if theirs["VerificationCode"] != given["VerificationCode"]:
            assert became(other.ask(ENABLE, **given)) == CODE
        assert has_none(other)
        assert became(other.ask(ENABLE, **theirs)) == DONE
    assert became(shop.ask(ENABLE, **given)) == DONE


def test_a_code_to_bind_enables_nothing(shop, to):
    """Neither for the caller, who has a directory by then, nor for another of its app."""
    assert shop.ask(ENABLE, EnableMode="CurrentAccount").success
    code = binding(shop, member_of(shop), to)["VerificationCode"]
    other = newcomer(shop.server, app_id=shop.account.app_id)
    asked = {
        "EnableMode": "NewManagementAccount",
        "MAName": manager_name(),
        "MASecureMobilePhone": to,
        "VerificationCode": code,
    }
    assert became(shop.ask(ENABLE, **asked)) == ENABLED
    assert became(other.ask(ENABLE, **asked)) == CODE


# Whatever is wrong with a code is told alike


def test_every_wrong_code_is_refused_alike(delivering, to):
    """Wrong, never sent, expired, exhausted, empty, another's phone's."""
    callers = [newcomer(delivering) for _ in range(4)]
    bad, expired, exhausted, never = callers
    given = {caller: enabling(caller, to) for caller in (bad, expired, exhausted)}
    for _ in range(5):
        asked = {**given[exhausted], "VerificationCode": "x"}
        assert became(exhausted.ask(ENABLE, **asked)) == CODE
    right = given[bad]["VerificationCode"]
    replies = [
        exhausted.ask(ENABLE, **given[exhausted]),
        bad.ask(ENABLE, **{**given[bad], "VerificationCode": wrong(right)}),
        bad.ask(ENABLE, **{**given[bad], "VerificationCode": ""}),
        bad.ask(ENABLE, **{**given[bad], "MASecureMobilePhone": phone()}),
        never.ask(ENABLE, **given[bad]),
    ]
    delivering.clock.pass_by(10 * MINUTE)
    replies += [expired.ask(ENABLE, **given[expired])]
    assert {reply.refusal for reply in replies} == {CODE}
    assert {reply.told["Message"] for reply in replies} == {"The verification code is invalid."}
    for caller in callers:
        assert has_none(caller)


def test_a_used_code_enables_nothing_more(delivering, shop, to):
    """Its caller is a member by now; and nobody else may use it."""
    given = enabling(shop, to)
    assert became(shop.ask(ENABLE, **given)) == DONE
    again = {**given, "MAName": manager_name()}
    assert became(shop.ask(ENABLE, **again)) == ELSEWHERE
    assert became(newcomer(delivering).ask(ENABLE, **again)) == CODE


# A refused effect leaves the code good


def test_a_taken_name_leaves_the_code_good(delivering, shop, to):
    """More often than there are tries, in any case; then another name is fine."""
    told, _ = enabled(newcomer(delivering), phone())
    given = enabling(shop, to)
    name = told["MasterAccountName"]
    for taken in (name, name.replace("boss", "BOSS"), name, name, name, name):
        assert became(shop.ask(ENABLE, **{**given, "MAName": taken})) == NAME_TAKEN
        assert has_none(shop)
    assert became(shop.ask(ENABLE, **given)) == DONE


def test_what_is_taken_is_not_told_without_the_right_code(delivering, shop, to):
    told, _ = enabled(newcomer(delivering), phone())
    given = {**enabling(shop, to), "MAName": told["MasterAccountName"]}
    bad = {**given, "VerificationCode": wrong(given["VerificationCode"])}
    assert became(shop.ask(ENABLE, **bad)) == CODE
    assert became(shop.ask(ENABLE, **given)) == NAME_TAKEN


NAMES = {
    "ab": True, "a1": True, "1a": True, "a.b": True, "a-b_c.d": True, "A9": True, "x" * 50: True,
    "": False, "a": False, "x" * 51: False, ".ab": False, "ab.": False, "-ab": False, "a..b": False,
    "a.-b": False, "a b": False, "a+b": False, "jörg": False, "ab\n": False, "ａｂ": False,
    "a@b": False,
}  # fmt: skip


@pytest.mark.parametrize(("prefix", "is_one"), NAMES.items(), ids=lambda v: ascii(v)[:12])
def test_a_name_has_a_form(shop, to, prefix, is_one):
    """2 to 50 letters and digits, single dots, hyphens and underscores between them; one that has
    not spends no try."""
    given = enabling(shop, to)
    name = f"{prefix}@rdadmin.aliyunid.com"
    if is_one:
        assert became(shop.ask(ENABLE, **{**given, "MAName": name})) == DONE
    else:
        for _ in range(6):
            assert became(shop.ask(ENABLE, **{**given, "MAName": name})) == NAME
        assert became(shop.ask(ENABLE, **given)) == DONE


@pytest.mark.parametrize(
    "name", ["", "ab", "ab@", "ab@example.com", "ab@rdadmin.aliyunid.com.", "@rdadmin.aliyunid.com"]
)
def test_a_name_has_the_vendors_domain(shop, to, name):
    given = enabling(shop, to)
    for _ in range(6):
        assert became(shop.ask(ENABLE, **{**given, "MAName": name})) == NAME
    assert became(shop.ask(ENABLE, **given)) == DONE


def test_a_name_that_is_missing_has_the_wrong_form(shop, to):
    given = enabling(shop, to)
    name = given.pop("MAName")
    assert became(shop.ask(ENABLE, **given)) == NAME
    assert became(shop.ask(ENABLE, **given, MAName=name)) == DONE


@pytest.mark.parametrize("empty", [False, True], ids=["absent", "empty"])
def test_a_new_account_has_a_phone(shop, to, empty):
    """MissingSecureMobilePhone beside a code, MissingSecurityInfo without either."""
    given = enabling(shop, to)
    asked = {k: v for k, v in given.items() if k != "MASecureMobilePhone"}
    if empty:
        asked["MASecureMobilePhone"] = ""
    for _ in range(6):
        assert became(shop.ask(ENABLE, **asked)) == PHONE_MISSING
    del asked["VerificationCode"]
    assert became(shop.ask(ENABLE, **asked)) == INFO_MISSING
    assert became(shop.ask(ENABLE, **given)) == DONE


@pytest.mark.parametrize("to", ["12025550123", "+1-2025550123", "x", "1-20", "86-13812345678"])
def test_a_new_accounts_phone_is_one_of_the_site(shop, to):
    """InvalidParameter.ManagementAccountSecurityInfo for whatever else."""
    given = enabling(shop, phone())
    for _ in range(6):
        assert became(shop.ask(ENABLE, **{**given, "MASecureMobilePhone": to})) == INFO_INVALID
    assert became(shop.ask(ENABLE, **given)) == DONE


# Trying it out


@pytest.mark.parametrize("truth", ["true", "True"])
def test_a_dry_run_changes_and_spends_nothing(shop, to, truth):
    """Of either mode; it answers a RequestId alone, though the code be wrong."""
    given = enabling(shop, to)
    bad = {**given, "VerificationCode": wrong(given["VerificationCode"])}
    for asked in ({"EnableMode": "CurrentAccount"}, *[given, bad] * 6):
        assert set(shop.ask(ENABLE, **asked, DryRun=truth).success) == {"RequestId"}
    assert has_none(shop)
    assert became(shop.ask(ENABLE, **given)) == DONE


def test_a_dry_run_is_refused_where_the_act_would_be(boss, shop, to):
    """As far as it can be told without a code."""
    given = {**enabling(shop, to), "DryRun": "true"}
    assert became(boss.ask(ENABLE, EnableMode="CurrentAccount", DryRun="true")) == ENABLED
    assert became(boss.ask(ENABLE, **given)) == ENABLED
    assert became(shop.ask(ENABLE, **{**given, "MAName": "x"})) == NAME
    assert became(shop.ask(ENABLE, **{**given, "MASecureMobilePhone": "x"})) == INFO_INVALID
    assert has_none(shop)


def test_a_truth_is_true_or_false(shop):
    asked = {"EnableMode": "CurrentAccount", "DryRun": "1"}
    assert became(shop.ask(ENABLE, **asked)) == (400, "InvalidDryRun")
    assert has_none(shop)
    assert became(shop.ask(ENABLE, **{**asked, "DryRun": "False"})) == DONE
    assert not has_none(shop)


def test_the_older_edition_has_no_dry_run(shop, to):
    """What it does not know, it does not look at."""
    assert shop.ask(ENABLE, OLDER, **enabling(shop, to), DryRun="true").success
    assert not has_none(shop)


# Many at once


def test_of_twenty_at_once_one_code_makes_one_directory(shop, to):
    """Whatever their names; those that come too late are told of a used code, or that the caller
    is a member by now."""
    given = enabling(shop, to)
    names = [manager_name() for _ in range(TIMES)]
    calls = [partial(shop.ask, ENABLE, **{**given, "MAName": name}) for name in names]
    answers = at_once(calls)
    assert answers.pop(DONE) == 1
    assert set(answers) <= {CODE, ELSEWHERE}
    assert sum(answers.values()) == TIMES - 1
    assert directory_of(shop)["MasterAccountName"] in names
    accounts = shop.server.do(shop.server.service.aliyun.accounts.accounts(shop.server.clock()))
    assert sum(account.name in names for account in accounts) == 1


def test_of_twenty_at_once_for_itself_one_makes_a_directory(shop):
    answers = at_once([partial(shop.ask, ENABLE, EnableMode="CurrentAccount")] * TIMES)
    assert answers == {DONE: 1, ENABLED: TIMES - 1}


def test_of_both_modes_at_once_one_makes_a_directory(shop, to):
    """And the code is spent if it was that one."""
    modes = [enabling(shop, to), {"EnableMode": "CurrentAccount"}]
    answers = at_once([partial(shop.ask, ENABLE, **asked) for asked in modes * 10])
    assert answers.pop(DONE) == 1
    assert set(answers) <= {CODE, ELSEWHERE, ENABLED}


def test_of_many_who_want_one_name_one_gets_it_and_no_code_is_lost(delivering):
    """The others come back with another name."""
    name = manager_name()
    callers = [newcomer(delivering) for _ in range(8)]
    given = {caller: enabling(caller, phone()) for caller in callers}
    calls = [partial(each.ask, ENABLE, **{**given[each], "MAName": name}) for each in callers]
    assert at_once(calls) == {DONE: 1, NAME_TAKEN: 7}
    late = [caller for caller in callers if has_none(caller)]
    assert len(late) == 7
    assert at_once([partial(each.ask, ENABLE, **given[each]) for each in late]) == {DONE: 7}


def test_managers_do_not_see_each_others_directories(delivering):
    one, two = manager(delivering), manager(delivering)
    assert directory_of(one)["ResourceDirectoryId"] != directory_of(two)["ResourceDirectoryId"]
    assert directory_of(one)["MasterAccountId"] == one.id
