"""Webhooks, as an app's server hears them: signed, at least once, and none in another's way.

What comes in is judged by Standard Webhooks' own library.
"""

import threading
from contextlib import ExitStack

import pytest

from tests.contract.places import KINDS
from tests.webhook_receiver import receiving
from tests.whole.conftest import eventually, kill
from watchword.client import Client

pytestmark = pytest.mark.store(*KINDS)

HERE = {"WATCHWORD_WEBHOOKS__ALLOW_PRIVATE": "true", "WATCHWORD_WEBHOOKS__TIMEOUT_S": "5"}
PHONE, REFUSED = "+8613800138000", "+8613800130001"


@pytest.fixture
def receiver():
    with receiving() as receiver:
        yield receiver


def hear(house, receiver, app, *words):
    """Have this app tell the receiver what becomes of its codes."""
    added = house.run("webhook", "add", app, receiver.url, *words, **HERE)
    webhook, receiver.secret = added.stdout.split()
    return webhook


def client(house, serving):
    app = house.run("app", "create", "shop").stdout.strip()
    return app, Client(serving["base_url"], house.run("key", "create", app).stdout.strip())


def test_an_app_hears_what_became_of_its_codes(house, receiver):
    with house.serving(**HERE) as serving, ExitStack() as closing:
        app, shop = client(house, serving)
        closing.enter_context(shop)
        hear(house, receiver, app)
        sent = shop.send(PHONE, channel="sms", purpose="sign_in")
        code = house.inbox("--to", PHONE, "--code")
        shop.check(sent.id, code)
        refused = shop.send(REFUSED, channel="sms", purpose="sign_in")
        eventually(lambda: len(receiver.taken) >= 5, "five notices")
        bodies = [said for _, said in receiver.taken]
        told = {(said["type"], said["data"]["to"]) for said in bodies}
        assert told == {
            ("verification.created", sent.to),
            ("verification.delivered", sent.to),
            ("verification.approved", sent.to),
            *((f"verification.{last}", refused.to) for last in ("created", "refused")),
        }
        assert {said["data"]["id"] for said in bodies if said["data"]["to"] == sent.to} == {sent.id}
        assert code not in str(bodies)
        assert PHONE not in str(bodies)
        assert receiver.forged == 0


def test_only_what_was_asked_for_is_told_and_of_no_other_app(house, receiver):
    with house.serving(**HERE) as serving, ExitStack() as closing:
        app, shop = client(house, serving)
        _, bank = client(house, serving)
        closing.enter_context(shop)
        closing.enter_context(bank)
        hear(house, receiver, app, "--notice", "approved")
        for who, phone in ((bank, PHONE), (shop, "+8613900139000")):
            sent = who.send(phone, channel="sms", purpose="sign_in")
            who.check(sent.id, house.inbox("--to", phone, "--code"))
        eventually(lambda: receiver.taken, "a notice")
        assert receiver.told() == ["verification.approved"]
        assert receiver.taken[0][1]["data"]["id"] == sent.id


def test_what_was_not_taken_comes_again_under_the_same_id(house, receiver):
    """A 500 is put off by five seconds, and then it is the same notice."""
    with house.serving(**HERE) as serving, ExitStack() as closing:
        app, shop = client(house, serving)
        closing.enter_context(shop)
        hear(house, receiver, app, "--notice", "created")
        receiver.answers = [500]
        shop.send(PHONE, channel="sms", purpose="sign_in")
        eventually(lambda: receiver.taken, "the second try")
        assert receiver.asked == 2
        eventually(
            lambda: '"waiting": 0' in house.run("webhook", "list", "--json").stdout, "the end"
        )


def test_a_receiver_that_hangs_keeps_no_other_waiting(house, receiver):
    with house.serving(**HERE) as serving, receiving() as stuck, ExitStack() as closing:
        app, shop = client(house, serving)
        closing.enter_context(shop)
        stuck.hangs.clear()
        hear(house, stuck, app)
        hear(house, receiver, app)
        for last in range(8):
            shop.send(f"+861380013810{last}", channel="sms", purpose="sign_in")
        eventually(lambda: receiver.told().count("verification.created") == 8, "all at the other")
        assert not stuck.taken
        stuck.hangs.set()
        eventually(lambda: stuck.told().count("verification.created") == 8, "all at the slow one")


def test_what_was_told_to_a_killed_server_is_told_by_the_next(house, receiver):
    """Nothing that was acknowledged goes unheard: kill -9 comes while the receiver holds it up."""
    receiver.hangs.clear()
    try:
        with house.serving(**HERE) as serving, ExitStack() as closing:
            app, shop = client(house, serving)
            closing.enter_context(shop)
            hear(house, receiver, app, "--notice", "created")
            shop.send(PHONE, channel="sms", purpose="sign_in")
            eventually(lambda: receiver.asked, "the first post")
            kill(house)
            threading.Timer(0, receiver.hangs.set).start()
            raise _Killed
    except _Killed:
        pass
    receiver.taken.clear()
    with house.serving(**HERE):
        eventually(lambda: receiver.told() == ["verification.created"], "the notice")


class _Killed(Exception):
    """This house's server is gone."""


def test_one_that_is_gone_hears_nothing_more(house, receiver):
    """410 stops a webhook; the operator sees why, and may resume it."""
    with house.serving(**HERE) as serving, ExitStack() as closing:
        app, shop = client(house, serving)
        closing.enter_context(shop)
        webhook = hear(house, receiver, app, "--notice", "created")
        receiver.answers = [410]
        shop.send(PHONE, channel="sms", purpose="sign_in")
        eventually(lambda: "410 Gone" in house.run("webhook", "list").stdout, "its end")
        shop.send("+8613900139000", channel="sms", purpose="sign_in")
        assert not receiver.taken
        house.run("webhook", "resume", webhook)
        eventually(lambda: len(receiver.taken) == 2, "both")


@pytest.mark.store("sqlite")
@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://shop.example/hooks", "http://"),
        ("ftp://shop.example/hooks", "https://"),
        ("https://user:word@shop.example/", "nothing else"),
        ("https://shop.example/#part", "nothing else"),
    ],
)
def test_an_address_that_nothing_is_sent_to_is_told_at_once(house, url, why):
    app = house.run("app", "create", "shop").stdout.strip()
    refused = house.run("webhook", "add", app, url, check=False)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert why in refused.stderr
