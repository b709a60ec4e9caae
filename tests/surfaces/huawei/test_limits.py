"""How many codes an address gets: 15 an hour and 60 a day, of what is sent and not of what is
refused."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from tests.surfaces.huawei.calling import (
    CREATE,
    SEND,
    VENDORS_WARNINGS,
    partner,
    phone,
    raised,
    travelled,
    wanted,
)

pytestmark = [pytest.mark.filterwarnings(one) for one in VENDORS_WARNINGS]
LIMIT = (400, "CBC.99004015")
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


def fill(shop, to, times=15):
    for _ in range(times):
        assert shop.send(to).status_code == 204


def refused_for(shop, to):
    """How long a send is told to wait that is one too many."""
    reply = shop.ask(body=wanted(to))
    assert reply.refusal == LIMIT
    return timedelta(seconds=int(reply.headers["retry-after"]))


def test_fifteen_an_hour_that_trails_behind_now(delivering, shop, ann):
    """The 16th is told when to come back; then there is room for one, and for no second one."""
    fill(shop, ann, 1)
    delivering.clock.pass_by(10 * MINUTE)
    fill(shop, ann, 14)
    error = raised(shop.send, ann)
    assert (error.status_code, error.error_code) == LIMIT
    assert 49 * MINUTE < refused_for(shop, ann) <= 50 * MINUTE
    delivering.clock.pass_by(49 * MINUTE)
    assert refused_for(shop, ann) <= MINUTE
    delivering.clock.pass_by(MINUTE)
    fill(shop, ann, 1)
    assert 9 * MINUTE < refused_for(shop, ann) <= 10 * MINUTE


def test_sixty_a_day_that_trails_behind_now(delivering, shop, ann):
    """The 61st waits for the first to be a day old."""
    for _ in range(4):
        fill(shop, ann, 15)
        delivering.clock.pass_by(HOUR)
    assert 19 * HOUR < refused_for(shop, ann) <= 20 * HOUR
    delivering.clock.pass_by(20 * HOUR - MINUTE)
    assert refused_for(shop, ann) <= MINUTE
    delivering.clock.pass_by(MINUTE)
    fill(shop, ann, 15)
    assert refused_for(shop, ann) > 58 * MINUTE


@pytest.mark.parametrize("spelling", ["{}+tag@{}", "{}+@{}", '"{}"@{}', '"{}+x y"@{}'])
def test_a_tag_makes_no_other_mailbox(shop, ann, spelling):
    """Nor do capitals, or quotes."""
    fill(shop, ann, 13)
    local, _, domain = ann.partition("@")
    fill(shop, spelling.format(local, domain), 1)
    fill(shop, ann.upper(), 1)
    for to in (ann, spelling.format(local, domain), ann.upper(), f"{local}+other@{domain}"):
        assert refused_for(shop, to)


def test_a_phone_is_one_however_it_is_written(shop):
    """And whatever its code is for."""
    to = phone()
    for _ in range(13):
        shop.text(to)
    shop.text(f"+86 {to}", scene=18, customer_id="c")
    shop.text(f"0086{to}", scene=18, customer_id="d")
    error = raised(shop.text, to)
    assert (error.status_code, error.error_code) == LIMIT


def test_partners_are_counted_apart(delivering, shop, ann):
    """What one sends is not taken from the other."""
    fill(shop, ann, 15)
    other = partner(delivering)
    fill(other, ann, 15)
    assert refused_for(shop, ann)
    assert refused_for(other, ann)


def bad_ones(shop, to):
    """Requests about this address that are refused, each for another reason."""
    right = wanted(to)
    signed = shop.signed(body=b"{}")
    for changes in (
        {"receiver_type": 3}, {"receiver_type": "2"}, {"timeout": 0}, {"timeout": 3001},
        {"timeout": "5"}, {"lang": "x" * 17}, {"lang": 1}, {"email": [to]}, {"email": f"{to} "},
        {"email": f"{to}\0"}, {"email": to.rjust(65, "x")}, {"receiver_type": 1},
    ):  # fmt: skip
        yield shop.ask(body={**right, **changes})
    yield shop.ask(body=b"")
    yield shop.ask(body=b"[]")
    yield shop.ask(body=b'{"receiver_type": 2, "email": "%b"' % to.encode())
    yield shop.ask(body=right, Content_Type="text/plain")
    yield shop.ask(body={**right, "more": "x" * 65536})
    yield shop.ask("PUT", body=right)
    yield shop.ask(path=SEND + "/x", body=right)
    yield shop.ask(body=right, off=20 * MINUTE)
    yield shop.ask(body=right, X_Auth_Token="x")
    yield travelled(shop.server, "POST", SEND, b"{}", {})
    yield travelled(shop.server, "POST", SEND, b"{ }", signed.items())
    yield travelled(shop.server, "POST", SEND, b"{}", [*signed.items(), ("X-Sdk-Date", "1")])
    yield shop.ask(path=CREATE, body={"email": to, "verification_code": "123456"})


def test_a_refused_request_counts_nothing(delivering, shop, ann):
    """After 14 sends and many refusals of every kind exactly one more is sent."""
    fill(shop, ann, 14)
    for reply in bad_ones(shop, ann):
        status, _ = reply.refusal
        assert 400 <= status < 500
    fill(shop, ann, 1)
    for _ in range(3):
        assert refused_for(shop, ann)
    assert shop.domains().status == 200


def test_a_limit_that_is_reached_counts_no_refusal(delivering, shop, ann):
    """However often somebody asks in vain, the hour ends when it would have."""
    fill(shop, ann)
    delivering.clock.pass_by(30 * MINUTE)
    for _ in range(20):
        assert refused_for(shop, ann) <= 30 * MINUTE
    delivering.clock.pass_by(30 * MINUTE)
    fill(shop, ann)


def test_of_many_at_once_exactly_fifteen_are_sent(delivering, shop, ann):
    """Counted before it is sent, and in one act."""
    with ThreadPoolExecutor(10) as pool:
        replies = list(pool.map(lambda _: shop.ask(body=wanted(ann)), range(40)))
    assert sorted(reply.status for reply in replies) == [204] * 15 + [400] * 25
    assert {reply.refusal for reply in replies if reply.status == 400} == {LIMIT}
