"""Passes: who may use one, how long, and how often; whoever may not is sent nothing."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from tests.captcha_solver import solve
from tests.surfaces.ciam.calling import (
    CAPTCHA,
    TERMS,
    VERIFY,
    device,
    messages,
    mobile,
    queued,
    solved,
)
from watchword.config import Captcha

CAPTCHA_TTL, PASS_TTL = timedelta(seconds=120), timedelta(seconds=180)
HALF_A_MINUTE = timedelta(seconds=30)
GONE, WRONG = "CAPTCHA.0003", "CAPTCHA.0004"
NO_CAPTCHA, NO_ANSWER = "CAPTCHA.0001", "CAPTCHA.0002"


@pytest.fixture
def unsent(front):
    """Nobody is sent anything in the whole of the test."""
    before, received = queued(front), len(front.do(front.service.inbox.received()))
    yield
    assert queued(front) <= before
    assert len(front.do(front.service.inbox.received())) == received


@pytest.mark.usefixtures("unsent")
def test_a_pass_is_for_its_application_number_and_device(front, shop, ann):
    """Nobody else's is good, whichever of the three differs; and it stays with whom it is."""
    token = shop.pass_for(ann)
    other_app = shop.beside(client_id=device(front).client_id)
    other_device = shop.beside(fingerprint="somebody else's")
    for caller, to in ((other_app, ann), (other_device, ann), (shop, mobile())):
        assert caller.send(to, captcha_token=token).code == GONE
        own = caller.pass_for(to)
        assert own != token
        assert caller.send(to, captcha_token=token).code == WRONG
    assert shop.send(ann, "nonsense", token).code == "CAPTCHA.0005"


def test_a_pass_is_good_after_all_that_others_tried(front, shop, ann):
    token = shop.pass_for(ann)
    stranger = shop.beside(fingerprint="a stranger's", network="10.9.9.9")
    for caller in (stranger, device(front)):
        assert caller.send(ann, captcha_token=token).code == GONE
        assert caller.send(ann, captcha_token="x").code == GONE
    assert shop.send(ann, captcha_token=token).is_done


def test_a_network_may_change_between_captcha_and_send(shop, ann):
    """People walk out of their houses: what a pass is bound to is the device."""
    token = shop.pass_for(ann)
    assert shop.beside(network="10.8.8.8").send(ann, captcha_token=token).is_done


def test_a_used_pass_is_gone(shop, ann):
    """Also for another scene, and one message is all that was sent."""
    token = shop.pass_for(ann)
    assert shop.send(ann, captcha_token=token).is_done
    for scene in ("LOGIN_SMS", "BIND_MOBILE_SMS"):
        assert shop.send(ann, scene, token).code == GONE
    assert len(messages(shop.server, ann)) == 1


def test_of_twenty_sends_at_once_with_one_pass_one_goes_through(shop, ann):
    token = shop.pass_for(ann)
    with ThreadPoolExecutor(20) as pool:
        replies = list(pool.map(lambda _: shop.send(ann, captcha_token=token), range(20)))
    assert sum(reply.is_done for reply in replies) == 1
    assert {reply.code for reply in replies if not reply.is_done} == {GONE}
    assert len(messages(shop.server, ann)) == 1


def test_of_twenty_answers_at_once_to_one_captcha_one_counts(shop, ann):
    """They leave one pass, and so one send."""
    shown = shop.captcha()
    text = solved(shown)
    with ThreadPoolExecutor(20) as pool:
        replies = list(pool.map(lambda _: shop.verify(ann, shown, text), range(20)))
    told = [reply.json["captcha_token"] for reply in replies if reply.status == 200]
    assert len(told) == 1
    assert {reply.code for reply in replies if reply.status != 200} == {NO_CAPTCHA}
    assert shop.send(ann, captcha_token=told[0]).is_done


@pytest.mark.parametrize(
    "bent", ["{}x", " {}", "{} ", "{}\n", "x", "{}---{}", "---", "é", "\0", "x" * 60_000]
)
@pytest.mark.usefixtures("unsent")
def test_another_string_is_wrong_and_destroys_nothing(shop, ann, bent):
    """So that no stranger who shares a device's print can void its passes."""
    token = shop.pass_for(ann)
    assert shop.send(ann, captcha_token=bent.replace("{}", token)).code == WRONG
    assert shop.send(ann, captcha_token=token[:-1]).code == WRONG
    assert shop.send(ann, captcha_token=token.upper()).code == WRONG
    assert shop.send(ann, "nonsense", token).code == "CAPTCHA.0005"


@pytest.mark.usefixtures("unsent")
def test_a_point_that_was_shifted_afterwards_is_another_pass(shop, ann):
    """What was verified is sent, to the letter: not the same number written otherwise."""
    token = jigsaw_pass(shop, ann)
    ticket, _, point = token.partition("---")
    x = json.loads(point)["x"]
    for other in (x + 1, x - 1, float(x)):
        shifted = json.dumps({"x": other, "y": 5}, separators=(",", ":"))
        assert shop.send(ann, captcha_token=f"{ticket}---{shifted}").code == WRONG
    assert shop.send(ann, "nonsense", token).code == "CAPTCHA.0005"


def jigsaw_pass(caller, to):
    """A pass for the slider, as a JavaScript client writes the point."""
    for _ in range(20):  # some pictures take a second look
        shown = caller.ask("GET", CAPTCHA).json
        x = solve(shown["originalImageBase64"], shown["jigsawImageBase64"])
        reply = caller.verify(to, shown, json.dumps({"x": int(x), "y": 5}, separators=(",", ":")))
        if reply.status == 200:
            return reply.json["captcha_token"]
    raise AssertionError("Not one of twenty pictures was solved.")


# Time


@pytest.mark.usefixtures("unsent")
def test_a_captcha_lives_two_minutes(front, shop, ann):
    shown, other = shop.captcha(), shop.captcha()
    front.clock.pass_by(CAPTCHA_TTL - HALF_A_MINUTE)
    assert shop.verify(ann, shown).status == 200
    front.clock.pass_by(HALF_A_MINUTE)
    assert shop.verify(ann, other).code == NO_CAPTCHA


@pytest.mark.usefixtures("unsent")
def test_a_jigsaw_lives_two_minutes(front, shop, ann):
    """From when it was shown, however long ago it was drawn."""
    shown = shop.ask("GET", CAPTCHA).json
    front.clock.pass_by(CAPTCHA_TTL)
    assert shop.verify(ann, shown, '{"x":150,"y":5}').code == NO_CAPTCHA


def test_a_pass_lives_three_minutes(front, shop, ann):
    token = shop.pass_for(ann)
    front.clock.pass_by(PASS_TTL - HALF_A_MINUTE)
    assert shop.send(ann, captcha_token=token).is_done
    to = mobile()
    late = shop.pass_for(to)
    front.clock.pass_by(PASS_TTL)
    assert shop.send(to, captcha_token=late).code == GONE
    assert not messages(front, to)


def test_lifetimes_are_settings(serving, ann):
    terms = {"altcha": TERMS["captcha"].altcha, "ttl_s": 30, "pass_ttl_s": 100}
    with serving(**{**TERMS, "captcha": Captcha(**terms)}, deliver=True) as running:
        caller = device(running)
        shown, token = caller.captcha(), caller.pass_for(ann)
        running.clock.pass_by(timedelta(seconds=30))
        assert caller.verify(ann, shown).code == NO_CAPTCHA
        assert caller.send(ann, "nonsense", token).code == "CAPTCHA.0005"
        running.clock.pass_by(timedelta(seconds=70))
        assert caller.send(ann, captcha_token=token).code == GONE


# How many


def test_a_strangers_passes_for_the_same_number_take_nobodys(shop, ann):
    """Four newer ones of another device; the victim's is good still."""
    token = shop.pass_for(ann)
    stranger = shop.beside(fingerprint="a stranger's", network="10.7.7.7")
    theirs = [stranger.pass_for(ann) for _ in range(4)]
    assert stranger.send(ann, "nonsense", theirs[-1]).code == "CAPTCHA.0005"
    assert shop.send(ann, captcha_token=token).is_done


@pytest.mark.usefixtures("unsent")
def test_ones_own_fourth_pass_takes_the_place_of_the_oldest(shop, ann):
    first, *others = [shop.pass_for(ann) for _ in range(4)]
    assert shop.send(ann, "nonsense", first).code == WRONG
    for token in others:
        assert shop.send(ann, "nonsense", token).code == "CAPTCHA.0005"


def test_three_passes_are_good_for_three_sends(front, shop, ann):
    """In any order; each is counted by itself."""
    for token in reversed([shop.pass_for(ann) for _ in range(3)]):
        assert shop.send(ann, captcha_token=token).is_done
        front.clock.pass_by(timedelta(seconds=60))
    assert shop.send(ann, captcha_token=token).code == GONE


# One answer to a captcha


@pytest.mark.usefixtures("unsent")
def test_a_captcha_is_answered_once_right_or_wrong(shop, ann):
    shown = shop.captcha()
    assert shop.verify(ann, shown).status == 200
    assert shop.verify(ann, shown).code == NO_CAPTCHA
    missed = shop.captcha()
    assert shop.verify(ann, missed, "x").code == NO_ANSWER
    assert shop.verify(ann, missed).code == NO_CAPTCHA


@pytest.mark.usefixtures("unsent")
def test_a_captcha_is_answered_by_whom_it_was_shown_to(front, shop, ann):
    """Another client or device neither gets its pass nor spends its one answer."""
    shown = shop.captcha()
    for caller in (
        shop.beside(fingerprint="somebody else's"),
        shop.beside(client_id=device(front).client_id),
    ):
        assert caller.verify(ann, shown).code == NO_CAPTCHA
        assert caller.verify(ann, shown, "x").code == NO_CAPTCHA
    assert shop.verify(ann, shown).status == 200


@pytest.mark.usefixtures("unsent")
def test_an_answer_to_another_captcha_is_wrong(shop, ann):
    one, two = shop.captcha(), shop.captcha()
    assert shop.verify(ann, one, solved(two)).code == NO_ANSWER
    assert shop.verify(ann, two).status == 200


POINTS = {
    "NaN": '{"x":NaN,"y":5.0}',
    "NaN in a text": '{"x":"NaN","y":5.0}',
    "Infinity": '{"x":Infinity,"y":5.0}',
    "too great": '{"x":1e400,"y":5.0}',
    "huge": '{"x":' + "9" * 3000 + ',"y":5.0}',
    "long": '{"x":150,"y":5.0,"z":"' + "x" * 8000 + '"}',
    "nested": '{"x":' + "[" * 3000 + "]" * 3000 + ',"y":5.0}',
    "an object": '{"x":{"x":150},"y":5.0}',
    "a list": "[150,5.0]",
    "true": '{"x":true,"y":5.0}',
    "null": '{"x":null,"y":5.0}',
    "no y": '{"x":150}',
    "another y": '{"x":150,"y":6.0}',
    "below zero": '{"x":-150,"y":5.0}',
    "out of the picture": '{"x":1000,"y":5.0}',
    "twice": '{"x":150,"x":151,"y":5.0}',
    "cut short": '{"x":150,"y":5.0',
    "no JSON": "{x:150,y:5.0}",
    "full width": '{"x":１５０,"y":5.0}',
    "ciphered with another key": "5nxXyl0w9Fl24/GYj1H37jB+m/oibvcEvGNrLDO+Rj8=",
    "no cipher": "AAAA",
    "base64 of nothing": "====",
    "NUL": "\0",
}


@pytest.mark.usefixtures("unsent")
def test_what_is_no_point_is_a_wrong_one(front, shop, ann):
    """And is the one answer to its captcha."""
    for name, point in POINTS.items():
        caller = device(front)  # none of them guesses too often
        shown = caller.ask("GET", CAPTCHA).json
        assert (name, caller.verify(ann, shown, point).code) == (name, NO_ANSWER)
        assert (name, caller.verify(ann, shown, point).code) == (name, NO_CAPTCHA)


@pytest.mark.parametrize(
    "token", ["0" * 32, "x", "../x", "'; --", "\0", "é", "0" * 60_000, "{token} ", " {token}x"]
)
@pytest.mark.usefixtures("unsent")
def test_a_captcha_that_was_never_shown_is_gone(shop, ann, token):
    shown = shop.captcha()
    body = {"token": token.replace("{token}", shown["token"]), "point_json": "x", "sender": ann}
    assert shop.post(VERIFY, body).code == (NO_ANSWER if token == "{token} " else NO_CAPTCHA)


@pytest.mark.usefixtures("unsent")
def test_a_kind_of_captcha_that_is_not_on_offer_is_refused(shop):
    """And what is asked twice is asked once."""
    for kind in ("turnstile", "blockPuzzle", "", "x" * 5000, "%00", "%ff"):
        status, code = shop.ask("GET", f"{CAPTCHA}?captchaType={kind}x").refusal
        assert (status, code) == (400, "PARAM.0000")
    assert shop.ask("GET", f"{CAPTCHA}?captchaType=").status == 200
    assert shop.ask("GET", f"{CAPTCHA}?x=%ff&captchaType=altcha&captchaType=y").status == 200


def test_where_no_jigsaw_is_on_offer_the_first_kind_is(serving):
    only = Captcha(kinds=("altcha",), altcha=TERMS["captcha"].altcha)
    with serving(**{**TERMS, "captcha": only}) as running:
        caller = device(running)
        told = caller.ask("GET", CAPTCHA).json
        assert list(told) == ["captchaType", "token", "result", "challenge"]
        assert told["captchaType"] == "altcha"
        reply = caller.ask("GET", f"{CAPTCHA}?captchaType=jigsaw")
        assert reply.code == "PARAM.0000"
