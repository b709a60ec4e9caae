"""Many callers of Alibaba Cloud's dialect at once, on one process and on several."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from urllib.parse import urlsplit

import pytest

from tests.whole.aliyun import (
    DONE,
    VENDORS_WARNINGS,
    Accounts,
    Caller,
    Inbox,
    hang_up,
    phone,
    refusal,
)

pytestmark = pytest.mark.filterwarnings(VENDORS_WARNINGS)

CALLERS, EACH, A_DAY, TIMES = 30, 5, 100, 20
BOUND = (409, "AccountSecureMobileAlreadyExists")
CODE = (409, "Invalid.VerificationCode")
ELSEWHERE = (409, "NotSupport.AccountInAnotherResourceDirectory")
LIMIT = (409, "SendValidateCodeExceedsLimitForAccount")


class Place:
    """A server that runs, its phones, and who may call it."""

    def __init__(self, house, endpoint):
        self.accounts, self._endpoint = Accounts(house), endpoint
        self.inbox = Inbox(endpoint, self.accounts.inbox_token())

    def newcomer(self):
        (made,) = self.accounts.newcomers(1)
        return Caller(self._endpoint, *made)

    def manager(self):
        return Caller(self._endpoint, *self.accounts.manager())


@pytest.fixture(scope="module", params=["1", "2"])
def place(new_house, request):
    # A day that is half over, so that none ends while it is counted.
    hours = 12 - datetime.now(UTC).hour
    with new_house() as house:
        house.settings(f'[aliyun]\naccount = ["{A_DAY}/day Etc/GMT{-hours:+d}"]\n')
        with house.serving("--workers", request.param) as serving:
            yield Place(house, urlsplit(serving["base_url"]).netloc)
            hang_up()


def at_once(calls, callers):
    """How these calls are answered, made by so many callers at a time."""
    with ThreadPoolExecutor(callers) as pool:
        return Counter(pool.map(refusal, calls))


def test_of_thirty_callers_at_once_exactly_a_hundred_sends_go_through(place):
    """In sum, of five each, to enable a directory; the next one is refused, and other callers are
    not concerned."""
    shop = place.newcomer()
    sends = [partial(shop.send_to_enable, phone()) for _ in range(CALLERS * EACH)]
    answers = at_once(sends, CALLERS)
    assert answers == {DONE: A_DAY, LIMIT: CALLERS * EACH - A_DAY}
    assert refusal(shop.send_to_enable, phone()) == LIMIT
    assert refusal(place.newcomer().send_to_enable, phone()) == DONE


def test_of_thirty_callers_at_once_a_member_gets_exactly_a_hundred(place):
    """In sum, of five each; the other member has its own."""
    boss = place.manager()
    ann, bea = boss.create("Ann"), boss.create("Bea")
    sends = [partial(boss.send_to_bind, ann, phone()) for _ in range(CALLERS * EACH)]
    answers = at_once(sends, CALLERS)
    assert answers == {DONE: A_DAY, LIMIT: CALLERS * EACH - A_DAY}
    assert refusal(boss.send_to_bind, ann, phone()) == LIMIT
    assert refusal(boss.send_to_bind, bea, phone()) == DONE


def test_of_twenty_at_once_one_code_makes_one_directory(place):
    """Whatever names they ask for; the caller is a member of that one."""
    shop, to = place.newcomer(), phone()
    shop.send_to_enable(to)
    code = place.inbox.code(to)
    names = [f"boss-{shop.id}-{number}@rdadmin.aliyunid.com" for number in range(TIMES)]
    answers = at_once([partial(shop.enable, name, to, code) for name in names], TIMES)
    assert answers.pop(DONE) == 1
    assert set(answers) <= {CODE, ELSEWHERE}
    assert answers.total() == TIMES - 1
    assert shop.directory().master_account_name in names
    assert refusal(shop.enable, names[0], to, code) == ELSEWHERE
    made = place.accounts.do(lambda service, now: service.aliyun.accounts.accounts(now))
    assert sum(account.name in names for account in made) == 1


@pytest.mark.parametrize("codes", [1, 2])
def test_of_twenty_at_once_one_phone_is_bound(place, codes):
    """By one code, or by the codes of two phones."""
    boss = place.manager()
    ann, phones = boss.create("Ann"), [phone() for _ in range(codes)]
    given = []
    for to in phones:
        boss.send_to_bind(ann, to)
        given.append((to, place.inbox.code(to)))
    answers = at_once([partial(boss.bind, ann, *given[n % codes]) for n in range(TIMES)], TIMES)
    assert answers.pop(DONE) == 1
    assert set(answers) <= {CODE, BOUND}
    assert answers.total() == TIMES - 1
    assert boss.phone_of(ann) in phones
