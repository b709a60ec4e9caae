"""Binding a first phone to a member: a code is right once, for its manager, member and phone."""

from datetime import timedelta
from functools import partial

import pytest

from tests.surfaces.aliyun.calling import (
    BIND,
    DONE,
    ENABLE,
    NEWER,
    OLDER,
    SEND_BIND,
    Caller,
    at_once,
    became,
    binding,
    code_for,
    enabling,
    manager,
    member_of,
    newcomer,
    phone,
    wrong,
)
from watchword import config

BOUND = (409, "AccountSecureMobileAlreadyExists")
CODE = (409, "Invalid.VerificationCode")
ELSEWHERE = (409, "NotSupport.AccountInAnotherResourceDirectory")
NO_MANAGER = (409, "CallerIdentityError")
TYPE = (409, "AccountTypeMismatch")
MINUTE = timedelta(minutes=1)
TIMES = 20


def shown(boss, member_id):
    """Which phone a member has, as its manager sees it."""
    told = boss.ask("GetAccount", AccountId=member_id).success["Account"]
    assert told["HasSecureMobilePhone"] is bool(told["SecureMobilePhone"])
    return told["SecureMobilePhone"]


def acting_for(server, account_id):
    """Whoever has a key of this account."""
    accounts = server.service.aliyun.accounts
    return Caller(server, server.do(accounts.account(account_id, server.clock())))


def with_directory_of(server, to):
    """A newcomer whose directory has got a manager of its own: the caller, and that manager."""
    caller = newcomer(server)
    told = caller.ask(ENABLE, **enabling(caller, to)).success["ResourceDirectory"]
    return caller, acting_for(server, told["MasterAccountId"])


@pytest.mark.parametrize("version", [NEWER, OLDER])
@pytest.mark.parametrize("ask", [Caller.ask, Caller.ask_v1], ids=["ACS3", "V1"])
def test_a_right_code_binds_the_phone(boss, member, to, ask, version):
    """The answer says nothing; the member shows it, as it was written."""
    assert shown(boss, member) == ""
    assert set(ask(boss, BIND, version, **binding(boss, member, to)).success) == {"RequestId"}
    assert shown(boss, member) == to


def test_a_member_with_a_phone_keeps_it(boss, member, to):
    """Binding is for a first phone, never for another, whatever the code is worth."""
    given = binding(boss, member, to)
    assert became(boss.ask(BIND, **given)) == DONE
    other = binding(boss, member, phone())
    for asked in (given, other, {**other, "VerificationCode": "123456"}):
        assert became(boss.ask(BIND, **asked)) == BOUND
    assert shown(boss, member) == to


def test_two_members_may_share_a_phone(boss, member, to):
    """Each proves it by a code of its own."""
    for member_id in (member, member_of(boss)):
        assert became(boss.ask(BIND, **binding(boss, member_id, to))) == DONE
        assert shown(boss, member_id) == to


def test_who_begins_another_directory_binds_there(delivering, to):
    """What was remembered of the first one is in no one's way."""
    boss = manager(delivering)
    assert boss.ask("DestroyResourceDirectory").success
    assert boss.ask(ENABLE, EnableMode="CurrentAccount").success
    member = member_of(boss)
    assert boss.ask(SEND_BIND, AccountId=member, SecureMobilePhone=to).success
    given = {"AccountId": member, "SecureMobilePhone": to}
    assert became(boss.ask(BIND, **given, VerificationCode=code_for(delivering, to))) == DONE


# What a code is bound to


def test_a_code_is_for_its_own_member(boss, member, to):
    given = binding(boss, member, to)
    other = member_of(boss)
    assert became(boss.ask(BIND, **{**given, "AccountId": other})) == CODE
    binding(boss, other, to)
    assert became(boss.ask(BIND, **{**given, "AccountId": other})) == CODE
    assert shown(boss, other) == ""
    assert became(boss.ask(BIND, **given)) == DONE


def test_a_code_is_for_its_own_phone(boss, member, to):
    """Also where the other phone has a code, too."""
    given, other = binding(boss, member, to), phone()
    assert became(boss.ask(BIND, **{**given, "SecureMobilePhone": other})) == CODE
    binding(boss, member, other)
    assert became(boss.ask(BIND, **{**given, "SecureMobilePhone": other})) == CODE
    assert became(boss.ask(BIND, **given)) == DONE
    assert shown(boss, member) == to


def test_a_code_is_for_its_own_manager(delivering, boss, member, to):
    """Another's member cannot be bound by it, nor can its member by another."""
    given, other = binding(boss, member, to), manager(delivering)
    theirs = member_of(other)
    binding(other, theirs, to)
    assert became(other.ask(BIND, **given)) == ELSEWHERE
    assert became(other.ask(BIND, **{**given, "AccountId": theirs})) == CODE
    assert became(boss.ask(BIND, **given)) == DONE


def test_a_code_is_for_its_own_manager_in_one_app_too(delivering, to):
    """Two managers of one app are two callers."""
    one = manager(delivering)
    two = manager(delivering, app_id=one.account.app_id)
    given, theirs = binding(one, member_of(one), to), binding(two, member_of(two), to)
    if given["VerificationCode"] != theirs["VerificationCode"]:
        swapped = {**theirs, "VerificationCode": given["VerificationCode"]}
        assert became(two.ask(BIND, **swapped)) == CODE
    assert became(two.ask(BIND, **theirs)) == DONE
    assert became(one.ask(BIND, **given)) == DONE


def test_a_code_to_enable_binds_nothing(delivering, to):
    """The same caller, the same phone: it is another act."""
    caller = newcomer(delivering)
    code = enabling(caller, to)["VerificationCode"]
    assert caller.ask(ENABLE, EnableMode="CurrentAccount").success
    member = member_of(caller)
    asked = {"AccountId": member, "SecureMobilePhone": to, "VerificationCode": code}
    assert became(caller.ask(BIND, **asked)) == CODE
    right = binding(caller, member, to)
    if code != right["VerificationCode"]:
        assert became(caller.ask(BIND, **asked)) == CODE
    assert became(caller.ask(BIND, **right)) == DONE


# Whatever is wrong with a code is told alike


def test_a_code_is_used_once(boss, member, to):
    """Another member is not bound by it either."""
    given = binding(boss, member, to)
    assert became(boss.ask(BIND, **given)) == DONE
    other = {**given, "AccountId": member_of(boss)}
    assert became(boss.ask(BIND, **other)) == CODE


def test_every_wrong_code_is_refused_alike(delivering, boss, to):
    """Wrong, none, expired, exhausted, another's: status, code and message are the same."""
    wrong_one = binding(boss, member_of(boss), to)
    expired = binding(boss, member_of(boss), to)
    exhausted = binding(boss, member_of(boss), to)
    right = exhausted["VerificationCode"]
    for _ in range(5):
        boss.ask(BIND, **{**exhausted, "VerificationCode": wrong(right)})
    asked = [
        {**wrong_one, "VerificationCode": wrong(wrong_one["VerificationCode"])},
        {**wrong_one, "AccountId": member_of(boss)},
        exhausted,
        {**exhausted, "VerificationCode": wrong(right)},
    ]
    replies = [boss.ask(BIND, **each) for each in asked]
    delivering.clock.pass_by(10 * MINUTE)
    replies += [boss.ask(BIND, **expired)]
    replies += [
        boss.ask(BIND, **{**expired, "VerificationCode": code})
        for code in (wrong(expired["VerificationCode"]), "x", "12345", "1234567", "0" * 4000, "😀")
    ]
    assert {reply.refusal for reply in replies} == {CODE}
    assert {reply.told["Message"] for reply in replies} == {"The verification code is invalid."}
    assert len({frozenset(reply.headers) for reply in replies}) == 1


def test_what_is_no_code_spends_a_try_like_any_wrong_one(boss, member, to):
    given = binding(boss, member, to)
    for code in ("x", "12345", "1234567", "-", "١٢٣٤٥٦"):
        assert became(boss.ask(BIND, **{**given, "VerificationCode": code})) == CODE
    assert became(boss.ask(BIND, **given)) == CODE


@pytest.mark.parametrize("name", ["AccountId", "SecureMobilePhone", "VerificationCode"])
@pytest.mark.parametrize("empty", [False, True], ids=["absent", "empty"])
def test_what_is_missing_is_named_and_spends_no_try(boss, member, to, name, empty):
    given = binding(boss, member, to)
    asked = {key: value for key, value in given.items() if key != name}
    for _ in range(6):
        reply = boss.ask(BIND, **{**asked, **({name: ""} if empty else {})})
        assert reply.refusal == (400, f"Missing{name}")
        assert reply.told["Message"] == f"{name} is mandatory for this action."
    assert became(boss.ask(BIND, **given)) == DONE


# Whoever may not, or what cannot be bound; no code is spent by it


def refused_with_a_code_of(caller, asked, refusal, times=6):
    """More often than there are tries: a code is not even looked at."""
    for _ in range(times):
        assert became(caller.ask(BIND, **asked)) == refusal


def test_only_a_manager_binds(delivering, boss, member, shop, to):
    """A newcomer is none, nor is the member itself."""
    given = binding(boss, member, to)
    refused_with_a_code_of(shop, given, NO_MANAGER)
    refused_with_a_code_of(acting_for(delivering, member), given, NO_MANAGER)
    refused_with_a_code_of(shop, {**given, "AccountId": "1000000000000000"}, NO_MANAGER)
    assert became(boss.ask(BIND, **given)) == DONE


def test_a_member_of_another_directory_is_elsewhere(delivering, boss, member, to):
    given = binding(boss, member, to)
    refused_with_a_code_of(manager(delivering), given, ELSEWHERE)
    refused_with_a_code_of(boss, {**given, "AccountId": newcomer(delivering).id}, ELSEWHERE)
    assert became(boss.ask(BIND, **given)) == DONE


def test_an_account_that_nobody_has_does_not_exist(boss, member, to):
    given = {**binding(boss, member, to), "AccountId": "1000000000000000"}
    refused_with_a_code_of(boss, given, (404, "EntityNotExists.Account"))


@pytest.mark.parametrize("account_id", ["1", "x" * 16, "1" * 15, "1" * 17, "１" * 16])
def test_an_account_id_has_16_digits(boss, member, to, account_id):
    given = binding(boss, member, to)
    asked = {**given, "AccountId": account_id}
    refused_with_a_code_of(boss, asked, (400, "InvalidParameter.AccountId"))
    assert became(boss.ask(BIND, **given)) == DONE


def test_a_manager_binds_no_phone_of_its_own(boss, member, to):
    given = {**binding(boss, member, to), "AccountId": boss.id}
    refused_with_a_code_of(boss, given, (409, "EntityAlreadyExists.ResourceDirectory"))


def test_a_cloud_account_has_its_phone_elsewhere(delivering, to):
    """A member that was there before its directory is of the wrong type."""
    caller, boss = with_directory_of(delivering, to)
    given = {"AccountId": caller.id, "SecureMobilePhone": to, "VerificationCode": "123456"}
    refused_with_a_code_of(boss, given, TYPE)


def test_a_switched_member_is_of_the_wrong_type(boss, member, to):
    assert became(boss.ask(BIND, **binding(boss, member, to))) == DONE
    switched = boss.ask("UpdateAccount", AccountId=member, NewAccountType="CloudAccount")
    assert became(switched) == DONE
    given = {"AccountId": member, "SecureMobilePhone": to, "VerificationCode": "123456"}
    refused_with_a_code_of(boss, given, TYPE)


def test_a_phone_that_the_site_does_not_text_is_not_bound(boss, member, to):
    """NotSupport.Site.Action, which is 400, before all else."""
    refusal = (400, "NotSupport.Site.Action")
    given = binding(boss, member, to)
    refused_with_a_code_of(boss, {**given, "SecureMobilePhone": "86-13812345678"}, refusal)
    assert became(boss.ask(BIND, **given)) == DONE


def test_the_china_site_binds_no_other_phones(serving):
    with serving(deliver=True, aliyun=config.Aliyun(site="china")) as china:
        boss = manager(china)
        given = binding(boss, member_of(boss), "86-13812345678")
        abroad = {**given, "SecureMobilePhone": "1-2025550123"}
        refused_with_a_code_of(boss, abroad, (400, "NotSupport.Site.Action"))
        assert became(boss.ask(BIND, **given)) == DONE


@pytest.mark.parametrize("spelling", ["+{}", "{}x", "{} ", "１{}"])
def test_a_phone_that_is_none_is_refused_as_in_a_send(boss, member, to, spelling):
    given = binding(boss, member, to)
    asked = {**given, "SecureMobilePhone": spelling.format(to)}
    refused_with_a_code_of(boss, asked, (400, "InvalidParameter.SecureMobilePhone"))
    assert became(boss.ask(BIND, **given)) == DONE


def test_there_is_no_dry_run_of_binding(boss, member, to):
    """DryRun is nothing that this action knows: it is done."""
    assert became(boss.ask(BIND, **binding(boss, member, to), DryRun="true")) == DONE
    assert shown(boss, member) == to


# Many at once


def test_of_twenty_at_once_one_code_binds_once(boss, member, to):
    given = binding(boss, member, to)
    answers = at_once([partial(boss.ask, BIND, **given)] * TIMES)
    assert answers.pop(DONE) == 1
    assert set(answers) <= {CODE, BOUND}
    assert sum(answers.values()) == TIMES - 1
    assert shown(boss, member) == to


def test_of_two_codes_at_once_one_phone_is_bound(boss, member):
    """Twenty calls with the right codes of two phones; the code that came too late is not spent,
    and of no use."""
    one, two = (binding(boss, member, phone()) for _ in range(2))
    answers = at_once([partial(boss.ask, BIND, **given) for given in [one, two] * 10])
    assert answers.pop(DONE) == 1
    assert set(answers) <= {CODE, BOUND}
    assert shown(boss, member) in (one["SecureMobilePhone"], two["SecureMobilePhone"])


def test_a_code_is_spent_with_its_effect_alone(boss, member, to):
    """While one member is bound and renamed at once, nobody is told to try again, and each code
    works."""
    given = [binding(boss, member_of(boss), phone()) for _ in range(5)]
    calls = [partial(boss.ask, BIND, **each) for each in given]
    renames = [
        partial(boss.ask, "UpdateAccount", AccountId=each["AccountId"], NewDisplayName=f"as {name}")
        for name, each in enumerate(given)
    ]
    assert at_once([*calls, *renames]) == {DONE: 10}
    for number, each in enumerate(given):
        told = boss.ask("GetAccount", AccountId=each["AccountId"]).success["Account"]
        assert told["SecureMobilePhone"] == each["SecureMobilePhone"]
        assert told["DisplayName"] == f"as {number}"


def test_of_many_wrong_ones_at_once_five_are_looked_at(boss, member, to):
    """Then the right code comes too late."""
    given = binding(boss, member, to)
    bad = {**given, "VerificationCode": wrong(given["VerificationCode"])}
    assert at_once([partial(boss.ask, BIND, **bad)] * TIMES) == {CODE: TIMES}
    assert became(boss.ask(BIND, **given)) == CODE
