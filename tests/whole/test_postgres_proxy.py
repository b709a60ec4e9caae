"""Trouble on the way to the database: delays, cuts, half-open connections, trickles, lost replies.
Answers come in time, none is invented, and nobody has to be started again."""

import json
import math
import random
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from urllib.parse import urlsplit

import pytest
from alibabacloud_tea_openapi.exceptions import ServerException

from tests.postgres_server import HERE, rows, running
from tests.tcp_proxy import proxying
from tests.whole import aliyun, huawei
from tests.whole.conftest import eventually
from tests.whole.postgres_fleet import (
    ANSWERED_IN_S,
    Api,
    Fleet,
    asks_to_try_again,
    mailbox,
    relay,
    through,
)
from tests.whole.postgres_load import Trial, fleet_of_four, limits
from tests.whole.postgres_wire import Wire

pytestmark = [
    pytest.mark.filterwarnings(aliyun.VENDORS_WARNINGS),
    pytest.mark.filterwarnings(huawei.VENDORS_WARNINGS),
]

CALLERS = 24
CONNECTIONS = 10
ATTEMPT, ISSUE = r"\battempt\(", r"\bissue\("
AN_ACT = r"watchword\.(attempt|issue|record_handovers)\(|UPDATE watchword\.deliveries"
AWAY = {
    "refused": lambda proxy: proxy.refuse(),
    "half-open": lambda proxy: proxy.freeze(),
    "trickling": lambda proxy: proxy.trickle(0.3),
    "late": lambda proxy: proxy.delay(1.0),
}


class Place:
    """A server whose way to the database is a proxy, and those who call it."""

    def __init__(self, store, proxy, wire, home, api, made):
        self.store, self.proxy, self.wire = store, proxy, wire
        self.home, self.api, self.made = home, api, made

    @contextmanager
    def vendors(self):
        """A send as each vendor's client makes it, which says the status and the vendor's code."""
        newcomer, base_url = self.made["aliyun"]["newcomer"], self.api.base_url
        key = [newcomer[name] for name in ("account_id", "ak", "sk")]
        caller = aliyun.Caller(urlsplit(base_url).netloc, *key)
        with huawei.Partner(self.made["huawei"], base_url) as partner:
            yield [
                partial(timed, huawei.refusal, partner.send, mailbox()),
                partial(timed, told_by, caller.send_to_enable, aliyun.phone()),
            ]
        aliyun.hang_up()

    def opened(self, amount):
        """Challenges whose mails have arrived, and the code of each."""
        to = [mailbox() for _ in range(amount)]
        sent = {self.api.send(each).json()["id"]: each for each in to}
        return {id: self.code(each) for id, each in sent.items()}

    def code(self, to):
        return eventually(lambda: self.received(to), "a mail")[-1]

    def received(self, to):
        items = self.api.get("/v1/inbox", to=to).json()["items"]
        return [item["code"] for item in items]

    @contextmanager
    def trouble(self, begin):
        """Until the end of the block; afterwards the server is ready again, all by itself."""
        begin(self.proxy)
        try:
            yield
        finally:
            self.proxy.pass_on()
        eventually(self.api.is_ready, "readiness")
        assert self.home.process.poll() is None

    @contextmanager
    def losing(self, pattern, times=math.inf):
        """The reply to each statement like this is lost, with its connection, so many times at the
        most and once at least."""
        before = self.proxy.lost
        self.wire.lose(pattern, times)
        try:
            yield
        finally:
            self.wire.lose_nothing()
        assert self.proxy.lost > before
        eventually(self.api.is_ready, "readiness")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    wire = Wire()
    with running() as database, proxying(HERE, database.port) as proxy:
        proxy.ears = wire.ear
        store = database.create_database()
        home = Fleet(tmp_path_factory.mktemp("fleet"), store).house("one", through(proxy, store))
        made = json.loads(home.run("demo", "--json").stdout)
        with home.serving() as serving, Api(serving["base_url"], made["native"]["api_key"]) as api:
            yield Place(store, proxy, wire, home, api, made)


def at_once(calls):
    with ThreadPoolExecutor(CALLERS) as callers:
        return [answer.result() for answer in [callers.submit(call) for call in calls]]


def timed(call, *given):
    """Its outcome, within the time that answers may take."""
    began = time.monotonic()
    outcome = call(*given)
    assert time.monotonic() - began < ANSWERED_IN_S
    return outcome


def told_by(call, *given):
    """As aliyun.refusal, for what is the server's own fault."""
    try:
        return aliyun.refusal(call, *given)
    except ServerException as away:
        return away.status_code, away.code


def keyed(call, *given):
    """A call that repeats itself under one key."""
    return partial(timed, partial(call, *given, key=str(uuid.uuid4())))


@pytest.mark.parametrize("weather", AWAY)
def test_while_the_database_is_away_everyone_is_told_to_try_again(place, weather):
    """In time, in every dialect's own words, and red; afterwards the same process does under the
    same keys what was asked for, once."""
    codes, to = place.opened(CALLERS // 2), [mailbox() for _ in range(CALLERS // 2)]
    calls = [keyed(place.api.check, id, code) for id, code in codes.items()]
    calls += [keyed(place.api.send, each) for each in to]
    with place.vendors() as vendors:
        with place.trouble(AWAY[weather]):
            *ours, partners, callers = at_once([*calls, *vendors])
            assert all(map(asks_to_try_again, ours))
            assert (partners, callers) == ((500, "CBC.0999"), (503, "ServiceUnavailable"))
            assert asks_to_try_again(timed(place.api.get, "/readyz"))
            assert place.api.get("/livez").status_code == 200
        assert at_once(vendors) == [(200, ""), aliyun.DONE]
    again, repeated = at_once(calls), at_once(calls)
    assert [each.status_code for each in again] == [200] * len(codes) + [201] * len(to)
    assert [each.json() for each in again] == [each.json() for each in repeated]
    assert {each.json()["status"] for each in again[: len(codes)]} == {"approved"}
    for each in to:
        assert place.code(each)
        assert len(place.received(each)) == 1


@pytest.mark.parametrize("each_way_s", [0.05, 0.3, 0.6])
def test_a_slow_way_delays_no_answer_for_long(place, each_way_s):
    """Done or "try again", in time, however often a dialect has to ask the store; and what was done
    is told again under its key."""
    codes, to = place.opened(4), [mailbox() for _ in range(4)]
    calls = [keyed(place.api.check, id, code) for id, code in codes.items()]
    calls += [keyed(place.api.send, each) for each in to]
    with place.vendors() as vendors, place.trouble(lambda proxy: proxy.delay(each_way_s)):
        *first, partners, callers = at_once([*calls, *vendors])
    assert {each.status_code for each in first} <= {200, 201, 503}
    assert partners in ((200, ""), (500, "CBC.0999"))
    assert callers in (aliyun.DONE, (503, "ServiceUnavailable"))
    for answer, again in zip(first, at_once(calls), strict=True):
        assert again.status_code in (200, 201)
        assert answer.status_code == 503 or answer.json() == again.json()


def test_a_cut_costs_a_moment(place):
    """All connections are reset, and new ones made: after one refusal at the most, answers come."""
    (id, code), *_ = place.opened(1).items()
    place.proxy.cut()
    answer = place.api.look(id)
    assert answer.status_code == 200 or asks_to_try_again(answer)
    eventually(lambda: place.api.look(id).status_code == 200, "an answer")
    assert place.api.check(id, code).json()["status"] == "approved"


def test_one_lost_reply_is_found_out_under_a_key(place):
    """Whoever gave a key need not ask again himself: the same act gives its first answer again."""
    (id, code), *_ = place.opened(1).items()
    with place.losing(ATTEMPT, times=1):
        checked = timed(place.api.check, id, code, str(uuid.uuid4()))
    assert checked.json()["status"] == "approved"
    to = mailbox()
    with place.losing(ISSUE, times=1):
        assert timed(place.api.send, to, str(uuid.uuid4())).status_code == 201
    assert place.code(to)
    assert len(place.received(to)) == 1


def test_a_lost_verdict_is_told_again_under_its_key(place):
    """The check was done and nobody knows: no verdict until somebody looks."""
    (id, code), *_ = place.opened(1).items()
    key = str(uuid.uuid4())
    with place.losing(ATTEMPT):
        assert asks_to_try_again(timed(place.api.check, id, code, key))
    again = place.api.check(id, code, key)
    assert again.json()["status"] == "approved"
    assert again.headers["idempotency-replayed"] == "true"
    assert place.api.check(id, code).json()["type"].endswith(":already-approved")


def test_a_lost_verdict_is_not_given_twice(place):
    """Without a key the code is used up, and stays so."""
    (id, code), *_ = place.opened(1).items()
    with place.losing(ATTEMPT):
        assert asks_to_try_again(timed(place.api.check, id, code))
    assert place.api.look(id).json()["status"] == "approved"
    answers = at_once([partial(place.api.check, id, code)] * 8)
    assert {each.json()["type"].rpartition(":")[2] for each in answers} == {"already-approved"}


def test_a_lost_refusal_of_a_code_is_counted_once(place):
    """A wrong code whose verdict was lost costs one attempt, also when it is asked for again."""
    (id, code), *_ = place.opened(1).items()
    wrong, key = f"{(int(code) + 1) % 10**6:06d}", str(uuid.uuid4())
    with place.losing(ATTEMPT):
        assert asks_to_try_again(timed(place.api.check, id, wrong, key))
    again = place.api.check(id, wrong, key)
    assert (again.status_code, again.json()["status"]) == (200, "pending")
    assert again.json()["attempts_left"] == place.api.look(id).json()["attempts_left"] == 4


def test_a_send_whose_answer_was_lost_is_sent_once(place):
    """Repeated under its key it is the same one; repeated without, it is refused as a resend."""
    to, key = mailbox(), str(uuid.uuid4())
    with place.losing(ISSUE):
        assert asks_to_try_again(timed(place.api.send, to, key))
    again = place.api.send(to, key)
    assert again.status_code == 201
    assert again.headers["idempotency-replayed"] == "true"
    assert place.api.send(to).json()["type"].endswith(":resend-too-soon")
    assert len(place.api.deliveries(again.json()["id"])) == 1
    assert place.code(to)
    assert len(place.received(to)) == 1


def test_what_comes_through_late_is_done_at_most_once(place):
    """A half-open connection that opens again after everyone was told to try again: what was on its
    way may be done then, and is not done twice."""
    codes = place.opened(8)
    calls = [partial(place.api.check, id, code) for id, code in codes.items()]
    with place.trouble(lambda proxy: proxy.freeze()):
        assert all(map(asks_to_try_again, at_once(calls)))
    answers = at_once(calls * 2)
    told = [each.json() for each in answers]
    for id in codes:
        approved = sum(each.get("status") == "approved" for each in told if each.get("id") == id)
        assert approved <= 1
        assert place.api.look(id).json()["status"] == "approved"
    assert {each.status_code for each in answers} <= {200, 409}


def test_trouble_leaves_no_connections_behind(place):
    """The server's end of a connection that was given up is closed, too."""
    with place.trouble(AWAY["half-open"]):
        at_once([partial(place.api.look, "0" * 26)] * CALLERS)
    sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    # Ours that counts, and the one that listens, come on top.
    eventually(lambda: rows(place.store, sql)[0][0] <= CONNECTIONS + 2, "connections to go")


@pytest.mark.parametrize(
    "rounds", [pytest.param(1, id="1"), pytest.param(20, id="20", marks=pytest.mark.soak)]
)
def test_a_storm_loses_nothing_and_repeats_nothing(tmp_path, rounds):
    """P1, P2 and the equation of P4 through cuts, stalls, delays and lost replies under load."""
    wire = Wire()
    storm = [
        lambda proxy: proxy.cut(),
        lambda proxy: proxy.delay(0.05),
        lambda proxy: wire.lose(AN_ACT),
        lambda proxy: proxy.freeze(),
        lambda proxy: proxy.refuse(),
    ]
    with running() as database, proxying(HERE, database.port) as proxy, relay() as (mails, mail):
        proxy.ears = wire.ear
        store = database.create_database()
        fleet = Fleet(tmp_path, through(proxy, store), mails + limits(rounds))
        with fleet_of_four(fleet) as apis:
            trial = Trial(apis, mail, rounds)
            for _ in range(rounds):
                with trial.round():
                    for begin in random.sample(storm, len(storm)):
                        begin(proxy)
                        threading.Event().wait(random.random())  # the dice again
                        proxy.pass_on()
                        wire.lose_nothing()
            print(trial.audit(store, most_unknown=16 * len(storm) * rounds))
