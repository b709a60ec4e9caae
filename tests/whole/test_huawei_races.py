"""Many callers of Huawei Cloud's dialect at once, on one process and on several."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from tests.whole.conftest import eventually
from tests.whole.huawei import VENDORS_WARNINGS, refusal, running

pytestmark = pytest.mark.filterwarnings(VENDORS_WARNINGS)

SENDS, MOST_AN_HOUR, NEWEST = 40, 15, 3
REGISTRATIONS = 30
USED = (400, "CBC.99004008")


@pytest.fixture(scope="module", params=["1", "2"])
def place(new_house, request):
    with new_house() as house, running(house, "--workers", request.param) as place:
        yield place


@pytest.fixture(scope="module")
def partner(place):
    with place.partner() as partner:
        yield partner


def customers(place):
    return [one for one in place.accounts().values() if one["kind"] == "customer"]


def at_once(calls):
    """How each of these calls is answered, all made together."""
    calls = list(calls)
    with ThreadPoolExecutor(len(calls)) as callers:
        return Counter(callers.map(refusal, calls))


def enough(codes):
    return codes if len(codes) >= NEWEST else []


def test_of_forty_sends_at_once_fifteen_go_through(place, partner):
    """A refused one is not mailed, and other addresses are not concerned. Of those that go through
    the last three codes are mailed at least: what they ended before it left is not sent any more.
    """
    address = "ann@example.com"
    answers = at_once(partial(partner.send, address) for _ in range(SENDS))
    assert answers == {(200, ""): MOST_AN_HOUR, (400, "CBC.99004015"): SENDS - MOST_AN_HOUR}
    codes = eventually(lambda: enough(place.mailboxes.codes(address)), "the newest codes")
    assert len(codes) <= MOST_AN_HOUR
    assert refusal(partner.send, address) == (400, "CBC.99004015")
    assert partner.send("anne@example.com").status_code == 204


def test_of_thirty_registrations_with_one_code_one_makes_a_customer(place, partner):
    """Whatever else they say of themselves; and the code is used up."""
    address = "bea@example.com"
    partner.send(address)
    code, before = place.code(address), len(customers(place))
    answers = at_once(partial(partner.register, address, code) for _ in range(REGISTRATIONS))
    assert answers.pop((200, "")) == 1
    assert answers == {USED: REGISTRATIONS - 1}
    assert len(customers(place)) == before + 1
    assert refusal(partner.register, address, code) == USED
    assert partner.look("email", address) == "used_by_user"


def test_of_registrations_under_one_name_one_is_made_and_no_other_code_is_lost(place, partner):
    """Each with a right code of its own: who came too late registers under another name."""
    addresses = [f"cyd.{number}@example.com" for number in range(5)]
    for address in addresses:
        partner.send(address)
    codes = {address: place.code(address) for address in addresses}
    before = len(customers(place))
    answers = at_once(
        partial(partner.register, address, code, domain_name="cyd-lee")
        for address, code in codes.items()
    )
    assert answers == {(200, ""): 1, (400, "CBC.99000038"): len(addresses) - 1}
    again = at_once(partial(partner.register, *each) for each in codes.items())
    assert again == {(200, ""): len(addresses) - 1, USED: 1}
    assert len(customers(place)) == before + len(addresses)
