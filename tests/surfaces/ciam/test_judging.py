"""sms/verify and email/verify, ours: the verdict on a code, for whoever keeps its own users."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from tests.surfaces.ciam.calling import (
    EMAIL_JUDGE,
    JUDGE,
    device,
    mobile,
    wrong,
)

WRONG, GONE, TOO_MANY = "CAPTCHA.0007", "CAPTCHA.0008", "CAPTCHA.0009"
TEXTS = {
    WRONG: ("Incorrect verification code", "验证码错误"),
    GONE: ("Verification code has expired", "验证码已失效"),
    TOO_MANY: ("Too many incorrect verification codes", "验证码错误次数过多"),
    "PARAM.0011": ("Verification code cannot be empty", "验证码不能为空"),
}
TTL, MINUTE = timedelta(minutes=10), timedelta(minutes=1)


def test_a_right_code_is_right_once(shop, ann):
    """Then it is as if there had been none; a blank or a dash in it is how people type."""
    code = shop.code(ann)
    assert shop.judge(ann, f" {code[:3]}-{code[3:]} ").is_done
    assert shop.judge(ann, code).code == GONE


def test_of_twenty_at_once_one_is_right(shop, ann):
    code = shop.code(ann)
    with ThreadPoolExecutor(20) as pool:
        replies = list(pool.map(lambda _: shop.judge(ann, code), range(20)))
    assert sum(reply.is_done for reply in replies) == 1
    assert {reply.code for reply in replies if not reply.is_done} == {GONE}


def test_a_wrong_code_takes_an_attempt_and_the_right_one_is_right_still(shop, ann):
    code = shop.code(ann)
    for _ in range(4):
        assert shop.judge(ann, wrong(code)).code == WRONG
    assert shop.judge(ann, code).is_done


def test_attempts_are_five(shop, ann):
    """After them not even the right code is heard; a new one is."""
    code = shop.code(ann)
    for _ in range(5):
        assert shop.judge(ann, wrong(code)).code == WRONG
    for typed in (code, wrong(code)):
        assert shop.judge(ann, typed).code == TOO_MANY
    shop.server.clock.pass_by(MINUTE)
    assert shop.judge(ann, shop.code(ann)).is_done


def test_a_code_lives_ten_minutes(front, shop, ann):
    code = shop.code(ann)
    front.clock.pass_by(TTL)
    assert shop.judge(ann, code).code == GONE
    assert shop.judge(ann, wrong(code)).code == GONE


def test_a_code_that_was_never_sent_has_expired(shop, ann, box):
    """And so has that of what is no address at all."""
    for to in (ann, box, "12345", "nobody", "x@"):
        assert shop.judge(to, "123456", "LOGIN_EMS" if "@" in to else "LOGIN_SMS").code == GONE


def test_wrong_codes_are_bounded_over_all_that_are_sent(front, shop, ann):
    """Ten of a network in half an hour, whichever code they are for; then it is told when."""
    for _ in range(2):
        code = shop.code(ann)
        for _ in range(5):
            assert shop.judge(ann, wrong(code)).code == WRONG
        front.clock.pass_by(MINUTE)
    reply = shop.send(ann)
    assert reply.code == "CAPTCHA.0006"
    assert 25 * MINUTE < reply.wait <= 30 * MINUTE
    elsewhere = shop.beside(network="10.3.3.3")
    code = elsewhere.code(ann)
    for typed in (code, wrong(code)):
        reply = shop.judge(ann, typed)
        assert reply.code == TOO_MANY
        assert 25 * MINUTE < reply.wait <= 30 * MINUTE
    assert elsewhere.judge(ann, code).is_done


@pytest.mark.parametrize("code", list(TEXTS))
def test_a_verdict_is_told_in_both_languages(shop, ann, code):
    right = shop.code(ann)
    for _ in range(5 if code == TOO_MANY else 0):
        shop.judge(ann, wrong(right))
    typed = {WRONG: wrong(right), "PARAM.0011": " "}.get(code, right)
    to = mobile() if code == GONE else ann
    for language, text in zip(("en", "zh"), TEXTS[code], strict=True):
        reply = shop.beside(X_L=language).judge(to, typed)
        assert (reply.code, reply.json["error_msg"]) == (code, text)


FAULTS: dict[str, dict[str, Any]] = {
    "PARAM.0001": {"X_agent": None},
    "PARAM.0002": {"X_client_id": " "},
    "PARAM.0003": {"X_client_id": "x" * 32},
    "USER.0004": {"mobile": None, "email": ""},
    "PARAM.0007": {"type": " "},
    "PARAM.0011": {"verify_code": ""},
    "CAPTCHA.0005": {"type": "x"},
    "CAPTCHA.0008": {"verify_code": "123456"},
}


@pytest.mark.parametrize("path", [JUDGE, EMAIL_JUDGE])
def test_what_is_missing_is_told_in_order(shop, ann, box, path):
    """As for a send: of every two neighbours the earlier; each alone as itself."""
    for first, second in [*pairwise(FAULTS), (list(FAULTS)[-1],) * 2]:
        good = {"mobile": ann, "type": "LOGIN_SMS", "verify_code": "123456"}
        if path == EMAIL_JUDGE:
            good = {"email": box, "type": "LOGIN_EMS", "verify_code": "123456"}
        for faults in ((first,), (second, first)):
            changes = {name: value for code in faults for name, value in FAULTS[code].items()}
            body = {name: changes.get(name, value) for name, value in good.items()}
            headers = {name: value for name, value in changes.items() if name[0] == "X"}
            assert (faults, shop.post(path, body, **headers).code) == (faults, first)


def test_a_code_that_is_none_is_a_wrong_one(shop, ann):
    """Of any length, in any writing."""
    shop.code(ann)
    for typed in ("1", "1234567", "x" * 6000, "１２３４５６", "\0"):
        assert shop.judge(ann, typed).code == WRONG


def test_users_here_are_judged_all_the_same(front, ann):
    """An application may take both ways; what is bound to an account elsewhere is a case."""
    bank = device(front, "here")
    assert bank.judge(ann, bank.code(ann, "BIND_MOBILE_SMS"), "BIND_MOBILE_SMS").is_done
