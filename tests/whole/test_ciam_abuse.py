"""What somebody tries who has time and networks, told as an operator's settings and their effect.

A captcha is friction: whoever tries here solves every one. What holds is counted.
"""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import psutil
import pytest

from tests.whole.ciam import (
    EVERYBODY_FROM_ELSEWHERE,
    LITTLE_WORK,
    OK,
    UNSENT,
    counted,
    mobile,
    running,
    solution,
    told,
)

TRIES = 12
AT_ONCE = 6
SENDS = """
[limits]
prefix = ["5/1h"]
network = ["6/1h"]
fingerprint = ["7/1h"]
country = ["9/1h"]
[captcha]
network = ["30/1m"]
"""
FLOOD = """
[captcha]
wrong = ["4/10m"]
usual_work = ["3/10m"]
[captcha.jigsaw]
ahead = 2
patience_s = 0.05
[captcha.altcha]
cost = 1
tries = 50
"""
EASY = 2 * 50
"""How far the usual work makes anybody count at the worst."""
DOUBLINGS = 5
PUZZLED, ROUNDS = 150, 3
MOST_GROWTH = 48 * 2**20


@pytest.fixture(scope="module")
def place(new_house):
    settings = f"{EVERYBODY_FROM_ELSEWHERE}{SENDS}{LITTLE_WORK}"
    with new_house() as house, running(house, settings) as place:
        yield place


@pytest.fixture(scope="module")
def flooded(new_house):
    with new_house() as house, running(house, EVERYBODY_FROM_ELSEWHERE + FLOOD) as place:
        yield place


def at_once(calls):
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda call: call(), calls))


def is_refused_in_time(answer):
    """As the page's clients know it, and with the time to come back."""
    return told(answer) == UNSENT and int(answer.headers["retry-after"]) >= 1


def sends(place, asked):
    """How many of these sends (a program, a number, a scene) go through; all others are refused,
    and nothing but those arrives."""
    answers = at_once([partial(program.send, to, scene) for program, to, scene in asked])
    sent = [told(answer) == OK for answer in answers]
    assert all(
        done or is_refused_in_time(answer) for done, answer in zip(sent, answers, strict=True)
    )
    assert sum(len(place.messages(to)) for to in {to for _, to, _ in asked}) == sum(sent)
    return sum(sent)


def china(first):
    """Numbers of one block of a thousand."""
    return [mobile(first * 1000 + 500 + n) for n in range(TRIES)]


def test_pumping_a_block_of_numbers_stops_at_its_limit(place):
    """Each number is new, each device and each network, each captcha solved. Other blocks, and the
    same block for another application, are not concerned."""
    shop, block = place.newcomer(), china(1)
    assert sends(place, [(place.program(shop), to, "LOGIN_SMS") for to in block]) == 5
    assert sends(place, [(place.program(shop), mobile(), "LOGIN_SMS")]) == 1
    assert sends(place, [(place.program(place.newcomer()), mobile(1900), "LOGIN_SMS")]) == 1


@pytest.mark.parametrize(
    ("known", "granted"),
    [({"network": "203.0.113.7"}, 6), ({"fingerprint": "one device"}, 7), ({}, 9)],
    ids=["network", "fingerprint", "country"],
)
def test_rotating_the_rest_stops_at_what_stays(place, known, granted):
    """One network under many devices, one device in many networks, all rotated in one country: all
    ask for numbers far from each other."""
    shop = place.newcomer()
    asked = [(place.program(shop, **known), mobile(), "LOGIN_SMS") for _ in range(TRIES)]
    assert sends(place, asked) == granted


def test_a_number_is_not_flooded_by_changing_scenes(place):
    """Six scenes have six codes, and one number's five messages an hour."""
    shop, to = place.newcomer(), mobile()
    scenes = ("REGISTER", "LOGIN", "FORGET_PWD", "UPDATE_PWD", "UPDATE_MOBILE", "BIND_MOBILE")
    asked = [(place.program(shop), to, f"{scene}_SMS") for scene in scenes]
    assert sends(place, asked) == 5


def test_a_network_is_shown_so_many_captchas(place):
    """Whatever it does with them, and for whichever application; other networks are served."""
    programs = [place.program(place.newcomer(), network="203.0.113.9") for _ in range(2)]
    answers = at_once([program.ask_captcha for program in programs * 20])
    refused = [answer for answer in answers if told(answer) != OK]
    assert len(refused) == 40 - 30
    assert all(map(is_refused_in_time, refused))
    assert told(place.program().ask_captcha()) == OK


def test_all_that_is_sent_has_an_upper_bound(new_house):
    """Nothing stays, not even the application: the operator's purse still has a bottom."""
    settings = f'{EVERYBODY_FROM_ELSEWHERE}[limits]\neverything = ["5/day UTC"]\n{LITTLE_WORK}'
    with new_house() as house, running(house, settings) as place:
        asked = [
            (place.program(place.newcomer()), to, "LOGIN_SMS")
            for to in [mobile() for _ in range(TRIES)]
        ]
        assert sends(place, asked) == 5


def test_who_guesses_is_shown_no_more(flooded):
    """Nor are answers judged, right ones neither; another network is served."""
    guesser, to = flooded.program(), mobile()
    kept, *wrong = [guesser.captcha("altcha") for _ in range(5)]
    for captcha in wrong:
        assert told(guesser.answer(captcha, "e30=", to)) == (400, "CAPTCHA.0002")
    assert is_refused_in_time(guesser.ask_captcha())
    assert is_refused_in_time(guesser.answer(kept, solution(kept), to))
    assert told(flooded.program().ask_captcha()) == OK


def test_work_grows_with_what_a_network_asks(flooded):
    """It doubles each time that a network has had its usual number, up to a point where it gets
    none; a network that asks for little has little to do."""
    busy = flooded.program()
    work = [counted(solution(busy.captcha())) for _ in range(3 * (1 + DOUBLINGS))]
    assert max(work[:3]) < EASY
    assert max(work[9:]) >= EASY
    assert is_refused_in_time(busy.ask_captcha())
    assert counted(solution(flooded.program().captcha())) < EASY


def test_a_flood_of_captchas_drains_nobody_else(flooded):
    """From many networks at once, more than can be drawn: some are told to come back, none is told
    of a defect, who uses another dialect is served meanwhile, and nothing piles up."""
    over, served = threading.Event(), []

    def another():
        while not over.is_set():
            body = {"to": f"+86{mobile()}", "channel": "sms", "purpose": "sign_in"}
            served.append(flooded.native.post("/v1/verifications", json=body))

    with ThreadPoolExecutor(1) as beside:
        working = beside.submit(another)
        try:
            answers = flood(flooded)
            before = memory(flooded)
            for _ in range(ROUNDS - 1):
                answers += flood(flooded)
        finally:
            over.set()
        working.result()
    assert all(told(answer) == OK or is_refused_in_time(answer) for answer in answers)
    assert set(map(told, answers)) == {OK, UNSENT}
    assert Counter(answer.status_code for answer in served).keys() == {201}
    assert len(served) >= ROUNDS
    assert max(answer.elapsed.total_seconds() for answer in served) < 5
    assert memory(flooded) - before < MOST_GROWTH


def flood(place):
    programs = [place.program() for _ in range(10)]
    calls = [partial(programs[n % 10].ask_captcha, "jigsaw") for n in range(PUZZLED)]
    with ThreadPoolExecutor(20) as pool:
        return list(pool.map(lambda call: call(), calls))


def memory(place):
    return psutil.Process(place.house.process.pid).memory_info().rss
