"""Servers whose clocks are minutes apart, on one PostgreSQL: no limit and no verdict changes."""

import itertools
import subprocess
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from tests.postgres_server import running
from tests.whole.conftest import eventually
from tests.whole.postgres_fleet import Api, Fleet, mailbox, native_key, relay

SHIM = Path(__file__).with_name("skewed_clock.c")
SKEWS_S = {"true": 0, "ahead": 120, "behind": -120}
TTL = timedelta(seconds=30)
ROUNDED = timedelta(seconds=1)
"""Answers tell whole seconds: when a code dies not too late, when to come back not too early."""
SLACK = timedelta(seconds=0.5)
"""How far servers may disagree: what an answer takes on a busy machine, and a little drift."""
SETTINGS = """
[policy]
ttl_s = 30
resend_interval_s = 3
[limits]
destination = ["10/1h"]
fingerprint = ["4/3s"]
"""


class Clocks:
    """Servers by how their clocks go, and the mails that they send."""

    def __init__(self, apis, mail):
        self.apis, self.mail = apis, mail

    @property
    def pairs(self):
        """Who acts first, and who acts then."""
        return list(itertools.permutations(self.apis.values(), 2))

    def code(self, to):
        return eventually(lambda: self.mail.codes.get(to), "a mail")


@pytest.fixture(scope="module")
def clocks(tmp_path_factory):
    """Three servers on one database, one of them with the right time."""
    folder = tmp_path_factory.mktemp("clocks")
    library = compiled(folder)
    with running() as database, relay() as (mails, mail), ExitStack() as serving:
        fleet = Fleet(folder, database.create_database(), mails + SETTINGS)
        homes = {name: fleet.house(name) for name in SKEWS_S}
        key = native_key(homes["true"])
        apis = {}
        for name, home in homes.items():
            skew = {"LD_PRELOAD": library, "SKEW_S": str(SKEWS_S[name])}
            base_url = serving.enter_context(home.serving(**skew))["base_url"]
            apis[name] = serving.enter_context(Api(base_url, key))
        yield Clocks(apis, mail)


def compiled(folder):
    library = str(folder / "skewed_clock.so")
    options = ["-shared", "-fPIC", "-O1", "-Werror", "-o", library]
    subprocess.run(["cc", *options, str(SHIM), "-ldl"], check=True)
    return library


def now():
    return datetime.now(UTC)


def test_the_clocks_are_apart(clocks):
    """What is shown below would be shown of any two servers otherwise."""
    for name, seconds in SKEWS_S.items():
        told = parsedate_to_datetime(clocks.apis[name].get("/livez").headers["date"])
        assert abs(told - now() - timedelta(seconds=seconds)) < timedelta(seconds=2)


def test_a_code_is_right_on_whichever_clock(clocks):
    """It lives for 30 s, and they are minutes apart."""
    for issuing, checking in clocks.pairs:
        to = mailbox()
        sent = issuing.send(to).json()
        assert TTL - SLACK - ROUNDED < left(sent["expires_at"]) <= TTL
        assert checking.look(sent["id"]).json()["status"] == "pending"
        wrong = checking.check(sent["id"], "no-code")
        assert (wrong.status_code, wrong.json()["attempts_left"]) == (200, 4)
        assert checking.check(sent["id"], clocks.code(to)).json()["status"] == "approved"


def left(instant):
    """How long until what an answer tells, by the right time."""
    return datetime.fromisoformat(instant) - now()


def test_a_code_dies_at_one_instant_on_all_clocks(clocks):
    """Until then it is right, and afterwards nowhere."""
    sent = [api.send(mailbox()).json() for api in clocks.apis.values()]
    ends = {each["id"]: datetime.fromisoformat(each["expires_at"]) for each in sent}
    last_alive: dict[tuple[str, str], datetime] = {}
    first_dead: dict[tuple[str, str], datetime] = {}

    def is_over():
        for name, id in itertools.product(clocks.apis, ends):
            before = now()
            if clocks.apis[name].look(id).json()["status"] == "expired":
                first_dead.setdefault((name, id), now())
            else:
                last_alive[name, id] = before
        return len(first_dead) == len(clocks.apis) * len(ends)

    eventually(is_over, "the end of all codes")
    for (name, id), died_at in first_dead.items():
        alive_at = max(last_alive[other, id] for other in clocks.apis)
        assert ends[id] < died_at
        assert last_alive[name, id] < ends[id] + ROUNDED + SLACK
        assert alive_at < died_at + SLACK
    for id, api in zip(ends, reversed(clocks.apis.values()), strict=True):
        assert api.check(id, "no-code").json()["type"].endswith(":expired")


def test_a_limit_is_exact_over_all_clocks(clocks):
    """Ten an hour: ten, whoever is asked, and all say alike when to come back."""
    to, apis, began = mailbox(), itertools.cycle(clocks.apis.values()), now()
    for _ in range(10):
        sent = next(apis).send(to)
        assert sent.status_code == 201
        next(apis).cancel(sent.json()["id"])
    for api in clocks.apis.values():
        refused = api.send(to)
        assert refused.json()["type"].endswith(":limit-reached")
        left = 3600 - (now() - began).total_seconds()
        assert abs(int(refused.headers["retry-after"]) - left) <= 2


def test_a_limit_trails_at_one_pace_on_all_clocks(clocks):
    """Four in 3 s: over all clocks together no window has five, and none is refused a fifth for
    longer."""
    granted = []
    apis = itertools.cycle(clocks.apis.values())

    def twelve():
        asked = now()
        answer = next(apis).send(mailbox(), client={"fingerprint": "a phone"})
        if answer.status_code == 201:
            granted.append((asked, now()))
        return len(granted) == 12

    eventually(twelve, "twelve sends")
    for (first, begun), (asked, done) in zip(granted, granted[4:], strict=False):
        assert done - first >= timedelta(seconds=3)
        assert asked - begun <= timedelta(seconds=3) + SLACK


def test_the_resend_interval_is_one_span_on_all_clocks(clocks):
    """Sent by one, refused by another until the interval is over, and not longer."""
    waiting = {}
    for sending, other in clocks.pairs:
        to = mailbox()
        sent = sending.send(to).json()
        refused = other.send(to)
        assert refused.json()["type"].endswith(":resend-too-soon")
        assert 2 <= int(refused.headers["retry-after"]) <= 3
        waiting[to] = (other, datetime.fromisoformat(sent["resend_at"]))
    while waiting:
        to, (other, resend_at) = next(iter(waiting.items()))
        before = now()
        if other.send(to).status_code == 200:
            assert now() > resend_at - ROUNDED
            del waiting[to]
        else:
            assert before < resend_at + SLACK
