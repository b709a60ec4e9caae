"""What Alibaba Cloud's clients are told when something is wrong, that sends wait for no carrier,
and that nothing signed counts twice, in whichever process and after whatever end."""

import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from urllib.parse import urlsplit

import pytest
from alibabacloud_tea_openapi.exceptions import ServerException

from tests.contract.places import KINDS
from tests.whole.aliyun import VENDORS_WARNINGS, Place, hang_up, phone, running
from tests.whole.aliyun_clients import (
    BIND,
    CLIENTS,
    NODE,
    SEND_BIND,
    SEND_RD,
    Core,
    Legacy,
    Tea,
)
from tests.whole.conftest import House, eventually, kill
from tests.whole.trouble import FailingDisk, counts, in_state, is_whole

pytestmark = [pytest.mark.store("sqlite"), pytest.mark.filterwarnings(VENDORS_WARNINGS)]

LOOK = "GetResourceDirectory"
MOST_PATIENT_S = 3.0
"""After so long the vendor's clients for Node give up. Seconds."""
SEEN_AFTER_S = 1.0
"""After so long a running server knows of a change. Seconds."""
NONCES, COPIES = 30, 12
AWAY = (
    503,
    "ServiceUnavailable",
    "The request has failed due to a temporary failure of the server.",
)
IN_PUBLIC = ("--host", "0.0.0.0")  # noqa: S104
REAL_CARRIERS = """
[providers.smtp]
host = "127.0.0.1"
port = 25
security = "none"
sender = "codes@example.com"
"""
NO_DIRECTORY = (404, "ResourceDirectoryNotInUse")
REPLAYED = (400, "SignatureNonceUsed")


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    return FailingDisk(tmp_path_factory.mktemp("disk"))


@pytest.fixture(scope="module")
def place(tmp_path_factory, disk):
    """A server whose store is a file on that disk."""
    house = House(tmp_path_factory.mktemp("aliyun") / "data")
    with running(house, **disk.environ()) as place:
        yield place


@pytest.fixture(scope="module")
def boss(place):
    """A manager whom no test changes."""
    return place.manager()


@pytest.fixture(params=CLIENTS)
def program(request, place):
    """One of the vendor's clients, for whoever it is to call as."""
    more = (request.getfixturevalue("node"),) if request.param in NODE else ()
    return lambda made: CLIENTS[request.param](made, place.endpoint, *more)


@contextmanager
def serving(house, *words):
    """A place on a house that is there already."""
    with house.serving(*words) as serving:
        yield Place(house, urlsplit(serving["base_url"]).netloc)
        hang_up()


@contextmanager
def serving_until_killed(house, *words):
    """The same, and all its processes end at once."""
    house.process = house.start(*words)
    try:
        yield Place(house, urlsplit(house.announced()["base_url"]).netloc)
    finally:
        kill(house)
        hang_up()


def is_told_in_time(client, answer):
    """Whoever asks over a second after a change is answered by it."""
    changed = time.monotonic()
    while time.monotonic() <= changed + SEEN_AFTER_S:
        if client.refusal(LOOK)[:2] == answer:
            return True
    return client.refusal(LOOK)[:2] == answer


# Carriers


@pytest.mark.parametrize("ending", ["0001", "0002", "0004"])
def test_a_send_is_answered_whatever_the_carrier_does(place, boss, program, ending):
    """It refuses for good, is unavailable, or takes five seconds: longer than some clients wait."""
    caller = program(boss)
    member = place.member(boss, f"Member {phone()}")
    started = time.monotonic()
    sent = caller.ask(SEND_BIND, AccountId=member, SecureMobilePhone=f"1-202555{ending}")
    assert time.monotonic() < started + MOST_PATIENT_S
    assert sent["ExpirationDate"]


def test_a_slow_carrier_brings_the_code_in_the_end(place, boss):
    member, to = place.member(boss, "Slow"), "1-2025560004"
    caller, inbox = Tea(boss, place.endpoint), place.inbox
    caller.ask(SEND_BIND, AccountId=member, SecureMobilePhone=to)
    assert inbox.codes(to) == []
    code = inbox.code(to)
    caller.ask(BIND, AccountId=member, SecureMobilePhone=to, VerificationCode=code)


def test_what_a_carrier_refuses_was_sent_nevertheless(house):
    """It counts, no code is right, and the delivery is known to have failed."""
    with running(house, '[aliyun]\naccount = ["2/24h"]\n') as place:
        caller, to = Tea(place.newcomer(), place.endpoint), "1-2025550001"
        for _ in range(2):
            caller.ask(SEND_RD, SecureMobilePhone=to)
        too_many = (409, "SendValidateCodeExceedsLimitForAccount")
        assert caller.refusal(SEND_RD, SecureMobilePhone=phone())[:2] == too_many
        failed = lambda: len(in_state(place.house, "failed")) == 2  # noqa: E731
        eventually(failed, "both are given up")
        assert place.inbox.codes(to) == []


# Stores


@pytest.mark.parametrize("fault", ["full", "broken", "unsynced", "limited"])
def test_a_store_that_is_down_passes(place, boss, disk, node, fault):
    """Every client reads the same, nothing is done in the meantime, and the same process serves
    again once it is over: the code of before is good."""
    member, to = place.member(boss, f"Member {fault}"), phone()
    binding = {"AccountId": member, "SecureMobilePhone": to}
    caller = Tea(boss, place.endpoint)
    caller.ask(SEND_BIND, **binding)
    code = place.inbox.code(to)
    before, process = counts(place.house), place.house.process.pid
    with disk.fault(fault, process):
        for name, client in CLIENTS.items():
            other = client(boss, place.endpoint, *((node,) if name in NODE else ()))
            assert other.refusal(SEND_BIND, **binding)[:3] == AWAY
            assert other.refusal(BIND, **binding, VerificationCode=code)[:3] == AWAY
        with pytest.raises(ServerException) as raised:
            Core(boss, place.endpoint).call(LOOK)
    assert raised.value.status_code == 503
    assert counts(place.house) == before
    assert is_whole(place.house)
    assert place.inbox.codes(to) == [code]

    caller.ask(BIND, **binding, VerificationCode=code)
    other = place.member(boss, f"Other {fault}")
    caller.ask(SEND_BIND, AccountId=other, SecureMobilePhone=phone())
    assert place.house.process.poll() is None


def test_a_ring_without_an_active_code_key_draws_no_code(house):
    """What was drawn before is still judged; a ring that has one again draws again."""
    to = phone()
    with serving(house) as place:
        boss = place.manager()
        member, other = place.member(boss, "Ann"), place.member(boss, "Bea")
        Tea(boss, place.endpoint).ask(SEND_BIND, AccountId=member, SecureMobilePhone=to)
        code = place.inbox.code(to)
    ring = house.folder / "keyring.json"
    whole = ring.read_text()
    broken = json.loads(whole)
    del broken["active"]["code"]
    ring.write_text(json.dumps(broken))
    asked = {"AccountId": other, "SecureMobilePhone": phone()}
    with serving(house) as place:
        caller = Tea(boss, place.endpoint)
        assert caller.refusal(SEND_BIND, **asked)[:3] == AWAY
        caller.ask(BIND, AccountId=member, SecureMobilePhone=to, VerificationCode=code)
        assert place.inbox.codes(asked["SecureMobilePhone"]) == []
    ring.write_text(whole)
    with serving(house) as place:
        assert Tea(boss, place.endpoint).ask(SEND_BIND, **asked)["ExpirationDate"]


# Nonces


def by_acs3(place, made, nonce):
    return Core(made, place.endpoint).refused(LOOK, headers={"x-acs-signature-nonce": nonce})


def by_v1(place, made, nonce):
    core = Core(made, place.endpoint, signature_algorithm="v2")
    return core.refused(LOOK, query={"SignatureNonce": nonce})


@pytest.mark.store(*KINDS)
@pytest.mark.parametrize("signed", [by_acs3, by_v1])
def test_of_two_processes_one_takes_a_nonce(house, signed):
    """Once, of a dozen at the same time; and none does, whichever hears it, after both were killed
    and started again."""
    with serving_until_killed(house, "--workers", "2") as place:
        made = place.newcomer()
        ask = partial(signed, place, made)
        for number in range(NONCES):
            with ThreadPoolExecutor(COPIES) as pool:
                answers = pool.map(ask, [f"nonce-{number}"] * COPIES)
            told = Counter(answer[:2] for answer in answers)
            assert told == {NO_DIRECTORY: 1, REPLAYED: COPIES - 1}
    with serving(house, "--workers", "2") as place:
        ask = partial(signed, place, made)
        for number in range(NONCES):
            hang_up()  # so that either of them may hear it
            assert ask(f"nonce-{number}")[:2] == REPLAYED
        assert ask("another")[:2] == NO_DIRECTORY


# What the operator changes


@pytest.mark.store(*KINDS)
def test_a_running_server_follows_every_change_of_keys_and_accounts(place):
    """New ones work at once, those that ended are refused within a second."""
    made = place.created()
    caller = Tea(made, place.endpoint)
    assert caller.refusal(LOOK)[:2] == NO_DIRECTORY
    second = made | place.account("key", made["account_id"], "--json")
    other = Legacy(second, place.endpoint)
    assert other.refusal(LOOK)[:2] == NO_DIRECTORY
    unknown, inactive = (404, "InvalidAccessKeyId.NotFound"), (400, "InvalidAccessKeyId.Inactive")
    for change, whom, client, answer in (
        ("disable", second["ak"], other, inactive),
        ("enable", second["ak"], other, NO_DIRECTORY),
        ("revoke", second["ak"], other, unknown),
        ("suspend", made["account_id"], caller, inactive),
        ("resume", made["account_id"], caller, NO_DIRECTORY),
    ):
        place.change(change, whom)
        assert is_told_in_time(client, answer), change
    assert other.refusal(LOOK)[:2] == unknown


def test_a_demo_account_alone_keeps_a_server_to_this_machine(house):
    """Of any dialect: what it takes lies about in demo.json. Suspended, all are in nobody's way."""
    house.settings(REAL_CARRIERS)
    demo = json.loads(house.run("demo", "--json").stdout)
    (native,) = json.loads(house.run("key", "list", "--json").stdout)
    house.run("key", "revoke", native["id"])
    for account, dialect in (
        (demo["aliyun"]["management"]["account_id"], "aliyun"),
        (demo["aliyun"]["newcomer"]["account_id"], "aliyun"),
        (demo["huawei"]["domain_id"], "huawei"),
    ):
        assert "demo accounts" in refused_in_public(house)
        house.run("account", "suspend", account, "--dialect", dialect)
    for client in (demo["ciam"]["client_id"], demo["ciam"]["client_id_2"]):
        assert "demo accounts" in refused_in_public(house)
        house.run("app", "suspend", client)
    with house.serving(*IN_PUBLIC):
        assert "SANDBOX" not in house.said()


def refused_in_public(house):
    """What a server says that does not start where others would reach it."""
    house.process = house.start(*IN_PUBLIC)
    try:
        eventually(lambda: house.process.poll() is not None or "Try it" in house.said(), "a word")
        assert house.process.poll() == 1, house.said()
        return house.said()
    finally:
        house.process.kill()
        house.process.wait()
