"""Many programs of the CIAM dialect at once, on one process and on several."""

import asyncio
import base64
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from tests.whole.ciam import (
    CODE_GONE,
    CODE_WRONG,
    GONE,
    LITTLE_WORK,
    OK,
    UNKNOWN_SCENE,
    WRONG,
    mobile,
    running,
    solution,
    told,
)
from watchword.captchas import _aes
from watchword.directory import passwords

TIMES, CODES = 20, 50
MOST_PASSES = 3
SETTINGS = f"[limits]\nby_network = false\n[ciam]\ndestination = []\n{LITTLE_WORK}"
CAPTCHA_GONE, CAPTCHA_WRONG = (400, "CAPTCHA.0001"), (400, "CAPTCHA.0002")
TOO_MANY_TRIES = (400, "CAPTCHA.0009")
ID_TOKEN_INVALID, NAME_TAKEN = (400, "PARAM.0016"), (400, "USER.0007")
BEFORE, AFTER = "Horse-4711", "Battery-4712"


@pytest.fixture(scope="module", params=["1", "2"])
def place(new_house, request):
    with new_house() as house, running(house, SETTINGS, "--workers", request.param) as place:
        yield place


def at_once(calls):
    """How these calls are answered, all of them at a time; in their order."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(lambda call: call(), calls))


def outcomes(calls):
    return Counter(map(told, at_once(calls)))


def sent_since(place, before):
    """How many messages were queued meanwhile."""
    return place.house.rows("SELECT COUNT(*) FROM deliveries")[0][0] - before


@pytest.fixture
def before(place):
    """How many messages were queued before the test."""
    return sent_since(place, 0)


def test_of_twenty_sends_with_one_pass_one_goes_through(place, before):
    """The others are told that the pass is gone, and one message arrives."""
    program, to = place.program(), mobile()
    captcha_token = program.earn(to)
    send = partial(program.ask_code, to, "LOGIN_SMS", captcha_token)
    assert outcomes([send] * TIMES) == {OK: 1, GONE: TIMES - 1}
    assert (len(place.messages(to)), sent_since(place, before)) == (1, 1)


def test_each_of_three_passes_lets_one_of_twenty_through(place, before):
    """Sixty sends for one number on one device, twenty with each pass."""
    program, to = place.program(), mobile()
    passes = {scene: program.earn(to) for scene in ("LOGIN_SMS", "REGISTER_SMS", "BIND_MOBILE_SMS")}
    sends = [partial(program.ask_code, to, *each) for each in passes.items()] * TIMES
    answers = list(zip(sends, map(told, at_once(sends)), strict=True))
    assert Counter(send.args[1] for send, answer in answers if answer == OK) == Counter(
        list(passes)
    )
    assert {answer for _, answer in answers} <= {OK, GONE, WRONG}
    assert (len(place.messages(to)), sent_since(place, before)) == (3, 3)


def test_a_front_ends_pass_is_good_once_in_both_its_spellings(place, before):
    """What a stock component makes of the picture's answer, plain or encrypted, for one number or
    for twenty."""
    program = place.program()
    spellings = earned_by_a_front_end(program)
    sends = [
        partial(program.ask_code, mobile(), "LOGIN_SMS", spellings[number % 2])
        for number in range(TIMES)
    ]
    assert outcomes(sends) == {OK: 1, GONE: TIMES - 1}
    assert sent_since(place, before) == 1


def earned_by_a_front_end(program):
    """The two spellings of a pass that names no number."""
    for _ in range(TIMES):
        kind = {"captchaType": "blockPuzzle"}
        shown = program.http.post("/captcha/get", json=kind).json()["repData"]
        point, key = solution(shown), shown["secretKey"]
        answer = {**kind, "token": shown["token"], "pointJson": _aes.encrypt(point, key)}
        if program.http.post("/captcha/check", json=answer).json()["success"]:
            verification = f"{shown['token']}---{point}"
            return verification, _aes.encrypt(verification, key)
    raise AssertionError("All these pictures cannot have been missed.")


@pytest.mark.parametrize("kind", ["altcha", "jigsaw"])
def test_of_twenty_right_answers_one_earns_a_pass(place, kind):
    """Whomever they are for."""
    program, numbers = place.program(), [mobile() for _ in range(TIMES)]
    answers = Counter({CAPTCHA_WRONG: TIMES})
    while CAPTCHA_WRONG in answers:  # who misses the gap looks at another picture
        captcha = program.captcha(kind)
        solved = solution(captcha)
        answers = outcomes([partial(program.answer, captcha, solved, to) for to in numbers])
        assert answers[CAPTCHA_WRONG] <= 1
    assert answers == {OK: 1, CAPTCHA_GONE: TIMES - 1}


def test_of_right_and_wrong_answers_one_counts(place):
    program, to = place.program(), mobile()
    captcha = program.captcha()
    right, wrong = solution(captcha), base64.b64encode(b"{}").decode()
    answers = outcomes([partial(program.answer, captcha, each, to) for each in [right, wrong] * 10])
    assert answers.pop(CAPTCHA_GONE) == TIMES - 1
    assert answers in ({OK: 1}, {CAPTCHA_WRONG: 1})


def test_a_holder_keeps_the_newest_three_passes(place):
    """Three that are earned at once all live, and none before them; of twenty, any three."""
    program, to = place.program(), mobile()
    earned: list[str] = []
    for many in (3, 3, 3, TIMES):
        fresh = earned_at_once(program, to, many)
        states = [program.state(to, each) for each in (*earned, *fresh)]
        assert set(states[: len(earned)]) <= {WRONG}
        assert Counter(states[len(earned) :]) == +Counter(
            {UNKNOWN_SCENE: MOST_PASSES, WRONG: many - MOST_PASSES}
        )
        earned += fresh


def earned_at_once(program, to, many):
    captchas = [program.captcha() for _ in range(many)]
    answers = at_once([partial(program.answer, each, solution(each), to) for each in captchas])
    assert {told(answer) for answer in answers} == {OK}
    return [answer.json()["captcha_token"] for answer in answers]


def test_strangers_verifies_take_no_pass_of_the_victims(place):
    """While the victim earns three for a number, strangers earn twenty for it."""
    victim, to = place.program(), mobile()
    strangers = [place.program() for _ in range(4)]
    at_once([partial(earned_at_once, each, to, 5) for each in strangers])
    passes, *_ = at_once(
        [partial(earned_at_once, victim, to, 3)]
        + [partial(earned_at_once, each, to, 5) for each in strangers]
    )
    assert {victim.state(to, each) for each in passes} == {UNKNOWN_SCENE}


def test_of_fifty_right_codes_one_is_used_up(place):
    program, to = place.program(), mobile()
    assert told(program.send(to, "LOGIN_SMS")) == OK
    verify = partial(program.verify, to, "LOGIN_SMS", place.code(to))
    answers = outcomes([verify] * CODES)
    assert answers.pop(OK) == 1
    assert set(answers) <= {CODE_GONE, TOO_MANY_TRIES}
    assert told(verify()) == CODE_GONE


class Here:
    """A program whose users are here, and what is kept of them."""

    def __init__(self, place):
        self.place, self.program = place, place.program(place.here)

    def code(self, to, scene):
        assert told(self.program.send(to, scene)) == OK
        return self.place.code(to)

    def claims(self, kind):
        statement = f"SELECT COUNT(*) FROM records WHERE kind = '{kind}'"  # noqa: S608
        return self.place.house.rows(statement)[0][0]

    def users(self):
        return self.claims("ciam_user")


def test_of_twenty_registrations_of_a_mobile_one_makes_a_user(place):
    """Whatever names they ask for. The one whom it is told to is who it is."""
    here, to = Here(place), mobile()
    code, users = here.code(to, "REGISTER_SMS"), here.users()
    calls = [
        partial(here.program.register, to, code, user_name=f"ann-{to}-{n}") for n in range(TIMES)
    ]
    assert outcomes(calls) == {OK: 1, CODE_WRONG: TIMES - 1}
    assert (here.users(), place.user(to) is not None) == (users + 1, True)


def test_of_ten_registrations_of_a_name_one_makes_a_user(place):
    """The others keep their codes, and register under another name."""
    here, numbers = Here(place), [mobile() for _ in range(10)]
    name = f"bea-{numbers[0]}"
    codes = {to: here.code(to, "REGISTER_SMS") for to in numbers}
    users = here.users()
    calls = [partial(here.program.register, *each, user_name=name) for each in codes.items()]
    answers = dict(zip(numbers, map(told, at_once(calls)), strict=True))
    assert Counter(answers.values()) == {OK: 1, NAME_TAKEN: 9}
    assert here.users() == users + 1
    for to in numbers:
        again = told(here.program.register(to, codes[to], user_name=f"{name}-{to}"))
        assert again == (CODE_WRONG if answers[to] == OK else OK)


def test_changes_at_once_leave_one_whole_user(place):
    """Five to whom one code gives a password, three times five to whom four codes give mobiles: the
    user has one mobile of those that were told to have worked, and one password; what was left
    behind is free."""
    here, old, new = Here(place), mobile(), [mobile() for _ in range(4)]
    code = here.code(old, "REGISTER_SMS")
    token = here.program.register(old, code, pwd=BEFORE).json()["id_token"]
    me, claims = place.user(old), here.claims("ciam_mobile")
    own = {"verify_code": here.code(old, "UPDATE_PWD_SMS"), "password": AFTER}
    moves = [{"mobile": to, "verify_code": here.code(to, "UPDATE_MOBILE_SMS")} for to in new]
    calls = [partial(here.program.as_user, token, "profile/update-mobile", **m) for m in moves] * 3
    calls += [partial(here.program.as_user, token, "pwd/change-by-mobile", **own)] * 5
    answers = list(map(told, at_once(calls)))

    assert set(answers) <= {OK, CODE_WRONG, ID_TOKEN_INVALID}
    worked = [call for call, answer in zip(calls, answers, strict=True) if answer == OK]
    moved = [to for to in new for call in worked if call.keywords.get("mobile") == to]
    changed = len(worked) - len(moved)
    assert changed <= 1
    assert len(set(moved)) == len(moved)
    assert changed or moved
    (found,) = filter(None, map(place.user, [old, *new]))
    assert found.id == me.id
    assert mobile_of(place, found) in (moved or [old])
    assert here.claims("ciam_mobile") == claims
    assert asyncio.run(passwords.is_right(found.password, AFTER if changed else BEFORE))


def mobile_of(place, user):
    async def read(service, now):
        return service.ciam.users.private(user).mobile.removeprefix("+86")

    return place.do(read)
