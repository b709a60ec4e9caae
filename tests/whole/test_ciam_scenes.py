"""Every scene from the picture to the code that is used up, against a running server."""

import asyncio

import jwt
import pytest

from tests.whole.ciam import (
    CODE_GONE,
    CODE_WRONG,
    EVERYBODY_FROM_ELSEWHERE,
    GONE,
    OK,
    SDK,
    mobile,
    running,
    said,
    told,
)
from tests.whole.conftest import eventually
from watchword.directory import passwords

pytestmark = pytest.mark.store("sqlite")

SCENES = ("REGISTER", "LOGIN", "FORGET_PWD", "UPDATE_PWD", "UPDATE_MOBILE", "BIND_MOBILE")
MAIL_SCENES = ("REGISTER", "LOGIN", "FORGET_PWD", "UPDATE_PWD", "UPDATE_EMAIL", "BIND_EMAIL")
ENGLISH = (
    "Demo: {} is your {}. It is valid for 10 minutes. Do not share it with anyone.",
    {
        "REGISTER": "code to create your account",
        "LOGIN": "sign-in code",
        "FORGET_PWD": "code to reset your password",
        "UPDATE_PWD": "code to confirm a change to your account",
        "UPDATE_MOBILE": "code to confirm a change to your account",
        "BIND_MOBILE": "code to link this phone number to your account",
    },
)
CHINESE = (
    "【Demo】您的{1}验证码为 {0}，10 分钟内有效。请勿将验证码告知他人。",
    {
        "REGISTER": "注册",
        "LOGIN": "登录",
        "FORGET_PWD": "重置密码",
        "UPDATE_PWD": "信息变更",
        "UPDATE_MOBILE": "信息变更",
        "BIND_MOBILE": "绑定手机号",
    },
)
WORDS = {"en": ENGLISH, "zh": CHINESE}
WRONG_IN = {"en": "Incorrect verification code", "zh": "验证码错误"}
FIRST, SECOND, THIRD = "Horse-4711", "Battery-4712", "Staple-4713"
ID_TOKEN_INVALID = (400, "PARAM.0016")
NO_SUCH_CODE = "no code"


@pytest.fixture(scope="module")
def place(new_house):
    with new_house() as house, running(house, EVERYBODY_FROM_ELSEWHERE) as place:
        yield place


def text(language, scene, code):
    """What a phone is to read."""
    frame, uses = WORDS[language]
    return frame.format(code, uses[scene])


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_who_solves_the_picture_gets_a_code_good_once(place, language, scene):
    """In all six scenes, for a program that keeps its own users: the words are in the language
    asked, the answers empty; one code of one scene is good for that scene, once."""
    program, to = place.program(language=language), mobile()
    sent = program.send(to, f"{scene}_SMS", "jigsaw")
    assert (told(sent), sent.content) == (OK, b"")
    assert (sent.headers["x-resend-after"], sent.headers["x-expires-in"]) == ("60", "600")
    code = place.code(to)
    assert [each["text"] for each in place.messages(to)] == [text(language, scene, code)]
    other = SCENES[SCENES.index(scene) - 1]
    assert told(program.verify(to, f"{other}_SMS", code)) == CODE_GONE
    wrong = program.verify(to, f"{scene}_SMS", NO_SUCH_CODE)
    assert (told(wrong), said(wrong)) == (CODE_WRONG, WRONG_IN[language])
    right = program.verify(to, f"{scene}_SMS", code)
    assert (told(right), right.content) == (OK, b"")
    assert told(program.verify(to, f"{scene}_SMS", code)) == CODE_GONE


@pytest.mark.parametrize("scene", MAIL_SCENES)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_mailbox_gets_a_code_good_once(place, language, scene):
    """In the six scenes of e-mail, in the language asked."""
    program, to = place.program(language=language), f"ann.{mobile()}@example.com"
    assert told(program.send(to, f"{scene}_EMS", "jigsaw")) == OK
    message = place.message(to)
    assert message["code"] in message["text"]
    assert ("验证码" in message["text"]) is (language == "zh")
    assert told(program.verify(to, f"{scene}_EMS", message["code"])) == OK
    assert told(program.verify(to, f"{scene}_EMS", message["code"])) == CODE_GONE


def test_who_works_in_place_of_looking_gets_a_code(place):
    """Proof of work at its usual price ends in a pass like any other."""
    program, to = place.program(), mobile()
    captcha_token = program.earn(to, "altcha")
    assert told(program.ask_code(to, "LOGIN_SMS", captcha_token)) == OK
    assert told(program.ask_code(to, "LOGIN_SMS", captcha_token)) == GONE
    assert told(program.verify(to, "LOGIN_SMS", place.code(to))) == OK


class Person:
    """Who owns phones, and calls by a program whose users are here."""

    def __init__(self, place, language):
        self._place, self.language = place, language
        self.program = place.program(place.here, language=language)

    def code(self, to, scene):
        """The one that a phone received for this scene, in the words that belong to it."""
        kind = "EMS" if "@" in to else "SMS"
        before = len(self._place.messages(to))
        sent = self.program.send(to, f"{scene}_{kind}", "jigsaw")
        assert (told(sent), sent.content) == (OK, b"")
        (newest,) = eventually(lambda: self._place.messages(to)[before:], "a message")
        if kind == "SMS":
            assert newest["text"] == text(self.language, scene, newest["code"])
        return newest["code"]

    def log_in(self, to):
        """The answer to a log-in, by a code that comes now."""
        code = self.code(to, "LOGIN")
        found = self.program.log_in(to, code)
        assert told(found) == OK
        again = self.program.log_in(to, code)
        assert (told(again), said(again)) == (CODE_WRONG, WRONG_IN[self.language])
        return found.json()


def has_password(user, password):
    return asyncio.run(passwords.is_right(user.password, password))


def claims(person, answered):
    """What an id_token says, read by whoever has only the published keys."""
    assert (answered["expire"], answered["status"]) == (432_000, "SUCCESS")
    assert answered["session_token"]
    published = jwt.PyJWKSet.from_dict(person.program.http.get(f"{SDK}/jwks.json").json())
    key = published[jwt.get_unverified_header(answered["id_token"])["kid"]]
    return jwt.decode(
        answered["id_token"], key.key, algorithms=["RS256"], audience=person.program.client_id
    )


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_user_registers_logs_in_and_mends_the_password(place, language):
    """For a program that leaves its users here: forgotten or not, a password is changed by a code
    of its own scene, and ends the log-ins before."""
    person, to = Person(place, language), mobile()
    program, code = person.program, person.code(to, "REGISTER")
    registered = program.register(to, code, user_name=f"ann-{to}", pwd=FIRST, attr_city="Ulm")
    assert told(program.register(to, code)) == CODE_WRONG
    answered = person.log_in(to)
    assert claims(person, answered)["sub"] == claims(person, registered.json())["sub"]
    assert has_password(place.user(to), FIRST)

    forgotten = {"mobile": to, "verify_code": person.code(to, "FORGET_PWD")}
    assert told(program.post("pwd/update-by-mobile", **forgotten, password=SECOND)) == OK
    assert told(program.post("pwd/update-by-mobile", **forgotten, password=THIRD)) == CODE_WRONG
    assert has_password(place.user(to), SECOND)

    mine = {"verify_code": person.code(to, "UPDATE_PWD"), "password": THIRD}
    stale = program.as_user(answered["id_token"], "pwd/update-by-mobile", **mine)
    assert told(stale) == ID_TOKEN_INVALID
    id_token = person.log_in(to)["id_token"]
    assert told(program.as_user(id_token, "pwd/update-by-mobile", **mine)) == OK
    assert has_password(place.user(to), THIRD)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_user_changes_the_phone_and_binds_it(place, language):
    """The new one logs in, the old one reaches nobody and is told nothing."""
    person, old, new = Person(place, language), mobile(), mobile()
    registered = person.program.register(old, person.code(old, "REGISTER")).json()
    move = {"mobile": new, "verify_code": person.code(new, "UPDATE_MOBILE")}
    moved = person.program.as_user(registered["id_token"], "profile/update-mobile", **move)
    assert (told(moved), moved.content) == (OK, b"")
    assert claims(person, person.log_in(new))["sub"] == claims(person, registered)["sub"]

    before = place.messages(old)
    assert told(person.program.send(old, "LOGIN_SMS", "jigsaw")) == OK
    code = person.code(new, "BIND_MOBILE")
    assert told(person.program.verify(new, "BIND_MOBILE_SMS", code)) == OK
    assert told(person.program.verify(new, "BIND_MOBILE_SMS", code)) == CODE_GONE
    assert told(person.program.log_in(old, before[-1]["code"])) == CODE_WRONG
    assert place.messages(old) == before


def test_a_verified_mailbox_logs_in_and_mends_a_password(place):
    person, to = Person(place, "en"), mobile()
    address = f"ann.{to}@example.com"
    registered = person.program.register(to, person.code(to, "REGISTER"), email=address).json()
    id_token = registered["id_token"]
    proof = {"email": address, "verify_code": person.code(address, "UPDATE_EMAIL")}
    assert told(person.program.as_user(id_token, "profile/update-email", **proof)) == OK
    assert claims(person, person.log_in(address))["sub"] == claims(person, registered)["sub"]
    forgotten = {"email": address, "verify_code": person.code(address, "FORGET_PWD")}
    assert told(person.program.post("pwd/update-by-email", **forgotten, password=FIRST)) == OK
    assert has_password(place.user(to), FIRST)
