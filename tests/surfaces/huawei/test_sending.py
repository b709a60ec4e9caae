"""Sending a code through the vendor's own clients: what goes out, and every refusal."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from huaweicloudsdkbssintl.v2 import BssintlClient
from huaweicloudsdkbssintl.v2.region.bssintl_region import BssintlRegion
from huaweicloudsdkcore.auth.credentials import GlobalCredentials

from tests.surfaces.huawei.calling import (
    NO_MOBILES,
    SEND,
    VENDORS_WARNINGS,
    customer,
    mailbox,
    messages,
    nobody,
    phone,
    raised,
    refused,
    wanted,
)
from watchword.errors import StoreUnavailable

pytestmark = [pytest.mark.filterwarnings(one) for one in VENDORS_WARNINGS]
PARAMETER = (400, "CBC.0100")
MALFORMED = (400, "CBC.99004004")
CHINESE, ENGLISH = "分钟", "minute"


def life(server):
    """How many minutes the newest code lives, by the store."""
    ((opened, ends),) = server.rows(
        "SELECT opened_at, expires_at FROM challenges ORDER BY serial DESC LIMIT 1"
    )
    return timedelta(microseconds=ends - opened) / timedelta(minutes=1)


def nothing_sent(still, body):
    """A send that is refused, and leaves nothing behind."""
    before = still.server.digest()
    refusal = still.ask(body=body).refusal
    assert still.server.digest() == before
    return refusal


def test_a_code_is_sent_and_nothing_is_said(delivering, shop, ann):
    """204, which the client reads as an empty success; six digits arrive."""
    assert shop.send(ann).status_code == 204
    (message,) = messages(delivering, ann)
    assert (len(message.code), message.code.isdigit()) == (6, True)
    assert message.code in message.text


def test_a_204_has_neither_body_nor_length_nor_type(shop, ann):
    reply = shop.ask(body=wanted(ann))
    assert (reply.status, reply.body) == (204, b"")
    assert not {"content-length", "content-type", "transfer-encoding"} & set(reply.headers)
    assert len(reply.headers["x-request-id"]) == 32


@pytest.mark.parametrize("path", [SEND + "/", SEND.replace("send", "%73end")])
def test_a_path_is_served_however_it_is_spelled(shop, ann, path):
    """The vendor's clients follow no redirect."""
    assert shop.ask(path=path, body=wanted(ann)).status == 204


TIMEOUTS = {
    "1": 1, "5": 5, "60": 60, "61": 5, "3000": 5, "null": 10, "10": 10,
    "0": None, "-1": None, "3001": None, '"5"': None, '""': None, "5.0": None, "5.5": None,
    "true": None, "false": None, "[5]": None, "{}": None, str(10**30): None, str(-(10**30)): None,
    "1e400": None, "9" * 4000: None,
}  # fmt: skip


@pytest.mark.parametrize(("timeout", "minutes"), TIMEOUTS.items(), ids=lambda v: str(v)[:9])
def test_the_timeout_is_how_long_a_code_lives(delivering, shop, still, ann, timeout, minutes):
    """1 to 60 minutes as asked, 61 to 3000 are 5, null is 10, all else is refused."""
    body = f'{{"receiver_type": 2, "email": "{ann}", "lang": "en-us", "timeout": {timeout}}}'
    if minutes is None:
        assert nothing_sent(still, body.encode()) == PARAMETER
    else:
        assert shop.ask(body=body.encode()).status == 204
        assert life(delivering) == minutes
        plural = "minute" if minutes == 1 else "minutes"
        assert f"valid for {minutes} {plural}" in messages(delivering, ann)[-1].text


def test_a_timeout_that_is_left_out_is_ten_minutes(delivering, shop, ann):
    shop.send(ann)
    assert life(delivering) == 10


LANGUAGES = {
    "zh-cn": CHINESE, "en-us": ENGLISH, "EN-US": ENGLISH, "zh-CN": CHINESE, "": CHINESE,
    None: CHINESE, "fr-fr": CHINESE, "x" * 16: CHINESE, "😀" * 16: CHINESE, "\0": CHINESE,
    "x" * 17: None, "en-us" + " " * 12: None, 7: None, True: None,
}  # fmt: skip


@pytest.mark.parametrize(("lang", "words"), LANGUAGES.items(), ids=repr)
def test_the_language_is_the_one_asked_for_or_chinese(delivering, shop, still, ann, lang, words):
    """Unknown ones fall back; 17 characters are a parameter error."""
    body = {**wanted(ann), "lang": lang}
    if words is None:
        assert nothing_sent(still, body) == PARAMETER
    else:
        assert shop.ask(body=body).status == 204
        assert words in messages(delivering, ann)[-1].text


def test_a_language_that_is_left_out_is_chinese(delivering, shop, ann):
    shop.send(ann)
    assert CHINESE in messages(delivering, ann)[-1].text


RECEIVERS = [
    {"receiver_type": None},
    {"receiver_type": 0},
    {"receiver_type": 3},
    {"receiver_type": -2},
    {"receiver_type": "2"},
    {"receiver_type": True},
    {"receiver_type": 2.0},
    {"receiver_type": [2]},
    {"receiver_type": 10**30},
    {"receiver_type": 1},
    {"receiver_type": 1, "mobile_phone": None},
    {"receiver_type": 1, "mobile_phone": ""},
    {"receiver_type": 1, "mobile_phone": "138"},
    {"receiver_type": 1, "mobile_phone": "13800138000x"},
    {"receiver_type": 1, "mobile_phone": "+14155550100"},
    {"receiver_type": 1, "mobile_phone": "１３８００１３８０００"},
    {"receiver_type": 1, "mobile_phone": "+86" + " " * 19 + "13800138000"},
    {"receiver_type": 1, "mobile_phone": 13800138000},
    *({"receiver_type": 1, "mobile_phone": to} for to in NO_MOBILES),
    {"receiver_type": 1, "mobile_phone": "13800138000", "scene": 0},
    {"receiver_type": 1, "mobile_phone": "13800138000", "scene": ""},
    {"receiver_type": 1, "mobile_phone": "13800138000", "scene": "29"},
    {"receiver_type": 1, "mobile_phone": "13800138000", "scene": 18},
    {"receiver_type": 1, "mobile_phone": "13800138000", "scene": 18, "customer_id": ""},
    {"receiver_type": 1, "mobile_phone": "13800138000", "scene": 18, "customer_id": "x" * 65},
]


@pytest.mark.parametrize("changes", RECEIVERS, ids=str)
def test_a_wrong_receiver_is_a_parameter_error(still, ann, changes):
    """2 is a mailbox, 1 a Chinese phone that has to be there; nothing else is either."""
    assert nothing_sent(still, {**wanted(ann), **changes}) == PARAMETER


def test_the_clients_say_what_is_missing(shop, ann):
    """They leave out what is None, and check nothing."""
    assert refused(shop.send, ann, receiver_type=None) == PARAMETER
    assert refused(shop.send, ann, receiver_type=1) == PARAMETER
    assert refused(shop.text, None) == PARAMETER
    assert refused(shop.text, phone(), scene=18) == PARAMETER
    assert refused(shop.send, None) == MALFORMED


@pytest.mark.parametrize("spelling", ["{}", "+86{}", "0086{}", "+86 {}", "+86-{}"])
def test_the_china_edition_writes_to_phones(delivering, shop, spelling):
    to = phone()
    assert shop.text(spelling.format(to)).status_code == 204
    assert messages(delivering, f"+86{to}")[-1].channel == "sms"


def test_a_bank_card_has_a_code_of_its_own(delivering, shop):
    """scene 18 and customer_id; the code for registering stays another one."""
    to = phone()
    shop.text(to, scene=18, customer_id="x" * 64, lang="en-us")
    (message,) = messages(delivering, f"+86{to}")
    assert refused(
        shop.register_chinese, mobile_phone=to, verification_code=message.code
    ) == (400, "CBC.99004008")  # fmt: skip


@pytest.mark.parametrize(
    "email",
    [
        "", " ", "ann", "ann@", "@example.com", "a b@example.com", "ann@example..com", "a@b@c.com",
        "ann@example.com\r\nBcc: eve@example.com", "ann@example.com\0", ".ann@example.com",
        "ann@[127.0.0.1]", "\ud800@example.com", '"ann@example.com', "Ann <ann@example.com>",
    ],
    ids=ascii,
)  # fmt: skip
def test_a_mailbox_that_is_none_has_a_code_of_its_own(still, email):
    """99004004; a lone surrogate is no JSON in the first place."""
    expected = PARAMETER if "\ud800" in email else MALFORMED
    assert nothing_sent(still, wanted(email)) == expected


@pytest.mark.parametrize("email", [None, "-"], ids=["null", "missing"])
def test_a_mailbox_that_is_missing_is_an_empty_one(still, email):
    body = {"receiver_type": 2} if email else {"receiver_type": 2, "email": None}
    assert nothing_sent(still, body) == MALFORMED


def test_a_mailbox_has_at_most_64_characters(delivering, shop):
    """The 65th is a parameter error."""
    most = mailbox().rjust(64, "x")
    assert shop.send(most).status_code == 204
    assert messages(delivering, most)
    assert refused(shop.send, "x" + most) == PARAMETER


@pytest.mark.parametrize(
    "spelling",
    ["{}@bücher.example.com", "{}@xn--bcher-kva.example.com", "jörg{}@example.com",
     '"{} b"@example.com', "{}+tag@example.com", "{}@EXAMPLE.com", "{}@例子.测试",
     "😀{}@example.com"],
)  # fmt: skip
def test_any_mailbox_gets_its_code(delivering, shop, spelling):
    """Other scripts, quotes and tags too."""
    to = spelling.format(mailbox().partition("@")[0])
    assert shop.send(to).status_code == 204
    assert messages(delivering, to)[-1].to == to


def test_what_is_unknown_is_not_looked_at(shop, ann):
    """Members of other editions and future ones."""
    body = {**wanted(ann), "scene": 18, "mobile_phone": "x", "customer_id": "", "more": {"a": [1]}}
    assert shop.ask(body=body).status == 204


# Refusals that are about more than the request


def test_a_mailbox_that_the_carrier_refuses_has_no_code(delivering, shop):
    """99004003 at once; the code that went nowhere is dead, and nothing stays to guess at."""
    to = f"refuse+{mailbox()}"
    assert refused(shop.send, to) == (400, "CBC.99004003")
    given = {"email": to, "verification_code": "123456"}
    assert refused(shop.register, **given) == (400, "CBC.99004008")
    assert messages(delivering, to) == []


@pytest.mark.parametrize("times", [2, 3])
def test_of_sends_at_once_none_is_taken_for_sent(shop, times):
    """The carrier refuses one of them; those that this ends were refused as well."""
    with ThreadPoolExecutor(times) as pool:
        for _ in range(5):
            body = wanted(f"refuse+{mailbox()}")
            asking = [pool.submit(shop.ask, body=body) for _ in range(times)]
            refusals = [one.result().refusal for one in asking]
            assert refusals == [(400, "CBC.99004003")] * times


def test_a_send_that_newer_ones_replaced_was_not_refused(delivering, shop):
    """Its code may still be on its way, for all that is known."""
    to = f"down+{mailbox()}"
    with ThreadPoolExecutor(6) as pool:
        replies = list(pool.map(lambda body: shop.ask(body=body), [wanted(to)] * 6))
    assert [reply.status for reply in replies] == [204] * 6
    states = delivering.rows(
        "SELECT d.state FROM deliveries d JOIN challenges c ON c.serial = d.challenge "
        "ORDER BY d.id DESC LIMIT 6"
    )
    assert ("cancelled",) in states


def test_a_carrier_that_is_away_counts_as_one_that_sends_later(shop):
    assert shop.send(f"down+{mailbox()}").status_code == 204


def test_a_suspended_partner_is_no_partner_for_now(delivering, shop, ann):
    """99000035 for each of its calls, until it is resumed."""
    accounts, now = delivering.service.huawei.accounts, delivering.clock()
    delivering.do(accounts.suspend(shop.account.id, now))
    for call in (shop.send, shop.text):
        assert refused(call, ann) == (400, "CBC.99000035")
    assert refused(shop.register) == (400, "CBC.99000035")
    assert refused(shop.look_for, "email", ann) == (400, "CBC.99000035")
    delivering.do(accounts.resume(shop.account.id, now))
    assert shop.send(ann).status_code == 204


def test_who_is_no_partner_is_denied(delivering, ann):
    """0151 for every call that is a partner's; its own domain it may know."""
    other = nobody(delivering)
    assert refused(other.send, ann) == (403, "CBC.0151")
    assert refused(other.register) == (403, "CBC.0151")
    assert refused(other.look_for, "email", ann) == (403, "CBC.0151")
    assert other.domains().json["domains"][0]["id"] == other.account.id


def test_a_disabled_user_is_denied(delivering, shop, ann):
    accounts, now = delivering.service.huawei.accounts, delivering.clock()
    delivering.do(accounts.disable_user(shop.user.id, now))
    assert refused(shop.send, ann) == (403, "CBC.0151")
    delivering.do(accounts.enable_user(shop.user.id, now))
    assert shop.send(ann).status_code == 204


@pytest.mark.parametrize(("verb", "call"), [("issue", "send"), ("write", "register")])
def test_a_store_that_is_away_did_nothing(delivering, shop, ann, monkeypatch, verb, call):
    """0999 with 500, and Retry-After."""

    async def away(*_):
        raise StoreUnavailable

    monkeypatch.setattr(type(delivering.service.store), verb, away)
    given = {"send": {"email": ann}, "register": {}}[call]
    assert refused(getattr(shop, call), **given) == (500, "CBC.0999")
    path, body = (
        (SEND, wanted(ann)) if call == "send" else ("/v2/partners/sub-customers", customer())
    )
    assert shop.ask(path=path, body=body).headers["retry-after"] == "1"


def test_a_stray_error_tells_nothing(delivering, shop, ann, monkeypatch, capfd):
    """500 in the dialect's shape; the log has its name and not its words."""

    async def stumbling(*_):
        raise ValueError("cannot send 493817")

    monkeypatch.setattr(type(delivering.service.store), "issue", stumbling)
    error = raised(shop.send, ann)
    assert (error.status_code, error.error_code) == (500, "CBC.0999")
    said = "".join(capfd.readouterr())
    assert "ValueError" in said
    assert "493817" not in said + error.error_msg


def test_a_client_without_a_domain_id_looks_it_up(still, monkeypatch):
    """The usual program of the vendor's has a region, and nothing but its key."""
    for name in ("REGION_BSSINTL_AP_SOUTHEAST_1", "IAM_ENDPOINT"):
        monkeypatch.setenv(f"HUAWEICLOUD_SDK_{name}", still.server.url)
    building = BssintlClient.new_builder().with_credentials(GlobalCredentials(still.ak, still.sk))
    client = building.with_region(BssintlRegion.value_of("ap-southeast-1")).build()
    assert client.get_credentials().domain_id == still.account.id
