"""P6: nothing that a caller sees tells whether somebody is registered."""

from datetime import timedelta
from functools import partial

import pytest
from msgspec.structs import replace

from tests.surfaces.ciam.calling import (
    EMAIL,
    EMAIL_LOGIN,
    EMAIL_PASSWORD,
    EMAIL_SEND,
    LOGIN,
    PASSWORD,
    SEND,
    device,
    ended,
    mailbox,
    messages,
    mobile,
    queued,
)
from watchword.domain.delivery import DeliveryState

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SMS = [("LOGIN_SMS", LOGIN), ("FORGET_PWD_SMS", PASSWORD)]
MAIL = [("LOGIN_EMS", EMAIL_LOGIN), ("FORGET_PWD_EMS", EMAIL_PASSWORD)]


@pytest.fixture
def known(bank):
    """A registered number, a registered mailbox; the clock stands where neither had a send."""
    to, box = mobile(), mailbox()
    token = bank.logged_in(to)
    body = {"email": box, "verify_code": bank.code(box, "UPDATE_EMAIL_EMS")}
    assert bank.post(EMAIL, body, Authorization=f"Bearer {token}").is_done
    bank.server.clock.pass_by(DAY)
    return {"sms": to, "email": box}


def both(scenes_sms, scenes_mail):
    return [("sms", *each) for each in scenes_sms] + [("email", *each) for each in scenes_mail]


@pytest.mark.parametrize(("channel", "scene", "path"), both(SMS, MAIL))
def test_known_and_unknown_are_answered_alike_all_day(bank, known, channel, scene, path):
    """Sends, resends too soon and limits, codes that are wrong, used up, and guessed: each answer
    in its status, headers and body. The unknown one is sent nothing."""
    somebody = known[channel]
    nobody = mobile() if channel == "sms" else mailbox()
    seen = [story(bank.beside(fingerprint=f"{scene} {to}"), to, scene, path)
            for to in (somebody, nobody)]  # fmt: skip
    assert seen[0] == seen[1]
    codes = [code for _, code, _ in seen[0]]
    assert codes[2:4] == ["", "CAPTCHA.0006"]
    assert {"", *(f"CAPTCHA.000{n}" for n in (6, 7, 8, 9))} == set(codes)
    assert not messages(bank.server, nobody)
    bank.server.clock.pass_by(DAY)
    assert bank.code(somebody, scene)


def story(caller, to, scene, path):
    """All that is said in half a day of sends and guesses, times rounded to minutes."""
    told = []

    def note(reply):
        status, headers, body = reply.whole
        wait = headers.pop("retry-after", None)
        minutes = None if wait is None else round(int(wait) / 60)
        told.append((status, reply.code if body else "", (sorted(headers.items()), body, minutes)))

    clock = caller.server.clock
    note(guess(caller, path, to))
    note(caller.judge(to, "x12345", scene))
    for _ in range(5):
        note(caller.send(to, scene))
        note(caller.send(to, scene))
        note(guess(caller, path, to))
        clock.pass_by(MINUTE)
    note(caller.send(to, scene))
    note(caller.judge(to, "x12345", scene))
    clock.pass_by(HOUR)
    for _ in range(2):
        note(caller.send(to, scene))
        for _ in range(5):
            note(caller.judge(to, "x12345", scene))
        note(guess(caller, path, to))
        clock.pass_by(MINUTE)
    note(caller.send(to, scene))
    note(caller.send(to, "BIND_MOBILE_SMS" if "SMS" in scene else "BIND_EMAIL_EMS"))
    note(caller.judge(to, "x12345", scene))
    clock.pass_by(12 * MINUTE)
    note(guess(caller, path, to))
    note(caller.judge(to, "x12345", scene))
    return told


def guess(caller, path, to):
    body = {"email": to, "mobile": to, "verify_code": "x12345", "password": "An0ther1!"}
    return caller.post(path, body)


@pytest.mark.parametrize(("channel", "scene", "path"), both(SMS, MAIL))
def test_what_the_unknown_is_sent_ends_before_the_carrier(bank, channel, scene, path):
    """It is queued and taken up as any other, so that no act's time tells, and handed to nobody."""
    before = queued(bank.server)
    to = mobile() if channel == "sms" else mailbox()
    assert bank.send(to, scene).is_done
    (number,) = queued(bank.server) - before
    assert ended(bank.server, number) is DeliveryState.CANCELLED
    assert not messages(bank.server, to)
    assert guess(bank, path, to).code == "CAPTCHA.0007"


@pytest.mark.parametrize(("channel", "scene", "path"), both(SMS, MAIL))
def test_no_answer_waits_for_a_carrier(still, channel, scene, path):
    """Where nobody delivers, the known and the unknown are answered at once."""
    caller = device(still, "here")
    to = mobile() if channel == "sms" else mailbox()
    assert caller.send(to, scene).is_done
    assert guess(caller, path, to).code == "CAPTCHA.0007"


def test_who_registers_after_a_log_in_to_nobody_is_sent_a_code_that_is_right(bank):
    """Also where a resend repeats the code: what was drawn for nobody is nobody's."""
    caller, to = bank.beside(), mobile()
    app_id = caller.server.do(caller.server.service.ciam.clients.client(
        caller.client_id, caller.server.clock())).app_id  # fmt: skip
    same = partial(replace, resend="same", resend_interval_s=0)
    apps = caller.server.service.apps
    caller.server.do(apps.set_terms(app_id, "*", same, caller.server.clock()))
    caller.server.clock.pass_by(timedelta(seconds=2))
    assert caller.send(to, "LOGIN_SMS").is_done
    caller.logged_in(to)
    body = {"mobile": to, "verify_code": caller.code(to, "LOGIN_SMS")}
    assert caller.post(LOGIN, body).status == 200


def test_a_number_that_the_carrier_refuses_is_no_hint(bank):
    """Known or not, a log-in does not wait to hear of it."""
    assert bank.send("15200000001", "LOGIN_SMS").is_done
    assert bank.send("15200000001", "REGISTER_SMS").code == "CAPTCHA.0006"


def test_a_weak_password_is_told_before_anything_is_looked_up(bank, known):
    """For a known number and an unknown one, whether a code was sent or not."""
    told = set()
    for to in (known["sms"], mobile()):
        for is_sent in (False, True):
            if is_sent:
                assert bank.send(to, "FORGET_PWD_SMS").is_done
            body = {"mobile": to, "verify_code": "x12345", "password": "weak"}
            told.add(str(bank.post(PASSWORD, body).whole))
    assert len(told) == 1


@pytest.mark.parametrize(("path", "name"), [(SEND, "mobile"), (EMAIL_SEND, "email")])
def test_what_a_pass_says_is_no_hint_either(bank, known, path, name):
    """Refusals before the send is made do not know who is registered."""
    somebody = known["sms" if name == "mobile" else "email"]
    nobody = mobile() if name == "mobile" else mailbox()
    for token in ("x", ""):
        told = {
            str(bank.post(path, {name: to, "type": "x", "captcha_token": token}).whole)
            for to in (somebody, nobody)
        }
        assert len(told) == 1
