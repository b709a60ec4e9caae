"""How many codes a day: 100 for a calling account, 100 for a member, of what is sent and not of
what is refused."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import msgspec
import pytest

from tests.surfaces.aliyun.calling import (
    DONE,
    ENABLE,
    NEWER,
    OLDER,
    SEND_BIND,
    SEND_RD,
    Caller,
    at_once,
    became,
    manager,
    member_of,
    newcomer,
    phone,
    travelled,
)
from tests.surfaces.huawei.calling import VENDORS_WARNINGS, partner
from watchword import config
from watchword.config import Limit

pytestmark = [pytest.mark.filterwarnings(one) for one in VENDORS_WARNINGS]
COUNTRY = (409, "InvalidParameter.MobileCountryCode")
ENABLED = (409, "EntityAlreadyExists.ResourceDirectory")
LIMIT = (409, "SendValidateCodeExceedsLimitForAccount")
A_DAY = 100
DAY, HOUR, MINUTE, SECOND = (
    timedelta(**{unit: 1}) for unit in ("days", "hours", "minutes", "seconds")
)
SHANGHAI = ZoneInfo("Asia/Shanghai")


def midnight(server, zone=SHANGHAI):
    """The next one there."""
    tomorrow = server.clock().astimezone(zone).date() + DAY
    return datetime(tomorrow.year, tomorrow.month, tomorrow.day, tzinfo=zone).astimezone(UTC)


def at(server, instant):
    server.clock.pass_by(instant - server.clock())


@pytest.fixture
def noon(server):
    """A server where it is noon in China, so that no day ends while a test counts."""
    at(server, midnight(server) + 12 * HOUR)
    return server


@pytest.fixture
def shop(noon):
    return newcomer(noon)


@pytest.fixture
def boss(noon):
    return manager(noon)


def to_enable(caller, to=""):
    return caller.ask(SEND_RD, SecureMobilePhone=to or phone())


def to_bind(caller, member, to=""):
    return caller.ask(SEND_BIND, AccountId=member, SecureMobilePhone=to or phone())


def granted(send, times):
    """How many of so many sends are sent; the others are over the limit."""
    answers = Counter(became(send()) for _ in range(times))
    assert set(answers) <= {DONE, LIMIT}
    return answers[DONE]


def refused_for(send):
    """How long a send is told to wait that is one too many."""
    reply = send()
    assert reply.refusal == LIMIT
    assert reply.told["Message"] == (
        "For the same account, the number of verification codes sent exceeds the limit."
    )
    return int(reply.headers["retry-after"]) * SECOND


# Whose they are


def test_a_calling_account_is_sent_a_hundred(noon, shop):
    """Whatever the phones; the 101st is refused until midnight in China. Nobody else's are
    concerned."""
    send = partial(to_enable, shop)
    assert granted(send, A_DAY) == A_DAY
    for _ in range(3):
        assert timedelta() <= refused_for(send) - (midnight(noon) - noon.clock()) <= 2 * SECOND
    assert granted(partial(to_enable, newcomer(noon)), 1) == 1
    assert granted(partial(to_enable, newcomer(noon, app_id=shop.account.app_id)), 1) == 1


def test_a_hundred_are_a_hundred_to_one_phone_too(noon, shop, boss):
    """No limit of an address is in their way."""
    to, member = phone(), member_of(boss)
    assert granted(partial(to_enable, shop, to), A_DAY + 1) == A_DAY
    assert granted(partial(to_bind, boss, member, to), A_DAY + 1) == A_DAY


def test_a_member_is_sent_a_hundred(noon, boss):
    """The 101st is refused; the other members of its directory have their own, as has its
    manager."""
    member = member_of(boss)
    send = partial(to_bind, boss, member)
    assert granted(send, A_DAY) == A_DAY
    for _ in range(3):
        assert timedelta() <= refused_for(send) - (midnight(noon) - noon.clock()) <= 2 * SECOND
    assert granted(partial(to_bind, boss, member_of(boss)), 1) == 1


def test_members_of_two_managers_are_counted_apart(noon):
    """Also where both managers have one app."""
    one = manager(noon)
    two = manager(noon, app_id=one.account.app_id)
    ours, theirs = member_of(one), member_of(two)
    assert granted(partial(to_bind, one, ours), A_DAY + 1) == A_DAY
    assert granted(partial(to_bind, two, theirs), A_DAY + 1) == A_DAY


def test_what_a_caller_sent_is_not_its_members(noon, shop):
    """Who has none left to enable a directory still binds the phones of its members."""
    assert granted(partial(to_enable, shop), A_DAY + 1) == A_DAY
    assert shop.ask(ENABLE, EnableMode="CurrentAccount").success
    assert granted(partial(to_bind, shop, member_of(shop)), A_DAY + 1) == A_DAY


def test_editions_and_signatures_share_them(noon, shop):
    """Every way to ask is the same account's, also with another key."""
    other = Caller(noon, shop.account)
    ways = [
        partial(ask, caller, SEND_RD, version)
        for ask in (Caller.ask, Caller.ask_v1)
        for caller in (shop, other)
        for version in (NEWER, OLDER)
    ]
    answers = Counter(became(ways[n % 8](SecureMobilePhone=phone())) for n in range(A_DAY + 8))
    assert answers == {DONE: A_DAY, LIMIT: 8}


# Many at once


def test_of_thirty_callers_at_once_exactly_a_hundred_are_served(shop):
    """In sum, of five sends each; counted before it is sent, and in one act."""
    answers = at_once([partial(to_enable, shop)] * 150, callers=30)
    assert answers == {DONE: A_DAY, LIMIT: 50}


def test_of_thirty_callers_at_once_a_member_gets_exactly_a_hundred(boss):
    member = member_of(boss)
    assert granted(partial(to_bind, boss, member), 95) == 95
    answers = at_once([partial(to_bind, boss, member)] * 30)
    assert answers == {DONE: 5, LIMIT: 25}


# What is refused


def test_a_refused_send_to_enable_counts_nothing(noon, shop):
    """For its state, phone, site, form, signature: after 99 sends and many refusals exactly one
    more is sent."""
    assert granted(partial(to_enable, shop), A_DAY - 1) == A_DAY - 1
    for to in ("", "x", "12025550123", "1-20", "86-13812345678", "+86-13812345678"):
        assert shop.ask(SEND_RD, SecureMobilePhone=to).status in (400, 409)
        assert shop.ask_v1(SEND_RD, SecureMobilePhone=to).status in (400, 409)
    fine = {"SecureMobilePhone": phone()}
    assert shop.ask(SEND_RD, **fine, Format="yaml").refusal == (400, "InvalidParameter.Format")
    assert shop.ask(SEND_RD, "2023-01-01", **fine).refusal == (400, "InvalidVersion")
    assert shop.ask(f"{SEND_RD}s", **fine).refusal == (404, "InvalidAction.NotFound")
    assert became(shop.send(shop.signed(SEND_RD, NEWER, fine, off=-HOUR))) == (
        400, "InvalidTimeStamp.Expired",
    )  # fmt: skip
    method, target, headers, body = shop.signed(SEND_RD, NEWER, fine)
    reply = travelled(noon, method, f"{target}&x=y", headers.items(), body)
    assert reply.refusal == (400, "SignatureDoesNotMatch")
    assert shop.ask(ENABLE, EnableMode="CurrentAccount").success
    for _ in range(3):
        assert became(to_enable(shop)) == ENABLED
    assert shop.ask("DestroyResourceDirectory").success
    assert granted(partial(to_enable, shop), 3) == 1


def test_one_signature_counts_once(noon, shop):
    """A request that is repeated to the letter is refused, and counts nothing."""
    assert granted(partial(to_enable, shop), A_DAY - 2) == A_DAY - 2
    request = shop.signed(SEND_RD, NEWER, {"SecureMobilePhone": phone()})
    answers = at_once([partial(shop.send, request)] * 10)
    assert answers == {DONE: 1, (400, "SignatureNonceUsed"): 9}
    assert granted(partial(to_enable, shop), 3) == 1


def test_a_refused_send_to_bind_counts_nothing(noon, boss):
    """Neither for the member that is named nor for the one that is not."""
    member, other = member_of(boss), manager(noon)
    assert granted(partial(to_bind, boss, member), A_DAY - 1) == A_DAY - 1
    for caller, asked in (
        (other, {"AccountId": member, "SecureMobilePhone": phone()}),
        (newcomer(noon), {"AccountId": member, "SecureMobilePhone": phone()}),
        (boss, {"AccountId": member, "SecureMobilePhone": "x"}),
        (boss, {"AccountId": member, "SecureMobilePhone": "86-13812345678"}),
        (boss, {"AccountId": member}),
        (boss, {"SecureMobilePhone": phone()}),
        (boss, {"AccountId": f"{member}0", "SecureMobilePhone": phone()}),
    ):
        for ask in (Caller.ask, Caller.ask_v1):
            assert 400 <= ask(caller, SEND_BIND, **asked).refusal[0] < 500
    assert granted(partial(to_bind, boss, member), 3) == 1


def test_the_state_is_told_before_the_limit(noon, shop, boss):
    """Who may not send at all is not told to come back tomorrow."""
    assert granted(partial(to_enable, shop), A_DAY + 1) == A_DAY
    assert shop.ask(ENABLE, EnableMode="CurrentAccount").success
    assert became(to_enable(shop)) == ENABLED
    member = member_of(boss)
    assert granted(partial(to_bind, boss, member), A_DAY + 1) == A_DAY
    elsewhere = (409, "NotSupport.AccountInAnotherResourceDirectory")
    assert became(to_bind(shop, member)) == elsewhere
    assert became(to_bind(boss, member, "86-13812345678")) == COUNTRY


# The day


@pytest.mark.parametrize("what", ["to enable", "to bind"])
def test_the_next_day_begins_at_midnight_in_china(server, what):
    """At 16:00 UTC; refused just before, all hundred granted just after."""
    at(server, midnight(server) + 12 * HOUR)
    caller = newcomer(server) if what == "to enable" else manager(server)
    ask = to_enable if what == "to enable" else partial(to_bind, member=member_of(caller))
    send, ends = partial(ask, caller), midnight(server)
    assert ends.hour == 16
    assert granted(send, A_DAY) == A_DAY
    at(server, ends - 3 * SECOND)
    assert timedelta() < refused_for(send) <= 3 * SECOND
    at(server, ends)
    assert granted(send, A_DAY + 1) == A_DAY


def test_a_refused_send_does_not_make_the_day_longer(noon, shop):
    send = partial(to_enable, shop)
    assert granted(send, A_DAY) == A_DAY
    ends = midnight(noon)
    for _ in range(11):
        assert granted(send, 5) == 0
        noon.clock.pass_by(HOUR)
    at(noon, ends)
    assert granted(send, 1) == 1


def test_a_day_in_which_little_was_sent_gives_nothing_to_the_next(noon, shop):
    send = partial(to_enable, shop)
    assert granted(send, 1) == 1
    at(noon, midnight(noon) + 12 * HOUR)
    assert granted(send, A_DAY + 1) == A_DAY


# As a house sets it


def test_a_limit_may_trail_behind_now(serving):
    """ "100/24h": each send makes room a day later, not at midnight."""
    assert config.parse_limit("100/24h") == Limit(100, 86_400)
    with serving(aliyun=config.Aliyun(account=(Limit(100, 86_400),))) as server:
        send = partial(to_enable, newcomer(server))
        assert granted(send, 1) == 1
        server.clock.pass_by(HOUR)
        assert granted(send, A_DAY) == A_DAY - 1
        assert 22 * HOUR + 59 * MINUTE < refused_for(send) <= 23 * HOUR
        server.clock.pass_by(23 * HOUR - MINUTE)
        assert timedelta() < refused_for(send) <= MINUTE
        server.clock.pass_by(MINUTE)
        assert granted(send, 2) == 1
        server.clock.pass_by(HOUR)
        assert granted(send, A_DAY) == A_DAY - 1


@pytest.mark.parametrize("name", ["UTC", "America/New_York", "Pacific/Auckland"])
def test_a_day_may_be_one_of_elsewhere(serving, name):
    zone = ZoneInfo(name)
    with serving(aliyun=config.Aliyun(account=(Limit(3, span="day", zone=name),))) as server:
        at(server, midnight(server, zone) + 12 * HOUR)
        boss = manager(server)
        send, ends = partial(to_bind, boss, member_of(boss)), midnight(server, zone)
        assert granted(send, 4) == 3
        assert timedelta() <= refused_for(send) - (ends - server.clock()) <= 2 * SECOND
        at(server, ends - 3 * SECOND)
        assert granted(send, 1) == 0
        at(server, ends)
        assert granted(send, 4) == 3


def test_no_limit_is_no_limit(serving):
    with serving(aliyun=config.Aliyun(account=())) as server:
        assert granted(partial(to_enable, newcomer(server)), A_DAY + 10) == A_DAY + 10


def test_an_address_may_have_a_limit_as_well(serving):
    """Counted for each app, whichever of its accounts asks."""
    with serving(aliyun=config.Aliyun(destination=(Limit(3, 3600),))) as server:
        shop, to = newcomer(server), phone()
        assert granted(partial(to_enable, shop, to), 4) == 3
        assert timedelta() < refused_for(partial(to_enable, shop, to)) <= HOUR
        other = newcomer(server, app_id=shop.account.app_id)
        assert granted(partial(to_enable, other, to), 1) == 0
        assert granted(partial(to_enable, newcomer(server), to), 1) == 1
        assert granted(partial(to_enable, shop), 4) == 4


def american():
    return phone()


def german():
    return f"49-151{phone()[-8:]}"


def test_limits_of_other_scopes_hold_here_too(serving):
    """And what one of them refuses is spent on no other."""
    terms = {
        "limits": config.Limits(country=(Limit(3, 3600),)),
        "aliyun": config.Aliyun(account=(Limit(5, 86_400),)),
    }
    with serving(**terms) as server:
        shop = newcomer(server)

        def send(spelled):
            return to_enable(shop, spelled())

        assert granted(partial(send, american), 6) == 3
        assert timedelta() < refused_for(partial(send, american)) <= HOUR
        assert granted(partial(send, german), 3) == 2
        assert refused_for(partial(send, german)) > 23 * HOUR
        other = newcomer(server, app_id=shop.account.app_id)
        assert granted(lambda: to_enable(other, german()), 2) == 1


@pytest.mark.parametrize("scope", ["app", "prefix", "everything"])
def test_each_scope_of_the_house_holds_here_too(serving, scope):
    """Of the numbers of one block, when it is a prefix's."""
    limits = msgspec.structs.replace(config.Limits(), **{scope: (Limit(2, 3600),)})
    with serving(limits=limits) as server:
        shop = newcomer(server)
        assert granted(partial(to_enable, shop, "1-2025550123"), 3) == 2


# Beside other dialects


def test_the_limit_of_an_address_is_each_dialects_own(serving):
    """What the one sent there is not taken from the other, whichever window is longer."""
    ours, at_will = (
        config.Aliyun(destination=(Limit(3, 86_400),)),
        config.Policy(resend_interval_s=0),
    )
    with serving(aliyun=ours, policy=at_will) as server:
        app, to = server.do(server.service.apps.create(name="Shop", now=server.clock())), phone()
        shop = newcomer(server, app_id=app.id)
        body = {"channel": "sms", "purpose": "sign_up", "to": f"+{to.replace('-', '')}"}
        with server.client(server.key_of(app.id)) as client:
            natives = [client.post("/v1/verifications", json=body) for _ in range(5)]
            assert granted(partial(to_enable, shop, to), 4) == 3
            natives += [client.post("/v1/verifications", json=body) for _ in range(6)]
        assert [answer.is_success for answer in natives] == [True] * 10 + [False]


def test_dialects_do_not_take_from_each_other(serving):
    """One app that speaks all three, one phone: each has what it would have alone."""
    china, at_will = config.Aliyun(site="china"), config.Policy(resend_interval_s=0)
    with serving(deliver=True, aliyun=china, policy=at_will) as server:
        app = server.do(server.service.apps.create(name="Shop", now=server.clock()))
        shop, to = newcomer(server, app_id=app.id), "13812345678"
        boss = manager(server, app_id=app.id)
        member = member_of(boss)
        assert granted(partial(to_enable, shop, f"86-{to}"), 20) == 20
        assert granted(partial(to_bind, boss, member, f"86-{to}"), 20) == 20
        body = {"channel": "sms", "purpose": "sign_up", "to": f"+86{to}"}
        with server.client(server.key_of(app.id)) as client:
            natives = [client.post("/v1/verifications", json=body) for _ in range(11)]
        assert [answer.is_success for answer in natives] == [True] * 10 + [False]
        huaweis = partner(server, app_id=app.id)
        text = {"receiver_type": 1, "mobile_phone": to}
        told = [huaweis.ask(body=text).status for _ in range(16)]
        assert told == [204] * 15 + [400]
        assert granted(partial(to_enable, shop, f"86-{to}"), 1) == 1
