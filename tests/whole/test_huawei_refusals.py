"""What Huawei Cloud's clients are told when something is wrong, and that it passes."""

import json
import time

import pytest
from keystoneauth1.exceptions import Forbidden, InternalServerError

from tests.contract.places import KINDS
from tests.whole.conftest import House
from tests.whole.huawei import (
    SEND,
    SETTINGS,
    VENDORS_WARNINGS,
    Partner,
    account,
    change,
    created,
    mail_server,
    refusal,
    running,
    user_of,
)
from tests.whole.trouble import FailingDisk, counts, is_whole

pytestmark = [pytest.mark.store("sqlite"), pytest.mark.filterwarnings(VENDORS_WARNINGS)]

SEEN_AFTER_S = 1.0
"""After so long a running server knows of a change. Seconds."""
DENIED = (403, "CBC.0151")
SUSPENDED = (400, "CBC.99000035")
SERVED = (200, "")


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    return FailingDisk(tmp_path_factory.mktemp("disk"))


@pytest.fixture(scope="module")
def place(tmp_path_factory, disk):
    """A server whose store is a file on that disk."""
    house = House(tmp_path_factory.mktemp("huawei") / "data")
    with running(house, **disk.environ()) as place:
        yield place


@pytest.fixture(scope="module")
def partner(place):
    """One whom no test changes."""
    with place.partner() as partner:
        yield partner


def is_told_in_time(partner, answer):
    """Who asks over a second after a change is answered by it."""
    changed = time.monotonic()
    while time.monotonic() <= changed + SEEN_AFTER_S:
        if refusal(partner.look, "name", "nobody") == answer:
            return True
    return refusal(partner.look, "name", "nobody") == answer


def test_a_mail_server_that_refuses_for_good_is_told(place, partner):
    """550: nothing was sent, and there is no code to guess at. The address may be tried again."""
    address = "refuse.ann@example.com"
    for times in (1, 2):
        assert refusal(partner.send, address) == (400, "CBC.99004003")
        assert len(place.mailboxes.turned_away) == times
    assert refusal(partner.register, address, "123456") == (400, "CBC.99004008")
    assert partner.look("email", address) == "available"


@pytest.mark.parametrize("fault", ["full", "broken", "unsynced", "limited"])
def test_a_store_that_is_down_passes(place, partner, disk, fault):
    """Nothing is done in the meantime, and the same process serves again once it is over."""
    address = f"bea.{fault}@example.com"
    partner.send(address)
    code = place.code(address)
    before, process = counts(place.house), place.house.process.pid
    with disk.fault(fault, process):
        assert refusal(partner.send, address) == (500, "CBC.0999")
        assert refusal(partner.register, address, code) == (500, "CBC.0999")
        down = partner.session()
        with pytest.raises(InternalServerError):
            down.get_token()
    assert counts(place.house) == before
    assert is_whole(place.house)
    assert place.mailboxes.codes(address) == [code]

    assert down.get_token()
    assert partner.register(address, code).domain_id
    assert partner.send(address).status_code == 204
    assert place.house.process.poll() is None


@pytest.mark.store(*KINDS)
def test_a_suspended_partner_is_refused_until_it_is_resumed(place):
    """On a running server, within a second; what it holds stays good."""
    with place.partner() as partner:
        domain_id = partner.made["domain_id"]
        partner.send("cyd@example.com")
        code = place.code("cyd@example.com")
        change(place.house, "suspend", domain_id)
        assert is_told_in_time(partner, SUSPENDED)
        assert refusal(partner.send, "cyd@example.com") == SUSPENDED
        assert refusal(partner.register, "cyd@example.com", code) == SUSPENDED
        change(place.house, "resume", domain_id)
        assert is_told_in_time(partner, SERVED)
        assert partner.send("cyd@example.com").status_code == 204
        assert partner.register("cyd@example.com", code).domain_id


def test_who_is_no_partner_is_denied(place):
    """Its credentials are right, by signature and by password, and open nothing."""
    with place.partner("--no-partner") as outsider:
        assert refusal(outsider.send, "dan@example.com") == DENIED
        assert refusal(outsider.look, "email", "dan@example.com") == DENIED
        assert refusal(outsider.register, "dan@example.com", "123456") == DENIED
        with pytest.raises(Forbidden):
            outsider.session().post(f"{place.base_url}{SEND}", json={})
    assert place.mailboxes.codes("dan@example.com") == []


def test_a_customer_is_no_partner_either(place, partner):
    """It may log in by the password it was created with, and may not send."""
    partner.send("eve@example.com")
    code = place.code("eve@example.com")
    made = partner.register("eve@example.com", code, password="Correct-horse-7")
    itself = {"user": made.domain_name, "domain": made.domain_name, "password": "Correct-horse-7"}
    with Partner(itself, place.base_url) as customer, pytest.raises(Forbidden):
        customer.session().post(
            f"{place.base_url}{SEND}", json={"receiver_type": 2, "email": "eve@example.com"}
        )


@pytest.mark.store(*KINDS)
def test_a_running_server_follows_every_change_of_users_and_keys(place):
    """New ones work at once, those that ended are refused within a second."""
    with place.partner() as partner:
        assert partner.send("fay@example.com").status_code == 204  # made a moment ago
        user = user_of(place.house, partner.made)
        second = account(place.house, "key", user, "--json")
        with Partner(partner.made | second, place.base_url) as other:
            assert other.send("fay@example.com").status_code == 204
            change(place.house, "revoke", second["ak"])
            assert is_told_in_time(other, (401, "APIGW.0301"))
        assert refusal(partner.look, "name", "nobody") == SERVED
        change(place.house, "disable", user)
        assert is_told_in_time(partner, DENIED)
        assert refusal(partner.send, "fay@example.com") == DENIED
        change(place.house, "enable", user)
        assert is_told_in_time(partner, SERVED)
        added = account(place.house, "user", partner.made["domain_id"], "gil", "--json")
        with Partner(partner.made | added, place.base_url) as gil:
            assert gil.session().get_token()


def test_a_ring_without_an_active_code_key_draws_no_code(house):
    """What was drawn before is still judged; a ring that has one again draws again."""
    with mail_server() as (port, mailboxes):
        house.settings(SETTINGS.format(port=port))
        with house.serving() as serving:
            made = created(house)
            with Partner(made, serving["base_url"]) as partner:
                partner.send("ann@example.com")
        (code,) = mailboxes.codes("ann@example.com")
        ring = house.folder / "keyring.json"
        whole = ring.read_text()
        broken = json.loads(whole)
        del broken["active"]["code"]
        ring.write_text(json.dumps(broken))
        with house.serving() as serving, Partner(made, serving["base_url"]) as partner:
            assert refusal(partner.send, "bea@example.com") == (400, "CBC.99004002")
            assert partner.register("ann@example.com", code).domain_id
        assert mailboxes.codes("bea@example.com") == []
        ring.write_text(whole)
        with house.serving() as serving, Partner(made, serving["base_url"]) as partner:
            assert partner.send("bea@example.com").status_code == 204
