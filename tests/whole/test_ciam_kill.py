"""kill -9 while captchas are solved, codes sent and users registered: nothing acknowledged is lost,
no pass is good twice, and a code is used up if and only if its user exists."""

import itertools
import json
import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx2
import pytest

from tests.whole.ciam import (
    CODE_WRONG,
    GONE,
    LITTLE_WORK,
    OK,
    UNKNOWN_SCENE,
    UNSENT,
    Place,
    Program,
    given,
    solution,
    token_of,
    told,
)
from tests.whole.conftest import eventually
from tests.whole.test_kill import SETTLED
from tests.whole.trouble import CALLERS, in_state, is_whole, killed_under_load, unsettled
from watchword.domain.destination import phone

LIVES = "[captcha]\nttl_s = 3600\npass_ttl_s = 3600\n"
"""Till the last kill is over."""
SETTINGS = f"[limits]\nby_network = false\n{LIVES}{LITTLE_WORK}"
SCENE = "REGISTER_SMS"
CAPTCHA_GONE = (400, "CAPTCHA.0001")
REFUSED = "0001"


class Life:
    """What became of one number: each step is None until it is asked, "" until it is answered."""

    def __init__(self, to, fingerprint):
        self.to, self.fingerprint = to, fingerprint
        self.captcha = self.solved = self.code = None
        self.earned = self.sent = self.registered = None

    @property
    def captcha_token(self):
        return token_of(self.captcha, self.solved)


class Callers:
    """They bring one number after the other to a user, until the server is gone."""

    def __init__(self, client_id):
        self.client_id = client_id
        self.lives = []
        self._numbers = itertools.count(1)

    @property
    def told(self):
        return sum(life.registered == OK for life in self.lives)

    def until_killed(self, place):
        number = next(self._numbers)
        with Program(place.base_url, self.client_id, fingerprint=f"device-{number}") as program:
            try:
                while True:
                    self._live(place, program)
            except httpx2.TransportError:
                return  # what was not answered is noted

    def _live(self, place, program):
        ending = REFUSED if random.random() < 0.1 else "5678"
        life = Life(f"138{next(self._numbers):04d}{ending}", program.fingerprint)
        life.captcha = program.captcha()
        life.solved = solution(life.captcha)
        self.lives.append(life)
        life.earned = ""
        life.earned = told(program.answer(life.captcha, life.solved, life.to))
        life.sent = ""
        life.sent = told(program.ask_code(life.to, SCENE, life.captcha_token))
        if not (messages := place.messages(life.to)):
            return
        life.code = messages[0]["code"]
        life.registered = ""
        life.registered = told(program.register(life.to, life.code))


@pytest.mark.parametrize(
    "rounds", [pytest.param(2, id="2"), pytest.param(30, id="30", marks=pytest.mark.soak)]
)
def test_kill_9_loses_nothing_and_lets_nobody_in_twice(house, rounds):
    """The equation of P4 for codes behind a captcha. Of every number: its captcha or its pass is
    there, its pass sends no second message, and its user is there or its code makes it."""

    house.settings(SETTINGS)
    demo, in_flight = given(house), set()
    callers = Callers(demo["ciam"]["client_id_2"])
    for number in range(rounds):
        house.process = house.start("--workers", str(1 + number % 2))
        with Place(house, house.announced(), demo) as place:
            killed_under_load(house, partial(callers.until_killed, place), lambda: callers.told)
        in_flight |= in_state(house, "sending")
        assert is_whole(house)
    with house.serving() as serving, Place(house, serving, demo) as place:
        eventually(lambda: not unsettled(house), "an empty outbox")
        states = balance(house, callers, in_flight)
        with ThreadPoolExecutor(CALLERS) as threads:
            settling = partial(settled, place, callers.client_id)
            found = Counter(threads.map(settling, callers.lives))
        eventually(lambda: not unsettled(house), "an empty outbox")
        phones = Counter(one["to"] for one in inbox(house))
        users = place.do(partial(registered_among, callers))
    print(f"{rounds} kills, {len(callers.lives)} numbers: {dict(states)}; {dict(found)}")
    assert users == [life.to for life in callers.lives if life.registered is not None]
    assert max(phones.values()) == 1
    unsent = {life.to for life in callers.lives} - {to.removeprefix("+86") for to in phones}
    for life in callers.lives:
        assert life.to.endswith(REFUSED) or life.to not in unsent or life.sent == ""


def inbox(house):
    return json.loads(house.run("inbox", "list", "--json").stdout)


async def registered_among(callers, service, now):
    """The numbers of those who are users, who are all that there are."""
    client, _ = await service.ciam.clients.known(callers.client_id, now)
    by_mobile = service.ciam.users.by_mobile
    numbers = [life.to for life in callers.lives]
    found = [await by_mobile(client.app_id, phone(f"+86{to}"), now) for to in numbers]
    assert len(await service.store.records("ciam_user", now)) == len(list(filter(None, found)))
    return [to for to, user in zip(numbers, found, strict=True) if user]


def balance(house, callers, in_flight):
    """Each send that was acknowledged has one row, in one settled state; so may those have that
    nobody answered."""
    states = Counter(state for (state,) in house.rows("SELECT state FROM deliveries"))
    sent = [life.sent for life in callers.lives]
    acknowledged = sent.count(OK) + sent.count(UNSENT)
    assert acknowledged <= states.total() <= acknowledged + sent.count("")
    assert set(states) <= SETTLED
    assert in_state(house, "unknown") <= in_flight
    assert len(house.rows("SELECT DISTINCT challenge FROM deliveries")) == states.total()
    return states


def settled(place, client_id, life):
    """How this number stood after the kill. It ends with its code and its pass used up, or a pass
    that was lost before its message was on record."""
    with Program(place.base_url, client_id, fingerprint=life.fingerprint) as program:
        ending = passed(program, life)
        if life.registered is None:
            return ending
        registered = told(program.register(life.to, life.code))
        assert registered in ((CODE_WRONG,) if life.registered else (OK, CODE_WRONG))
        assert told(program.register(life.to, life.code)) == CODE_WRONG
    return "registered now" if registered == OK else "registered before"


def passed(program, life):
    """Solve what was not solved and send what was not sent: once."""
    solved = told(program.answer(life.captcha, life.solved, life.to))
    assert solved in ((CAPTCHA_GONE,) if life.earned else (OK, CAPTCHA_GONE))
    if life.sent is None:
        assert program.state(life.to, life.captcha_token) == UNKNOWN_SCENE
    sent = told(program.ask_code(life.to, SCENE, life.captcha_token))
    assert sent == GONE if life.sent else sent in (OK, UNSENT) or life.sent == ""
    assert told(program.ask_code(life.to, SCENE, life.captcha_token)) == GONE
    return "sent before" if sent == GONE else "sent now"
