"""Webhooks, as an app's server hears them: signed, at least once, and none in another's way.

What comes in is judged by Standard Webhooks' own library.
"""

import msgspec
import pytest

from tests.contract.places import KINDS
from tests.webhook_receiver import receiving
from tests.whole.conftest import eventually, kill
from watchword.client import Client

pytestmark = pytest.mark.store("sqlite")

HERE = {"WATCHWORD_WEBHOOKS__ALLOW_PRIVATE": "true", "WATCHWORD_WEBHOOKS__TIMEOUT_S": "5"}
PHONE, REFUSED = "+8613800138000", "+8613800130001"


@pytest.fixture
def receiver():
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def street(new_house):
    """A house that serves, and how to come to an app of one's own there."""
    with new_house() as house, house.serving(**HERE) as serving:
        yield house, lambda: customer(house, serving["base_url"])


def customer(house, base_url):
    app = house.run("app", "create", "shop").stdout.strip()
    return app, Client(base_url, house.run("key", "create", app).stdout.strip())


def hear(house, receiver, app, *words):
    """Have this app tell the receiver what becomes of its codes."""
    added = house.run("webhook", "add", app, receiver.url, *words, **HERE)
    webhook, receiver.secret = added.stdout.split()
    return webhook


@pytest.mark.store(*KINDS)
def test_an_app_hears_what_became_of_its_codes(street, receiver):
    house, new_customer = street
    app, shop = new_customer()
    hear(house, receiver, app)
    with shop:
        sent = shop.send(PHONE, channel="sms", purpose="sign_in")
        code = house.inbox("--to", PHONE, "--code")
        shop.check(sent.id, code)
        refused = shop.send(REFUSED, channel="sms", purpose="sign_in")
    eventually(lambda: len(receiver.taken) >= 5, "five notices")
    bodies = [said for _, said in receiver.taken]
    assert {(said["type"], said["data"]["id"]) for said in bodies} == {
        ("verification.created", sent.id),
        ("verification.delivered", sent.id),
        ("verification.approved", sent.id),
        ("verification.created", refused.id),
        ("verification.refused", refused.id),
    }
    assert {said["data"]["to"] for said in bodies} == {sent.to, refused.to}
    assert code not in str(bodies)
    assert PHONE not in str(bodies)
    assert receiver.forged == 0


def test_no_other_app_is_told_of(street, receiver):
    house, new_customer = street
    (app, shop), (_, bank) = new_customer(), new_customer()
    hear(house, receiver, app, "--notice", "created")
    with shop, bank:
        bank.send(PHONE, channel="sms", purpose="sign_in")
        sent = shop.send("+8613900139000", channel="sms", purpose="sign_in")
    eventually(lambda: receiver.taken, "a notice")
    assert [said["data"]["id"] for _, said in receiver.taken] == [sent.id]


def test_what_was_not_taken_comes_again(street, receiver):
    """A 500 is put off by five seconds; meanwhile the operator sees that it waits."""
    house, new_customer = street
    app, shop = new_customer()
    webhook = hear(house, receiver, app, "--notice", "created")
    receiver.answers = [500]
    with shop:
        shop.send(PHONE, channel="sms", purpose="sign_in")
    eventually(lambda: f"webhook={webhook}" in house.said(), "the event")
    assert "webhook_put_off" in house.said()
    eventually(lambda: receiver.taken, "the second try")
    assert receiver.asked == 2


def test_a_receiver_that_hangs_keeps_no_other_waiting(street, receiver):
    house, new_customer = street
    app, shop = new_customer()
    with receiving() as stuck:
        stuck.hangs.clear()
        hear(house, stuck, app, "--notice", "created")
        hear(house, receiver, app, "--notice", "created")
        with shop:
            for last in range(8):
                shop.send(f"+861380013810{last}", channel="sms", purpose="sign_in")
        eventually(lambda: len(receiver.taken) == 8, "all at the other")
        assert not stuck.taken
        stuck.hangs.set()
        eventually(lambda: len(stuck.taken) == 8, "all at the slow one")


def test_one_that_hangs_keeps_no_other_of_its_host_waiting(street):
    """Many apps may be behind one address."""
    house, new_customer = street
    (app, shop), (other, bank) = new_customer(), new_customer()
    with receiving(beside="/stuck") as receiver, shop, bank:
        stuck = receiver.url.partition("/hooks")[0] + "/stuck"
        house.run("webhook", "add", app, stuck, **HERE)
        hear(house, receiver, other, "--notice", "created")
        for last in range(8):
            shop.send(f"+861380013830{last}", channel="sms", purpose="sign_in")
        for last in range(4):
            bank.send(f"+861380013840{last}", channel="sms", purpose="sign_in")
        eventually(lambda: len(receiver.taken) == 4, "all at the other")
        assert receiver.asked == 4


def test_a_status_is_an_answer_however_much_comes_after_it(street, receiver):
    """What took a notice is not asked to take it again."""
    house, new_customer = street
    app, shop = new_customer()
    hear(house, receiver, app, "--notice", "created")
    receiver.body = b"x" * 200_000
    with shop:
        for last in range(2):
            shop.send(f"+861380013850{last}", channel="sms", purpose="sign_in")
    eventually(lambda: len(receiver.taken) == 2, "both")
    told = house.run("webhook", "list", "--json", **HERE).stdout
    waiting = {one["app"]: one["waiting"] for one in msgspec.json.decode(told)}
    assert waiting[app] == 0
    assert receiver.asked == 2


def test_one_that_is_gone_hears_nothing_until_it_is_resumed(street, receiver):
    """410 stops a webhook; the operator sees why. What happened meanwhile has waited."""
    house, new_customer = street
    app, shop = new_customer()
    webhook = hear(house, receiver, app, "--notice", "created")
    receiver.answers = [410]
    with shop:
        shop.send(PHONE, channel="sms", purpose="sign_in")
        eventually(lambda: "410 Gone" in house.run("webhook", "list").stdout, "its end")
        shop.send("+8613900139000", channel="sms", purpose="sign_in")
    house.run("webhook", "resume", webhook)
    eventually(lambda: len(receiver.taken) == 2, "both")


@pytest.mark.store(*KINDS)
def test_what_was_not_told_before_a_kill_is_told_by_the_next_server(house, receiver):
    """kill -9 comes while the receiver keeps the first post waiting."""
    receiver.hangs.clear()
    house.process = house.start(**HERE)
    app, shop = customer(house, house.announced()["base_url"])
    hear(house, receiver, app, "--notice", "created")
    with shop:
        shop.send(PHONE, channel="sms", purpose="sign_in")
    eventually(lambda: receiver.asked, "the first post")
    kill(house)
    receiver.hangs.set()
    heard = len(receiver.taken)
    with house.serving(**HERE):
        eventually(lambda: len(receiver.taken) > heard, "the notice")
    assert receiver.told()[-1] == "verification.created"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://shop.example/hooks", "http://"),
        ("https://user:word@shop.example/", "nothing else"),
        ("https://shop.example/?a=ü", "encode them"),
    ],
)
def test_an_address_that_nothing_is_sent_to_is_told_at_once(street, url, why):
    house, _ = street
    app = house.run("app", "create", "shop").stdout.strip()
    refused = house.run("webhook", "add", app, url, check=False)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert why in refused.stderr
