"""The two sends: what they answer, which words go out, whom they are for, and every refusal."""

from datetime import datetime, timedelta

import pytest

from tests.surfaces.aliyun.calling import (
    BIND,
    DONE,
    ENABLE,
    NEWER,
    OLDER,
    SEND_BIND,
    SEND_RD,
    Caller,
    became,
    binding,
    code_for,
    enabling,
    manager,
    manager_name,
    member_of,
    messages,
    newcomer,
    phone,
    wrong,
)
from watchword import config
from watchword.directory.aliyun.phones import phone as phone_from
from watchword.domain.app import Terms

CODE = (409, "Invalid.VerificationCode")
COUNTRY = (409, "InvalidParameter.MobileCountryCode")
ELSEWHERE = (409, "NotSupport.AccountInAnotherResourceDirectory")
ENABLED = (409, "EntityAlreadyExists.ResourceDirectory")
LIMIT = (409, "SendValidateCodeExceedsLimitForAccount")
MALFORMED = (400, "InvalidParameter.SecureMobilePhone")
NO_ACCOUNT = (404, "EntityNotExists.Account")
NO_DIRECTORY = (404, "EntityNotExists.ResourceDirectory")
CHINESE, ENGLISH = "分钟", "minute"
MINUTE = timedelta(minutes=1)

WAYS = [
    pytest.param(ask, version, id=f"{scheme}-{version}")
    for scheme, ask in {"ACS3": Caller.ask, "V1": Caller.ask_v1}.items()
    for version in (NEWER, OLDER)
]


@pytest.fixture(scope="module")
def china(serving):
    """A server of the China site."""
    with serving(deliver=True, aliyun=config.Aliyun(site="china")) as running:
        yield running


@pytest.fixture
def still(server):
    """A manager where nothing happens but what it asks for."""
    return manager(server)


def chinese():
    return f"86-138{phone()[-8:]}"


def sent_to(caller, to):
    """The code for the caller's own directory, sent to this phone."""
    return enabling(caller, to)["VerificationCode"]


def ends_at(answer):
    return datetime.fromisoformat(answer["ExpirationDate"])


def deliveries(server):
    """The state of each, oldest first."""
    return [state for (state,) in server.rows("SELECT state FROM deliveries ORDER BY id")]


def refused_anew(caller, action, **asked):
    """A send that is refused and leaves nothing behind, beside the nonce of its signature."""
    before = len(deliveries(caller.server))
    refusal = caller.ask(action, **asked).refusal
    assert len(deliveries(caller.server)) == before
    return refusal


# What goes out, and what is answered


@pytest.mark.parametrize(("ask", "version"), WAYS)
def test_a_code_to_enable_is_sent_and_nothing_is_said(delivering, shop, to, ask, version):
    """RequestId alone: there is no ExpirationDate; six digits arrive."""
    assert set(ask(shop, SEND_RD, version, SecureMobilePhone=to).success) == {"RequestId"}
    code = code_for(delivering, to)
    (message,) = messages(delivering, to)
    assert (message.channel, len(code), code.isdigit()) == ("sms", 6, True)
    assert code in message.text


@pytest.mark.parametrize(("ask", "version"), WAYS)
def test_a_code_to_bind_is_sent_and_its_end_is_said(delivering, boss, member, to, ask, version):
    """ExpirationDate, ten minutes ahead, in UTC with milliseconds."""
    before = delivering.clock()
    told = ask(boss, SEND_BIND, version, AccountId=member, SecureMobilePhone=to).success
    assert set(told) == {"RequestId", "ExpirationDate"}
    assert len(told["ExpirationDate"]) == len("2021-12-17T07:38:41.747Z")
    assert told["ExpirationDate"][-5] == "."
    assert told["ExpirationDate"].endswith("Z")
    assert before + 10 * MINUTE - timedelta(milliseconds=1) <= ends_at(told)
    assert ends_at(told) <= delivering.clock() + 10 * MINUTE
    code = code_for(delivering, to)
    assert (len(code), code.isdigit()) == (6, True)


def test_the_end_that_is_said_is_the_one_in_the_store(delivering, boss, member, to):
    told = boss.ask(SEND_BIND, AccountId=member, SecureMobilePhone=to).success
    ((ends,),) = delivering.rows(
        "SELECT expires_at FROM challenges ORDER BY opened_at DESC LIMIT 1"
    )
    assert round(ends_at(told).timestamp() * 1000) == ends // 1000


@pytest.mark.parametrize(
    ("off", "outcome"),
    [(timedelta(seconds=-3), DONE), (timedelta(milliseconds=1), CODE)],
    ids=["just before", "just after"],
)
def test_a_code_ends_when_it_was_said_to_end(delivering, boss, member, to, off, outcome):
    given = {"AccountId": member, "SecureMobilePhone": to}
    told = boss.ask(SEND_BIND, **given).success
    code = code_for(delivering, to)
    delivering.clock.pass_by(ends_at(told) - delivering.clock() + off)
    assert became(boss.ask(BIND, **given, VerificationCode=code)) == outcome


def test_a_resend_does_not_move_the_end_of_an_older_code(delivering, boss, member, to):
    """Each ends when its own answer said."""
    given = binding(boss, member, to)
    delivering.clock.pass_by(6 * MINUTE)
    told = boss.ask(SEND_BIND, AccountId=member, SecureMobilePhone=to).success
    newest = code_for(delivering, to)
    delivering.clock.pass_by(4 * MINUTE)
    if newest != given["VerificationCode"]:
        assert became(boss.ask(BIND, **given)) == CODE
    assert delivering.clock() < ends_at(told)
    assert became(boss.ask(BIND, **{**given, "VerificationCode": newest})) == DONE


def test_a_code_to_enable_ends_after_ten_minutes(delivering, shop, to):
    given = enabling(shop, to)
    delivering.clock.pass_by(10 * MINUTE)
    assert became(shop.ask(ENABLE, **given)) == CODE
    assert became(shop.ask(ENABLE, **enabling(shop, to))) == DONE


@pytest.mark.parametrize("nth", range(3))
def test_any_of_the_last_three_codes_is_right(delivering, boss, member, to, nth):
    """Messages overtake one another; an older one is wrong."""
    given = binding(boss, member, to)
    oldest = given["VerificationCode"]
    last = [binding(boss, member, to)["VerificationCode"] for _ in range(3)]
    if oldest not in last:
        assert became(boss.ask(BIND, **given)) == CODE
    assert became(boss.ask(BIND, **{**given, "VerificationCode": last[nth]})) == DONE


def test_one_of_the_last_three_ends_the_others(delivering, shop, to):
    """Of the codes to enable, too: used once is used up."""
    codes = [sent_to(shop, to) for _ in range(3)]
    given = {
        "EnableMode": "NewManagementAccount",
        "MASecureMobilePhone": to,
        "MAName": manager_name(),
    }
    assert became(shop.ask(ENABLE, **given, VerificationCode=codes[1])) == DONE
    for code in codes:
        assert became(shop.ask(ENABLE, **given, VerificationCode=code)) == ELSEWHERE


# The words


def test_a_message_names_the_brand(delivering, to):
    """And says how long its code lives; the international site's are English."""
    caller = newcomer(delivering, brand="Acme & Söhne")
    assert caller.ask(SEND_RD, SecureMobilePhone=to).success
    code_for(delivering, to)
    (message,) = messages(delivering, to)
    assert "Acme & Söhne" in message.text
    assert f"10 {ENGLISH}s" in message.text


def test_without_a_brand_it_names_the_account(delivering, shop, to):
    sent_to(shop, to)
    assert shop.account.name in messages(delivering, to)[-1].text


def test_each_act_has_words_of_its_own(delivering, shop, boss, member, to):
    """Whoever is asked to read a code aloud can see what it is for."""
    other = phone()
    sent_to(shop, other)
    binding(boss, member, to)
    assert "link this phone number to your account" in messages(delivering, other)[-1].text
    assert "link this phone number" in messages(delivering, to)[-1].text


def test_the_china_site_texts_chinese(china):
    to, other, boss = chinese(), chinese(), manager(china)
    sent_to(newcomer(china), to)
    binding(boss, member_of(boss), other)
    for each in (to, other):
        assert CHINESE in messages(china, each)[-1].text


@pytest.mark.parametrize(("language", "words"), [("zh-cn", CHINESE), ("en-us", ENGLISH)])
def test_an_app_may_have_a_language_of_its_own(delivering, china, language, words):
    """Before that of the site."""
    for server, to in ((delivering, phone()), (china, chinese())):
        sent_to(newcomer(server, language=language), to)
        assert words in messages(server, to)[-1].text


@pytest.mark.parametrize("purpose", ["*", "sign_up", "bind"])
def test_a_code_has_six_digits_whatever_its_app_says(delivering, boss, member, to, purpose):
    """An app's length is for the native dialect."""
    apps = delivering.service.apps
    terms = apps.set_terms(
        boss.account.app_id, purpose, lambda _: Terms(length=8), delivering.clock()
    )
    delivering.do(terms)
    given = binding(boss, member, to)
    assert len(given["VerificationCode"]) == 6
    assert became(boss.ask(BIND, **given)) == DONE


# Whose phone


@pytest.mark.parametrize("asked", [{}, {"SecureMobilePhone": ""}], ids=["absent", "empty"])
@pytest.mark.parametrize("ask", [Caller.ask, Caller.ask_v1], ids=["ACS3", "V1"])
def test_a_phone_that_is_not_named_is_the_callers_own(delivering, to, ask, asked):
    """And its code is for that phone."""
    own = phone_from(to)
    caller = newcomer(delivering, phone=own.destination, spelled=own.spelled)
    assert set(ask(caller, SEND_RD, **asked).success) == {"RequestId"}
    given = {
        "EnableMode": "NewManagementAccount",
        "MAName": manager_name(),
        "VerificationCode": code_for(delivering, to),
    }
    assert became(caller.ask(ENABLE, **given, MASecureMobilePhone=phone())) == CODE
    assert became(caller.ask(ENABLE, **given, MASecureMobilePhone=to)) == DONE


def test_who_has_no_phone_has_to_name_one(shop):
    assert refused_anew(shop, SEND_RD) == (409, "MissingSecureMobilePhone")
    assert refused_anew(shop, SEND_RD, SecureMobilePhone="") == (409, "MissingSecureMobilePhone")


def test_the_phone_that_is_named_wins(delivering, to):
    own, other = phone_from(to), phone()
    caller = newcomer(delivering, phone=own.destination, spelled=own.spelled)
    sent_to(caller, other)
    assert messages(delivering, to) == []


def test_an_own_phone_has_to_be_of_the_site(china, to):
    """What the account was made with is judged like a phone that is named."""
    own = phone_from(to)
    caller = newcomer(china, phone=own.destination, spelled=own.spelled)
    assert refused_anew(caller, SEND_RD) == COUNTRY


@pytest.mark.parametrize("given", ["AccountId", "SecureMobilePhone"])
@pytest.mark.parametrize("empty", [False, True], ids=["absent", "empty"])
def test_binding_needs_a_member_and_a_phone(boss, member, to, given, empty):
    """The gateway names the parameter that is missing."""
    asked = {"AccountId": member, "SecureMobilePhone": to}
    if empty:
        asked[given] = ""
    else:
        del asked[given]
    assert refused_anew(boss, SEND_BIND, **asked) == (400, f"Missing{given}")


# How a phone is written

SERVED = [
    "1-2025550123", "44-7400123456", "49-15123456789", "81-9012345678", "852-51234567",
    "886-912345678", "853-66123456", "7-9123456789", "7-7710009998", "39-3123456789",
    "1-8765551234", "65-81234567", "354-6111234",
]  # fmt: skip


@pytest.mark.parametrize("to", SERVED)
def test_a_country_code_a_hyphen_and_a_number(delivering, shop, to):
    """Wherever it is, and also where many countries share a code."""
    assert sent_to(shop, to) in messages(delivering, f"+{to.replace('-', '')}")[-1].text


MALFORMED_ONES = [
    "-", "1-", "-2025550123", "12025550123", "+1-2025550123", "001-2025550123", "01-2025550123",
    "0-2025550123", "1 2025550123", "1-202-5550123", "1-202 555 0123", " 1-2025550123",
    "1-2025550123 ", "1-2025550123\n", "1-2025550123\0", "1--2025550123", "1_2025550123",
    "1-202555012x", "１-２０２５５５０１２３", "1–2025550123", "1-²025550123", "12-025550123",
    "120-25550123", "1-20", "1-202555012", "1-" + "2" * 15, "1-" + "2" * 4000, "999-2025550123",
    "1-2025550123,44-7400123456", "1-2025550123;ext=1", "ann@example.com", "null", "<1-2025550123>",
]  # fmt: skip


@pytest.mark.parametrize("to", MALFORMED_ONES, ids=lambda to: ascii(to)[:24])
def test_a_phone_that_is_none_is_refused(still, server, to):
    """By a name of our own, in both sends."""
    given = {"AccountId": member_of(still), "SecureMobilePhone": to}
    assert refused_anew(still, SEND_BIND, **given) == MALFORMED
    assert refused_anew(newcomer(server), SEND_RD, SecureMobilePhone=to) == MALFORMED


def test_a_phone_is_one_however_its_zero_is_written(delivering, boss, member):
    """44-07… is 44-7…: people write the zero that they dial at home."""
    home, abroad = "44-07400123457", "44-7400123457"
    assert boss.ask(SEND_BIND, AccountId=member, SecureMobilePhone=home).success
    given = {"AccountId": member, "VerificationCode": code_for(delivering, abroad)}
    assert became(boss.ask(BIND, **given, SecureMobilePhone=abroad)) == DONE


# The site


def test_the_international_site_texts_nobody_in_china(still, server):
    """Mobile or not; Hong Kong, Macao and Taiwan have codes of their own."""
    given = {"AccountId": member_of(still), "SecureMobilePhone": chinese()}
    assert refused_anew(still, SEND_BIND, **given) == COUNTRY
    assert refused_anew(newcomer(server), SEND_RD, SecureMobilePhone=chinese()) == COUNTRY


@pytest.mark.parametrize("to", ["1-2025550123", "852-51234567", "886-912345678", "853-66123456"])
def test_the_china_site_texts_nobody_elsewhere(china, to):
    boss = manager(china)
    given = {"AccountId": member_of(boss), "SecureMobilePhone": to}
    assert refused_anew(boss, SEND_BIND, **given) == COUNTRY
    assert refused_anew(newcomer(china), SEND_RD, SecureMobilePhone=to) == COUNTRY


def test_the_china_site_does_all_of_it(china):
    """Enabling and binding by Chinese phones."""
    shop, boss = newcomer(china), manager(china)
    assert became(shop.ask(ENABLE, **enabling(shop, chinese()))) == DONE
    assert became(boss.ask(BIND, **binding(boss, member_of(boss), chinese()))) == DONE


# Who may not


def test_who_manages_a_directory_enables_no_other(boss, to):
    assert refused_anew(boss, SEND_RD, SecureMobilePhone=to) == ENABLED


def test_who_is_a_member_enables_no_other(shop, to):
    """The caller became one when its directory got a manager of its own."""
    assert became(shop.ask(ENABLE, **enabling(shop, to))) == DONE
    assert refused_anew(shop, SEND_RD, SecureMobilePhone=to) == ELSEWHERE


@pytest.mark.parametrize("caller", ["a manager", "a member", "a newcomer"])
def test_a_member_of_another_directory_is_elsewhere_whoever_asks(delivering, boss, to, caller):
    """As is an account that manages one."""
    other = manager(delivering)
    asking = {
        "a manager": lambda: boss,
        "a member": lambda: Caller(delivering, account(delivering, member_of(boss))),
        "a newcomer": lambda: newcomer(delivering),
    }[caller]()
    for account_id in (member_of(other), other.id):
        asked = {"AccountId": account_id, "SecureMobilePhone": to}
        assert refused_anew(asking, SEND_BIND, **asked) == ELSEWHERE


def account(server, account_id):
    return server.do(server.service.aliyun.accounts.account(account_id, server.clock()))


def test_a_manager_binds_no_phone_of_its_own(boss, to):
    asked = {"AccountId": boss.id, "SecureMobilePhone": to}
    assert refused_anew(boss, SEND_BIND, **asked) == ENABLED


def test_a_cloud_account_is_nobodys_member(delivering, boss, to):
    """Neither one that stands alone nor one that was there before its directory."""
    alone, invited = newcomer(delivering), newcomer(delivering)
    asked = {"AccountId": alone.id, "SecureMobilePhone": to}
    assert refused_anew(boss, SEND_BIND, **asked) == ELSEWHERE
    told = invited.ask(ENABLE, **enabling(invited, to)).success["ResourceDirectory"]
    heir = Caller(delivering, account(delivering, told["MasterAccountId"]))
    asked = {"AccountId": invited.id, "SecureMobilePhone": to}
    assert refused_anew(heir, SEND_BIND, **asked) == ELSEWHERE


def test_an_account_that_nobody_has_does_not_exist(boss, to):
    asked = {"AccountId": "1000000000000000", "SecureMobilePhone": to}
    assert refused_anew(boss, SEND_BIND, **asked) == NO_ACCOUNT


@pytest.mark.parametrize("account_id", ["1", "x" * 16, "1" * 15, "1" * 17, "１" * 16, "-1", " "])
def test_an_account_id_has_16_digits(boss, to, account_id):
    asked = {"AccountId": account_id, "SecureMobilePhone": to}
    assert refused_anew(boss, SEND_BIND, **asked) == (400, "InvalidParameter.AccountId")


def test_who_manages_nothing_binds_nothing(delivering, shop, boss, to):
    """A newcomer, and a member, whether or not they name an account that there is."""
    member_id = member_of(boss)
    member = Caller(delivering, account(delivering, member_id))
    nobody = "1000000000000000"
    for caller, account_id in (
        (shop, nobody),
        (shop, shop.id),
        (shop, newcomer(delivering).id),
        (member, nobody),
        (member, member_id),
        (member, boss.id),
    ):
        asked = {"AccountId": account_id, "SecureMobilePhone": to}
        assert refused_anew(caller, SEND_BIND, **asked) == NO_DIRECTORY


def test_the_state_is_told_before_the_site(delivering, boss, shop):
    """Who may not send at all is not told which phones could be sent to."""
    assert refused_anew(boss, SEND_RD, SecureMobilePhone=chinese()) == ENABLED
    asked = {"AccountId": newcomer(delivering).id, "SecureMobilePhone": chinese()}
    assert refused_anew(boss, SEND_BIND, **asked) == ELSEWHERE
    assert refused_anew(shop, SEND_RD, SecureMobilePhone=chinese()) == COUNTRY


# The carrier


def test_an_answer_does_not_wait_for_the_carrier(delivering, shop):
    """The carrier takes five seconds for this phone, and the vendor's clients wait for three."""
    assert shop.ask(SEND_RD, SecureMobilePhone="1-2025550004").success
    assert deliveries(delivering)[-1] in ("queued", "leased", "sending")
    assert messages(delivering, "1-2025550004") == []


@pytest.mark.parametrize("ending", ["0001", "0002", "0003"])
def test_what_the_carrier_makes_of_it_is_not_told(delivering, boss, member, shop, ending):
    """Refused, away or silent: the dialect has no words for it."""
    to = f"1-202555{ending}"
    assert shop.ask(SEND_RD, SecureMobilePhone=to).success
    assert boss.ask(SEND_BIND, AccountId=member, SecureMobilePhone=to).success


# Test numbers, and who guesses


def test_a_test_number_has_the_code_of_its_app(delivering, boss, member, to):
    """Nothing is sent; the fixed code binds it, once."""
    destination, now = phone_from(to).destination, delivering.clock()
    ends = now + timedelta(days=1)
    apps = delivering.service.apps
    delivering.do(apps.add_test_number(boss.account.app_id, destination, "271828", ends, now))
    delivering.clock.pass_by(timedelta(seconds=1))
    before = len(deliveries(delivering))
    given = {"AccountId": member, "SecureMobilePhone": to}
    for _ in range(101):
        assert boss.ask(SEND_BIND, **given).success
    assert len(deliveries(delivering)) == before
    assert became(boss.ask(BIND, **given, VerificationCode="271829")) == CODE
    assert became(boss.ask(BIND, **given, VerificationCode="271828")) == DONE
    other = {**given, "AccountId": member_of(boss)}
    assert became(boss.ask(BIND, **other, VerificationCode="271828")) == CODE


def guess(caller, given, times):
    bad = {**given, "VerificationCode": wrong(given["VerificationCode"])}
    for _ in range(times):
        assert became(caller.ask(BIND, **bad)) == CODE


def test_a_wrong_code_may_be_put_right_four_times(boss, member, to):
    given = binding(boss, member, to)
    guess(boss, given, 4)
    assert became(boss.ask(BIND, **given)) == DONE


def test_after_five_wrong_codes_the_right_one_is_wrong(boss, member, to):
    """A new one is a new beginning."""
    given = binding(boss, member, to)
    guess(boss, given, 5)
    assert became(boss.ask(BIND, **given)) == CODE
    assert became(boss.ask(BIND, **binding(boss, member, to))) == DONE


def test_a_resend_gives_no_more_tries(boss, member, to):
    for _ in range(5):
        given = binding(boss, member, to)
        guess(boss, given, 1)
    assert became(boss.ask(BIND, **given)) == CODE


def test_five_wrong_codes_to_enable_are_all_there_are(shop, to):
    given = enabling(shop, to)
    for _ in range(5):
        bad = {**given, "VerificationCode": wrong(given["VerificationCode"])}
        assert became(shop.ask(ENABLE, **bad)) == CODE
    assert became(shop.ask(ENABLE, **given)) == CODE
    assert became(shop.ask(ENABLE, **enabling(shop, to))) == DONE


def test_guessing_over_many_codes_is_stopped(delivering, boss, member, to):
    """After 30 wrong ones within half an hour nothing about this phone is checked, nor sent, for a
    while: whatever the code is for, and however right it is."""
    right = binding(boss, member_of(boss), to)
    for _ in range(6):
        guess(boss, binding(boss, member, to), 5)
    assert became(boss.ask(BIND, **right)) == CODE
    reply = boss.ask(SEND_BIND, AccountId=member, SecureMobilePhone=to)
    assert reply.refusal == LIMIT
    assert 1 <= int(reply.headers["retry-after"]) <= 1800
    assert became(boss.ask(BIND, **binding(boss, member, phone()))) == DONE
    other = manager(delivering)
    assert became(other.ask(BIND, **binding(other, member_of(other), to))) == DONE
    delivering.clock.pass_by(30 * MINUTE)
    assert became(boss.ask(BIND, **binding(boss, right["AccountId"], to))) == DONE


def test_a_code_is_typed_with_blanks(boss, member, to):
    """As people do who read it in two halves."""
    given = binding(boss, member, to)
    code = given["VerificationCode"]
    spaced = f" {code[:3]} {code[3:]}"
    assert became(boss.ask(BIND, **{**given, "VerificationCode": spaced})) == DONE
