"""Old keys are let go: nothing at rest needs them once the lifetimes are over, and not before."""

import copy
import json
from base64 import b64decode
from collections import Counter
from contextlib import closing, contextmanager
from datetime import timedelta

import apsw
import msgspec
import pytest
from huaweicloudsdkbssintl.v2 import BssintlClient

from tests.surfaces.aliyun import calling as aliyun
from tests.surfaces.ciam import calling as ciam
from tests.surfaces.conftest import Clock, Server, up
from tests.surfaces.huawei import calling as huawei
from tests.whole.conftest import eventually
from watchword import keyring
from watchword.cli.keys import _activate, _add, _reseal, _retire
from watchword.domain.destination import phone
from watchword.service.read_inbox import read_inbox

pytestmark = [pytest.mark.filterwarnings(warning) for warning in huawei.VENDORS_WARNINGS]

TO, WAITING, TESTED = "+8613800138000", "down@example.com", "+8613900139000"
DAY = timedelta(days=1)
_SHORTEST = 33
"""Of what is sealed; digests and indexes have 16 or 32 bytes."""


def sealed_under(server, id):
    """How much is sealed under a key, by where it is: read as rows, value by value."""
    found: Counter[str] = Counter()
    for table, column in (("challenges", "recipient"), ("deliveries", "recipient"),
                          ("deliveries", "code")):  # fmt: skip
        rows = server.rows(f"SELECT {column} FROM {table}")  # noqa: S608
        found[f"{table}.{column}"] += sum(_seals(row, id) for row in rows)
    draws = "draws" if server.place.kind == "sqlite" else "sealed"
    rows = server.rows(f"SELECT {draws} FROM challenges")  # noqa: S608
    found["challenges.draws"] += sum(_seals(row, id) for row in rows)
    for kind, body in server.rows("SELECT kind, body FROM records"):
        found[kind] += _seals(body, id)
    with closing(apsw.Connection(str(server.folder / "inbox.db"))) as db:
        found["inbox"] += _seals(db.execute("SELECT sealed FROM received").fetchall(), id)
    return +found


def _seals(value, id):
    """In a value of any shape, as deep as it goes."""
    if isinstance(value, bytes):
        is_one = len(value) >= _SHORTEST and int.from_bytes(value[:2], "big") == id
        return is_one or _seals(_unpacked(value), id)
    if isinstance(value, str):
        return len(value) >= _SHORTEST and _seals(_plain(value), id)
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list | tuple):
        return 0
    return sum(_seals(one, id) for one in value)


def _unpacked(value):
    for decode in (json.loads, msgspec.msgpack.decode):
        try:
            return decode(value)
        except (ValueError, msgspec.DecodeError):
            continue
    return None


def _plain(text):
    try:
        return b64decode(text, validate=True)
    except ValueError:
        return None


@contextmanager
def holding(server):
    """It says which keys it knows, as `serve` does."""

    async def begun():
        return server._loop.create_task(server.service.hold_ring())

    async def ended(task):
        task.cancel()

    task = server.do(begun())
    yield
    server.do(ended(task))


class Native:
    """An app of the native dialect."""

    def __init__(self, server, token):
        self.server, self.token = server, token

    def post(self, path, body, **headers):
        with self.server.client(self.token) as http:
            return http.post(f"/v1/verifications{path}", json=body, headers=headers)

    def send(self, to, **headers):
        channel = "email" if "@" in to else "sms"
        body = {"to": to, "channel": channel, "purpose": "sign_in"}
        sent = self.post("", body, **headers)
        assert sent.status_code == 201, sent.text
        return sent.json()["id"]

    def received(self, to):
        """The code of the newest message that came there."""
        server = self.server
        found = eventually(
            lambda: server.do(read_inbox(server.service.inbox, to)), f"a message to {to}"
        )
        return found[-1].code

    def passes(self, id, code):
        return self.post(f"/{id}/check", {"code": code}).json()["status"] == "approved"


def rotated(server):
    """All steps; the server follows by itself."""
    server.do(_add(server.service))
    server.do(_activate(server.service, force=False, patience_s=10))
    eventually(lambda: server.service.keys.active["seal"] == 2, "the new key in use")
    server.do(_reseal(server.service))


def retired(server):
    """What was removed, and what has to stay."""
    return server.do(_retire(server.service, None, force=False))


def swept(server):
    while server.do(server.service.store.sweep(server.clock(), most=1000)).more:
        pass


def test_after_the_lifetime_nothing_at_rest_needs_the_old_key(new_place, tmp_path):
    """With real things of every dialect at rest: an old key is kept while anything needs it, which
    is told, and gone once nothing does. Then all goes on without it, in a server begun anew, too.
    """
    clock = Clock()
    with new_place() as place:
        with up(Server(tmp_path, place, deliver=True, clock=clock, **ciam.TERMS)) as server:
            with holding(server):
                left = at_rest(server)
                before = sealed_under(server, 1)
                rotated(server)
                is_needed_still(server, left)
            later = without_the_old_key(server, before)
            goes_on(server, left, later)
        assert {key.id for key in keyring.read(tmp_path / "keyring.json").seal} == {2}
        with up(Server(tmp_path, place, deliver=True, clock=clock, **ciam.TERMS)) as server:
            clock.pass_by(timedelta(minutes=2))
            goes_on(server, left, later)


def at_rest(server):
    """Open codes, a message that waits, an idempotency answer, a test number, a captcha nobody
    solved, and people and keys of each dialect."""
    app = server.do(server.service.apps.create(name="Shop", now=server.clock()))
    shop = Native(server, server.key_of(app.id))
    ends = server.clock() + timedelta(hours=2)
    server.do(
        server.service.apps.add_test_number(app.id, phone(TESTED), "271828", ends, server.clock())
    )
    bank, ann = ciam.device(server, "here"), ciam.mobile()
    partner, customer = huawei.partner(server), huawei.mailbox()
    partner.register(email=customer, verification_code=huawei.sent(partner, customer))
    boss, number = aliyun.manager(server), aliyun.phone()
    member = aliyun.member_of(boss)
    assert boss.ask(aliyun.BIND, **aliyun.binding(boss, member, number)).success
    left = {
        "app": app,
        "shop": shop,
        "open": shop.send(TO, **{"idempotency-key": "once"}),
        "tested": shop.send(TESTED),
        "waiting": shop.send(WAITING),
        "bank": bank,
        "ann": ann,
        "id_token": bank.logged_in(ann),
        "partner": partner,
        "customer": customer,
        "boss": boss,
        "member": member,
    }
    bank.captcha()
    shop.received(TO)
    return left


def is_needed_still(server, left):
    """What was made under the old keys counts, and what needs them is told."""
    removed, kept = retired(server)
    assert not removed
    code, seal = kept
    assert "codes that may still be typed, until" in code
    assert "1 test numbers" in code
    assert "challenges that are not swept yet, until" in seal
    assert "messages that wait" in seal
    assert "messages in the virtual carrier's inbox, until" in seal
    shop = left["shop"]
    assert shop.send(TO, **{"idempotency-key": "once"}) == left["open"]
    assert shop.passes(left["open"], shop.received(TO))
    assert shop.passes(left["tested"], "271828")


def without_the_old_key(server, before):
    """It is gone, and so is all that was sealed under it."""
    missing = {"challenges.recipient", "challenges.draws", "deliveries.recipient", "captcha",
               "deliveries.code", "huawei_key", "aliyun_key", "ciam_user", "ciam_signing_key",
               "inbox"} - set(before)  # fmt: skip
    assert not missing, before
    server.clock.pass_by(DAY + timedelta(hours=3))
    swept(server)
    removed, kept = retired(server)
    assert not kept
    assert len(removed) == 2
    later = Native(server, server.key())
    later.send("+8613700137000")
    later.received("+8613700137000")  # the inbox forgets what is too old when something comes
    assert not sealed_under(server, 1)
    eventually(lambda: server.service.keys.ids["seal"] == [2], "the old key gone from the ring")
    return later


def goes_on(server, left, later):
    """Whoever was there before is served as before."""
    later.server = server
    fresh = f"+86138{next(huawei._numbers):07d}8"
    assert later.passes(later.send(fresh), later.received(fresh))
    shop = Native(server, left["shop"].token)
    number = phone(f"+86139{next(huawei._numbers):07d}8")
    ends = server.clock() + DAY
    made = server.service.apps.add_test_number(
        left["app"].id, number, "314159", ends, server.clock()
    )
    server.do(made)
    server.clock.pass_by(timedelta(seconds=2))
    assert shop.passes(shop.send(number.identity), "314159")
    bank, ann = copy.copy(left["bank"]), left["ann"]
    bank.server = server
    code = bank.code(ann)
    reply = bank.post(ciam.LOGIN, {"mobile": ann, "verify_code": code})
    assert reply.status == 200, reply.body
    partner = copy.copy(left["partner"])
    partner.server = server
    partner._intl = partner.client(BssintlClient)
    assert partner.look_for("email", left["customer"]).check_result == "used_by_user"
    newcomer = huawei.mailbox()
    partner.register(email=newcomer, verification_code=huawei.sent(partner, newcomer))
    boss = copy.copy(left["boss"])
    boss.server = server
    told = boss.ask("GetAccount", AccountId=left["member"]).success
    assert told["Account"]["HasSecureMobilePhone"]
