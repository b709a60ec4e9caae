"""kill -9 while customers are registered: a code is used up if and only if its customer exists."""

import random
from collections import Counter
from functools import partial

import msgspec
import pytest
from huaweicloudsdkcore.exceptions.exceptions import ConnectionException, RequestTimeoutException
from requests.exceptions import ChunkedEncodingError

from tests.whole.huawei import (
    SETTINGS,
    VENDORS_WARNINGS,
    Partner,
    account,
    created,
    mail_server,
    refusal,
)
from tests.whole.trouble import is_whole, killed_under_load

pytestmark = pytest.mark.filterwarnings(VENDORS_WARNINGS)

GONE = (ConnectionException, RequestTimeoutException, ChunkedEncodingError)
"""The last comes of an answer that ends before its length, and the SDK lets it through."""
USED = (400, "CBC.99004008")


class Registration(msgspec.Struct, frozen=True):
    """What a caller asked for; `domain_id` is what it was told, "" where nobody answered."""

    address: str
    code: str
    name: str
    domain_id: str = ""


class Callers:
    """They register one customer after the other until the server is gone."""

    def __init__(self, made, mailboxes):
        self.made, self.mailboxes = made, mailboxes
        self.asked: list[Registration] = []
        self._numbers = iter(range(10**6))

    @property
    def told(self):
        return sum(bool(one.domain_id) for one in self.asked)

    def until_killed(self, base_url):
        with Partner(self.made, base_url) as partner:
            try:
                while True:
                    self._register(partner, next(self._numbers))
            except GONE:
                return  # what was not answered is noted

    def _register(self, partner, number):
        address, name = f"ann.{number}@example.com", f"ann-{number}"
        partner.send(address)
        if not (codes := self.mailboxes.codes(address)):
            return  # the mail waits for its next try
        asked = Registration(address, codes[0], name)
        try:
            password = "Horse-4711" if random.random() < 0.1 else None
            made = register(partner, asked, password=password)
        except GONE:
            self.asked.append(asked)
            raise
        self.asked.append(msgspec.structs.replace(asked, domain_id=made.domain_id))


def register(partner, asked, **more):
    named = {"domain_name": asked.name, "xaccount_id": asked.name, **more}
    return partner.register(asked.address, asked.code, **named)


@pytest.mark.parametrize(
    "rounds", [pytest.param(3, id="3"), pytest.param(30, id="30", marks=pytest.mark.soak)]
)
def test_kill_9_leaves_no_code_without_its_customer(house, rounds):
    """Of every registration, answered or not: either its customer is there and its code used up,
    or there is none, and the code still makes it."""
    with mail_server() as (port, mailboxes):
        house.settings(SETTINGS.format(port=port))
        callers = Callers(created(house), mailboxes)
        for number in range(rounds):
            house.process = house.start("--workers", str(1 + number % 2))
            base_url = house.announced()["base_url"]
            killed_under_load(house, partial(callers.until_killed, base_url), lambda: callers.told)
            assert is_whole(house)
        with (
            house.serving() as serving,
            Partner(callers.made, serving["base_url"]) as partner,
        ):
            found = Counter(settled(partner, asked) for asked in callers.asked)
            customers = {one["name"]: one["id"] for one in account(house, "list", "--json")}
    print(f"{rounds} kills: {dict(found)}")
    for asked in callers.asked:
        assert asked.domain_id in ("", customers.pop(asked.name))
    assert set(customers) == {callers.made["domain"]}


def settled(partner, asked):
    """Read through the server: how this registration ended, then that no code is good twice."""
    by_address = partner.look("email", asked.address)
    assert partner.look("name", asked.name) == by_address
    if by_address == "available":
        assert not asked.domain_id
        assert register(partner, asked).domain_id
        ending = "not done, so done now"
    else:
        ending = "done and told" if asked.domain_id else "done and not told"
    assert refusal(partner.register, asked.address, asked.code) == USED
    return ending
