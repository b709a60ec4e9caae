"""An app that speaks both dialects: what each may send is its own, and what was guessed is counted
for both."""

from datetime import timedelta

import pytest

from tests.surfaces.huawei.calling import (
    VENDORS_WARNINGS,
    mailbox,
    partner,
    refused,
    sent,
    wrong,
)
from watchword.config import Limit, Limits, Policy

pytestmark = [pytest.mark.filterwarnings(one) for one in VENDORS_WARNINGS]
LIMIT, WRONG = (400, "CBC.99004015"), (400, "CBC.99004010")
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


@pytest.fixture(scope="module")
def brief(serving):
    """A server whose native limit has a shorter window than Huawei's."""
    terms = {
        "limits": Limits(destination=(Limit(10, 3600),)),
        "policy": Policy(resend_interval_s=0),
    }
    with serving(deliver=True, **terms) as running:
        yield running


@pytest.fixture
def app(brief):
    """An app of the native dialect."""
    return brief.do(brief.service.apps.create(name="Shop", now=brief.clock()))


@pytest.fixture
def shop(brief, app):
    """A partner that speaks for it."""
    return partner(brief, app_id=app.id)


@pytest.fixture
def send(brief, app):
    """Send by the native dialect; whether it is sent."""
    with brief.client(brief.key_of(app.id)) as client:

        def asked(to):
            body = {"channel": "email", "purpose": "sign_up", "to": to}
            answer = client.post("/v1/verifications", json=body)
            assert answer.status_code in (200, 201, 429)
            return answer.is_success

        yield asked


def granted(shop, to, times):
    """How many of so many sends are sent."""
    told = [shop.ask(body={"receiver_type": 2, "email": to}) for _ in range(times)]
    assert {one.refusal for one in told if one.status != 204} <= {LIMIT}
    return sum(one.status == 204 for one in told)


@pytest.mark.parametrize("is_disturbed", [False, True], ids=["alone", "with native sends"])
def test_sixty_a_day_are_sixty_whoever_else_sends(brief, shop, send, is_disturbed):
    """What the shorter window forgets is remembered for the longer one."""
    to = mailbox()
    for _ in range(4):
        assert granted(shop, to, 16) == 15
        brief.clock.pass_by(61 * MINUTE)
    assert granted(shop, to, 1) == 0
    if is_disturbed:
        assert send(to)
    brief.clock.pass_by(62 * MINUTE)
    while brief.do(brief.service.store.sweep(brief.clock(), most=500)).more:
        pass
    for _ in range(4):
        assert granted(shop, to, 1) == 0
        brief.clock.pass_by(61 * MINUTE)
    brief.clock.pass_by(15 * HOUR)
    assert granted(shop, to, 1) == 1


def test_ten_an_hour_are_ten_whoever_else_sends(shop, send):
    to = mailbox()
    assert granted(shop, to, 15) == 15
    assert [send(to) for _ in range(11)] == [True] * 10 + [False]
    assert granted(shop, to, 1) == 0


def test_what_was_guessed_is_counted_for_both(shop, send):
    """30 wrong codes of one dialect stop the other one too: they are about one person."""
    to = mailbox()
    for _ in range(10):
        code = sent(shop, to)
        for _ in range(3):
            assert refused(shop.register, email=to, verification_code=wrong(code)) == WRONG
    assert not send(to)
    assert send(mailbox())
