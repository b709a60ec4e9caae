"""How much a number, a device and a network get, and that a refusal takes nothing."""

from datetime import timedelta

import pytest

from tests.surfaces.ciam.calling import (
    CAPTCHA,
    SCENES,
    SEND,
    TERMS,
    device,
    messages,
    mobile,
    queued,
)
from watchword.config import Captcha, Limit, Limits

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
SECOND = timedelta(seconds=1)
FAILED = "CAPTCHA.0006"


def fill(caller, to, times=5, scene="LOGIN_SMS"):
    """So many sends, a minute apart."""
    for _ in range(times):
        assert caller.send(to, scene).is_done
        caller.server.clock.pass_by(MINUTE)


def wait_of(caller, to, scene="LOGIN_SMS"):
    """How long a send is told to wait that is one too many. Nothing is sent."""
    before = queued(caller.server)
    reply = caller.send(to, scene)
    assert reply.code == FAILED
    assert queued(caller.server) <= before
    return reply.wait


def test_a_minute_lies_between_two_sends(front, shop, ann):
    """In one scene; what is refused moves nothing, and another scene is another code."""
    assert shop.send(ann).is_done
    assert 50 * SECOND < wait_of(shop, ann) <= MINUTE
    front.clock.pass_by(30 * SECOND)
    assert 20 * SECOND < wait_of(shop, ann) <= 30 * SECOND
    assert shop.send(ann, "BIND_MOBILE_SMS").is_done
    front.clock.pass_by(30 * SECOND)
    assert shop.send(ann).is_done
    assert len(messages(front, ann)) == 3


def test_five_an_hour_whatever_they_are_for(front, shop, ann):
    """The sixth is told when to come back; then there is room for one, and for no second one."""
    for scene in SCENES[:5]:
        fill(shop, ann, 1, scene)
    assert 54 * MINUTE < wait_of(shop, ann, SCENES[5]) <= 55 * MINUTE
    front.clock.pass_by(54 * MINUTE)
    assert wait_of(shop, ann) <= MINUTE
    front.clock.pass_by(MINUTE)
    assert shop.send(ann).is_done
    assert wait_of(shop, ann, SCENES[5]) <= MINUTE


def test_ten_a_day(front, shop, ann):
    fill(shop, ann)
    front.clock.pass_by(HOUR)
    fill(shop, ann)
    front.clock.pass_by(HOUR)
    assert 21 * HOUR < wait_of(shop, ann) <= 22 * HOUR
    front.clock.pass_by(22 * HOUR - MINUTE)
    fill(shop, ann, 1)


def test_a_refusal_takes_nothing(front, shop, ann):
    """After four sends and refusals of every kind exactly one more is sent."""
    fill(shop, ann, 4)
    for body in (
        {},
        {"mobile": ann},
        {"mobile": ann, "type": "LOGIN_SMS"},
        {"mobile": ann, "type": "LOGIN_SMS", "captcha_token": "x"},
        {"mobile": ann, "type": "x", "captcha_token": shop.pass_for(ann)},
    ):
        assert shop.post(SEND, body).code
    assert shop.post(SEND, b"{").code == "PARAM.0000"
    assert shop.send(ann).is_done
    assert wait_of(shop, ann) <= MINUTE
    front.clock.pass_by(MINUTE)
    for _ in range(3):
        assert wait_of(shop, ann) <= 56 * MINUTE


def test_numbers_and_applications_are_counted_apart(front, shop, ann):
    fill(shop, ann)
    fill(shop, mobile(), 1)
    fill(device(front), ann)
    assert wait_of(shop, ann)


def test_a_mailbox_is_counted_without_its_tag(shop, box):
    local, _, domain = box.partition("@")
    for to in (box, f"{local}+a@{domain}", box.upper(), f"{local}+b@{domain}", f"{local}@{domain}"):
        fill(shop, to, 1, "LOGIN_EMS")
    assert wait_of(shop, f"{local}+c@{domain}", "LOGIN_EMS")


# Devices and networks


def counting(serving, by_network=True, **limits):
    return serving(
        **TERMS,
        deliver=True,
        limits=Limits(by_network=by_network, **{"network": (), "fingerprint": (), **limits}),
    )


@pytest.mark.parametrize(
    ("scope", "same", "other"),
    [("fingerprint", "network", "fingerprint"), ("network", "fingerprint", "network")],
)
def test_devices_and_networks_have_their_own_limits(serving, scope, same, other):
    """Whichever numbers they ask for; somebody else is not in the way."""
    with counting(serving, **{scope: (Limit(3, 3600),)}) as running:
        caller = device(running)
        for _ in range(3):
            assert caller.send(mobile()).is_done
        to = mobile()
        assert 59 * MINUTE < wait_of(caller, to) <= HOUR
        assert wait_of(caller.beside(**{same: "10.1.2.3"}), to)
        assert caller.beside(**{other: "10.1.2.3"}).send(to).is_done
        running.clock.pass_by(HOUR)
        assert caller.send(mobile()).is_done


def test_without_networks_nothing_is_counted_by_them(serving):
    """`limits.by_network = false`, for test rigs: numbers are counted still."""
    spent = (Limit(1, 3600),)
    captcha = Captcha(altcha=TERMS["captcha"].altcha, network=spent, wrong=spent, usual_work=spent)
    terms = {**TERMS, "captcha": captcha}
    limits = Limits(by_network=False, network=spent, fingerprint=spent)
    with serving(**terms, deliver=True, limits=limits) as running:
        caller, to = device(running), mobile()
        for _ in range(3):
            assert caller.verify(to, caller.captcha(), "x").code == "CAPTCHA.0002"
        fill(caller, mobile(), 1)
        fill(caller, to)
        assert wait_of(caller, to)


def test_a_network_is_shown_so_many_captchas(serving):
    """Of all kinds together; which device asks is all the same."""
    captcha = Captcha(altcha=TERMS["captcha"].altcha, network=(Limit(3, 60),))
    with serving(**{**TERMS, "captcha": captcha}) as running:
        caller = device(running)
        for kind in ("altcha", "altcha", "jigsaw"):
            assert caller.ask("GET", f"{CAPTCHA}?captchaType={kind}").status == 200
        reply = caller.beside(fingerprint="another").ask("GET", CAPTCHA)
        assert reply.code == FAILED
        assert 50 * SECOND < reply.wait <= MINUTE
        assert caller.beside(network="10.1.2.3").captcha()
        running.clock.pass_by(MINUTE)
        assert caller.captcha()


def test_a_network_may_be_wrong_so_often(serving, ann):
    """Then it is shown nothing, and no answer of it is heard, not even a right one."""
    captcha = Captcha(altcha=TERMS["captcha"].altcha, wrong=(Limit(3, 600),))
    with serving(**{**TERMS, "captcha": captcha}) as running:
        caller = device(running)
        kept = caller.captcha()
        for _ in range(3):
            assert caller.verify(ann, caller.captcha(), "x").code == "CAPTCHA.0002"
        for reply in (caller.verify(ann, kept), caller.ask("GET", CAPTCHA)):
            assert reply.code == FAILED
            assert 9 * MINUTE < reply.wait <= 10 * MINUTE
        other = caller.beside(network="10.1.2.3")
        assert other.verify(ann, other.captcha()).status == 200
        assert other.verify(ann, kept).status == 200
        running.clock.pass_by(10 * MINUTE)
        assert caller.verify(ann, caller.captcha()).status == 200


def test_right_answers_are_not_counted_as_wrong(serving, ann):
    captcha = Captcha(altcha=TERMS["captcha"].altcha, wrong=(Limit(1, 600),))
    with serving(**{**TERMS, "captcha": captcha}) as running:
        caller = device(running)
        for _ in range(3):
            assert caller.pass_for(ann)


# Whom a request is counted for


def from_where(caller, to, **headers):
    body = {"mobile": to, "type": "LOGIN_SMS", "captcha_token": caller.pass_for(to)}
    return caller.post(SEND, body, **headers)


def test_a_device_that_tells_its_address_is_not_believed(serving):
    """X-device-ip says what the client likes: it is counted for where it comes from."""
    with counting(serving, network=(Limit(2, 3600),)) as running:
        caller = device(running)
        for address in ("10.1.1.1", "10.1.1.2"):
            assert from_where(caller, mobile(), X_device_ip=address).is_done
        assert from_where(caller, mobile(), X_device_ip="10.1.1.3").code == FAILED


def test_a_trusted_proxy_that_tells_an_address_is_believed(serving):
    """It is one of ours and says for whom it calls: the application's own server, say."""
    with counting(serving, network=(Limit(2, 3600),)) as running:
        caller = device(running)
        told = {"X_Forwarded_For": None, "X_device_ip": "10.1.1.1"}
        for _ in range(2):
            assert from_where(caller, mobile(), **told).is_done
        assert from_where(caller, mobile(), **told).code == FAILED
        assert from_where(caller, mobile(), **{**told, "X_device_ip": "10.1.1.2"}).is_done
        for junk in ("x", "", "10.1.1.1, 10.1.1.2"):  # counted for the proxy itself
            reply = from_where(caller, mobile(), **{**told, "X_device_ip": junk})
            assert reply.is_done is (junk != "10.1.1.1, 10.1.1.2")


def test_without_trusted_proxies_nobody_is_believed(serving):
    terms = {**TERMS, "trusted_proxies": ()}
    with serving(**terms, deliver=True, limits=Limits(network=(Limit(2, 3600),))) as running:
        caller = device(running)
        for address in ("10.1.1.1", "10.1.1.2"):
            assert from_where(caller, mobile(), X_device_ip=address).is_done
        reply = from_where(caller, mobile(), X_device_ip="10.1.1.3", X_Forwarded_For="10.1.1.4")
        assert reply.code == FAILED
