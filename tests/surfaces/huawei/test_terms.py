"""What a house may set differently from the vendor: each setting of [huawei], and who is near."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.surfaces.huawei.calling import (
    CREATE,
    DOMAINS,
    PASSWORD,
    SEND,
    THERE,
    VENDORS_WARNINGS,
    customer,
    mailbox,
    messages,
    partner,
    phone,
    refused,
    sent,
    texted,
    travelled,
)
from tests.surfaces.travel import HERE
from watchword.config import Huawei, Limit
from watchword.domain.app import Terms

pytestmark = [pytest.mark.filterwarnings(one) for one in VENDORS_WARNINGS]
PHONE_FULL = (400, "CBC.99000030")


@pytest.fixture(scope="module")
def otherwise(serving):
    """A server whose terms are all other than they usually are."""
    terms = Huawei(
        customers_per_phone=2, language="en-us", destination=(Limit(4, 3600),), ak_lock="vendor"
    )
    with serving(deliver=True, huawei=terms) as running:
        yield running


def test_a_phone_has_as_many_customers_as_the_house_allows(otherwise):
    """99000030 for the third where two may share it; its code stays good."""
    shop, to = partner(otherwise), phone()
    for left in (2, 1):
        told = shop.look_for("mobile", f"0086-{to}")
        assert (told.check_result, told.mobile_remain_available_num) == ("available", left)
        shop.register_chinese(mobile_phone=to, verification_code=texted(shop, to))
    told = shop.look_for("mobile", f"0086-{to}")
    assert (told.check_result, told.mobile_remain_available_num) == ("used_by_user", 0)
    code = texted(shop, to)
    for _ in range(4):
        assert refused(shop.register_chinese, mobile_phone=to, verification_code=code) == PHONE_FULL


def test_two_at_once_get_a_place_each(otherwise):
    """Nobody is told that a phone is full while it has a place left."""
    to = phone()
    shops = [partner(otherwise) for _ in range(3)]
    codes = [texted(shop, to) for shop in shops]

    def race(shop, code):
        given = customer(mobile_phone=to, verification_code=code, password=PASSWORD)
        return shop.ask(path=CREATE, body=given)

    with ThreadPoolExecutor(3) as pool:
        replies = list(pool.map(race, shops, codes))
    assert sorted(reply.status for reply in replies) == [200, 200, 400]
    assert [reply.refusal for reply in replies if reply.status == 400] == [PHONE_FULL]


@pytest.mark.parametrize("lang", [None, "", "fr-fr"])
def test_the_usual_language_may_be_english(otherwise, ann, lang):
    partner(otherwise).send(ann, lang=lang)
    assert "minute" in messages(otherwise, ann)[-1].text


LANGUAGES = [
    ("zh-cn", None, "分钟"), ("zh-cn", "fr-fr", "分钟"), ("zh-cn", "en-us", "minute"),
    ("en-us", None, "minute"), ("en-us", "zh-cn", "分钟"), ("", None, "minute"),
]  # fmt: skip


@pytest.mark.parametrize(("language", "lang", "words"), LANGUAGES, ids=str)
def test_a_partner_may_have_a_language_of_its_own(otherwise, ann, language, lang, words):
    """Before that of the house, and after the one that is asked for."""
    partner(otherwise, language=language).send(ann, lang=lang)
    assert words in messages(otherwise, ann)[-1].text


@pytest.mark.parametrize("purpose", ["*", "sign_up"])
def test_a_code_has_six_digits_whatever_its_app_says(delivering, shop, ann, purpose):
    """An app's length is for the native dialect: this one creates customers with six."""
    apps, terms = delivering.service.apps, Terms(length=8)
    delivering.do(apps.set_terms(shop.account.app_id, purpose, lambda _: terms, delivering.clock()))
    code = sent(shop, ann)
    assert (len(code), code.isdigit()) == (6, True)
    assert shop.register(email=ann, verification_code=code).domain_id
    to = phone()
    assert len(texted(shop, to)) == 6


def test_the_limit_of_an_address_may_be_another(otherwise, ann):
    shop = partner(otherwise)
    for _ in range(4):
        shop.send(ann)
    assert refused(shop.send, ann) == (400, "CBC.99004015")


def lock(shop, source, **headers):
    """Guess until no more may be wrong; `headers` came without being signed."""
    for _ in range(6):
        pairs = {**shop.signed(body=b"{}"), **headers}.items()
        reply = travelled(shop.server, "POST", SEND, b"{ }", pairs, source=source)
        assert reply.json["error_msg"].endswith("verify aksk signature fail")


def is_locked(shop, source=HERE, **headers):
    pairs = {**shop.signed("GET", DOMAINS), **headers}.items()
    reply = travelled(shop.server, "GET", DOMAINS, b"", pairs, source=source)
    assert reply.status in (200, 401)
    return reply.status == 401


def test_the_vendors_lock_is_for_everyone(otherwise):
    shop = partner(otherwise)
    lock(shop, THERE)
    assert is_locked(shop, HERE)
    assert is_locked(shop, THERE)


def test_a_proxy_that_is_trusted_tells_the_networks_apart(proxied):
    """Its X-Forwarded-For says who guessed."""
    shop = partner(proxied)
    ours, theirs = {"X-Forwarded-For": "192.0.2.1"}, {"X-Forwarded-For": "198.51.100.7, 192.0.2.9"}
    lock(shop, THERE, **theirs)
    assert is_locked(shop, THERE, **theirs)
    assert not is_locked(shop, THERE, **ours)
    assert not is_locked(shop, HERE)


def test_nobody_else_is_believed(proxied):
    """Whoever calls can write that header."""
    shop = partner(proxied)
    lock(shop, HERE, **{"X-Forwarded-For": "192.0.2.1"})
    assert is_locked(shop, HERE, **{"X-Forwarded-For": "192.0.2.2"})
    assert not is_locked(shop, THERE, **{"X-Forwarded-For": "192.0.2.1"})


def test_a_network_of_ipv6_is_a_64(proxied):
    """Its neighbours within share the lock."""
    shop = partner(proxied)
    lock(shop, THERE, **{"X-Forwarded-For": "2001:db8::1"})
    assert is_locked(shop, THERE, **{"X-Forwarded-For": "2001:db8::ffff"})
    assert not is_locked(shop, THERE, **{"X-Forwarded-For": "2001:db8:0:1::1"})


def test_mailboxes_are_not_counted_against_each_other(otherwise):
    shop = partner(otherwise)
    for _ in range(6):
        assert shop.send(mailbox()).status_code == 204
