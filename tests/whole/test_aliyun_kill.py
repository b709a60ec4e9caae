"""kill -9 while directories are enabled and phones bound: a code is used up if and only if its
effect is there."""

import urllib.error
from collections import Counter
from functools import partial
from http.client import HTTPException
from urllib.parse import urlsplit

import msgspec
import pytest

from tests.whole.aliyun import (
    DONE,
    GONE,
    VENDORS_WARNINGS,
    Accounts,
    Caller,
    Inbox,
    hang_up,
    phone,
    refusal,
)
from tests.whole.trouble import is_whole, killed_under_load

pytestmark = pytest.mark.filterwarnings(VENDORS_WARNINGS)

NEWCOMERS = 30
BOUND = (409, "AccountSecureMobileAlreadyExists")
ELSEWHERE = (409, "NotSupport.AccountInAnotherResourceDirectory")
NO_DIRECTORY = (404, "ResourceDirectoryNotInUse")
SETTINGS = """
[aliyun]
members = 10000
account = []
"""


class Act(msgspec.Struct, frozen=True):
    """What a caller asked for with a code: a phone for a member, or a directory for itself."""

    caller: tuple[str, ...]
    phone: str
    code: str
    member_id: str = ""
    name: str = ""
    was_told: bool = False

    def by(self, caller):
        if self.member_id:
            return caller.bind(self.member_id, self.phone, self.code)
        return caller.enable(self.name, self.phone, self.code)

    def is_done(self, caller):
        """Read through the server: whether its effect is there, and is this one's."""
        if self.member_id:
            bound = caller.phone_of(self.member_id)
            assert bound in ("", self.phone)
            return bool(bound)
        if refusal(caller.directory) == NO_DIRECTORY:
            return False
        assert caller.directory().master_account_name == self.name
        return True


class Callers:
    """They do one act after the other until the server is gone."""

    def __init__(self, boss, token):
        self.boss, self.token = boss, token
        self.newcomers: list[tuple[str, ...]] = []
        self.asked: list[Act] = []
        self._numbers = iter(range(10**6))

    @property
    def told(self):
        return sum(one.was_told for one in self.asked)

    def until_killed(self, endpoint):
        inbox = Inbox(endpoint, self.token)
        try:
            while True:
                number = next(self._numbers)
                prepared = self._enabling if number % 2 else self._binding
                self._act(endpoint, prepared(endpoint, inbox, number))
        except (GONE, urllib.error.URLError, ConnectionError, HTTPException):
            return  # what was not answered is noted

    def _binding(self, endpoint, inbox, number):
        boss, to = Caller(endpoint, *self.boss), phone()
        member_id = boss.create(f"ann {number}")
        boss.send_to_bind(member_id, to)
        return Act(self.boss, to, inbox.code(to), member_id=member_id)

    def _enabling(self, endpoint, inbox, number):
        try:
            made, to = self.newcomers.pop(), phone()
        except IndexError:
            return self._binding(endpoint, inbox, number)
        Caller(endpoint, *made).send_to_enable(to)
        name = f"boss-{number}@rdadmin.aliyunid.com"
        return Act(made, to, inbox.code(to), name=name)

    def _act(self, endpoint, act):
        try:
            act.by(Caller(endpoint, *act.caller))
        except GONE:
            self.asked.append(act)
            raise
        self.asked.append(msgspec.structs.replace(act, was_told=True))


@pytest.mark.parametrize(
    "rounds", [pytest.param(3, id="3"), pytest.param(30, id="30", marks=pytest.mark.soak)]
)
def test_kill_9_leaves_no_code_without_its_effect(house, rounds):
    """Of every act, answered or not: either its effect is there and its code used up, or there is
    none, and the code still does it. In the end as many codes are used up as acts are done."""
    house.settings(SETTINGS)
    accounts = Accounts(house)
    callers = Callers(accounts.manager(), accounts.inbox_token())
    for number in range(rounds):
        callers.newcomers += accounts.newcomers(NEWCOMERS - len(callers.newcomers))
        house.process = house.start("--workers", str(1 + number % 2))
        endpoint = urlsplit(house.announced()["base_url"]).netloc
        killed_under_load(house, partial(callers.until_killed, endpoint), lambda: callers.told)
        hang_up()
        assert is_whole(house)
    used = used_up(house)
    with house.serving() as serving:
        endpoint = urlsplit(serving["base_url"]).netloc
        found = Counter(settled(endpoint, act) for act in callers.asked)
        hang_up()
    print(f"{rounds} kills: {dict(found)}")
    assert used == len(callers.asked) - found["not done, so done now"]
    assert used_up(house) == len(callers.asked)
    assert sum(bool(act.name) for act in callers.asked) > rounds
    assert sum(bool(act.member_id) for act in callers.asked) > rounds


def used_up(house):
    """How many codes are, by the store."""
    ((used,),) = house.rows("SELECT count(*) FROM challenges WHERE state = 'approved'")
    return used


def settled(endpoint, act):
    """How this act ended; then that it is not done twice."""
    caller = Caller(endpoint, *act.caller)
    if act.is_done(caller):
        ending = "done and told" if act.was_told else "done and not told"
    else:
        assert not act.was_told
        assert refusal(act.by, caller) == DONE
        assert act.is_done(caller)
        ending = "not done, so done now"
    assert refusal(act.by, caller) in (BOUND, ELSEWHERE)
    return ending
