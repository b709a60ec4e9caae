"""Clients: who may speak this dialect, how soon a change is seen, what a client may be."""

import re
from datetime import timedelta

import pytest

from tests.contract.acting import TICK
from tests.unit.directory.clouds import became
from watchword.directory.apps import Apps
from watchword.directory.ciam.clients import CLIENT, Clients
from watchword.errors import AccessDenied, RequestInvalid

SECOND = timedelta(seconds=1)


@pytest.fixture
def apps(acts):
    return Apps(acts.store, acts.ring)


@pytest.fixture
def clients(store, acts, apps):
    return Clients(store, acts.ring, apps)


@pytest.fixture
def elsewhere(acts):
    """The same directory as another process sees it."""
    return Clients(acts.store, acts.ring, Apps(acts.store, acts.ring))


@pytest.fixture
async def client(clients, acts):
    return await clients.create(name="Shop", now=acts.now)


async def refused(act):
    with pytest.raises(AccessDenied):
        await act


async def test_a_client_comes_with_an_app_in_one_act(clients, acts, store, apps):
    """Neither is ever there without the other."""
    client = await clients.create(
        name="Shop", brand="Acme", origin="acme.example", language="ZH-CN", now=acts.now
    )
    (app,) = await apps.apps(acts.now)
    assert (app.id, app.name) == (client.app_id, "Shop")
    assert (app.brand, app.origin, app.language) == ("Acme", "acme.example", "zh-cn")
    assert (client.users, client.region, client.demo) == ("elsewhere", "CN", False)
    assert re.fullmatch("[A-Za-z0-9]{32}", client.id)
    assert store.asked["write"] == 1


async def test_a_client_may_speak_for_an_app_that_is_there(clients, acts, apps, client):
    second = await clients.create(app_id=client.app_id, users="here", region="hk", now=acts.now)
    assert (second.app_id, second.users, second.region) == (client.app_id, "here", "HK")
    assert second.id != client.id
    assert len(await apps.apps(acts.now)) == 1
    await refused(clients.create(app_id="nobody", now=acts.now))


@pytest.mark.parametrize("region", ["", "XX", "001", "C", "CN ", "86", "中国", "\ud800"])
async def test_a_region_is_a_country_with_phones(clients, acts, apps, region):
    """Whatever else is asked for makes nothing."""
    with pytest.raises(RequestInvalid) as refusal:
        await clients.create(name="Shop", region=region, now=acts.now)
    assert refusal.value.field == "/region"
    assert await apps.apps(acts.now) == []


async def test_a_client_needs_a_name_or_an_app(clients, acts):
    with pytest.raises(RequestInvalid):
        await clients.create(now=acts.now)
    assert await clients.clients(acts.now) == []


async def test_a_known_client_is_told_with_its_app(clients, acts, apps, client):
    app = await apps.app(client.app_id, acts.now)
    assert await clients.known(client.id, acts.now) == (client, app)


async def test_a_new_client_works_everywhere_at_once(clients, elsewhere, acts):
    """Although it was asked for before."""
    client = await clients.create(name="Shop", now=acts.now)
    assert (await elsewhere.known(client.id, acts.now))[0] == client


async def test_refusals_are_never_remembered(clients, elsewhere, acts, client):
    """Whoever was refused a moment ago is served as soon as he may be."""
    await elsewhere.suspend(client.id, acts.now)
    await refused(clients.known(client.id, acts.now))
    await elsewhere.resume(client.id, acts.now)
    assert (await clients.known(client.id, acts.now))[0] == client


async def test_a_suspended_client_is_refused_everywhere_within_a_second(
    clients, elsewhere, acts, client
):
    """At once where it was suspended."""
    for each in (clients, elsewhere):
        await each.known(client.id, acts.now)
    assert (await clients.suspend(client.id, acts.now)).suspended
    await refused(clients.known(client.id, acts.now))
    acts.later(SECOND - TICK)
    assert await elsewhere.known(client.id, acts.now)
    acts.later(TICK)
    await refused(elsewhere.known(client.id, acts.now))


async def test_a_busy_client_costs_one_look_a_second(clients, store, acts, client):
    for _ in range(5):
        await clients.known(client.id, acts.now)
    assert store.asked["record"] == 1


async def test_whatever_is_no_client_is_refused(clients, acts, client):
    """Cut, lengthened, in another case, or nothing like one; never another error."""
    forged = [
        *("", "\x00" * 32, "\ud800" * 32, "x" * 100_000, "é" * 32, "0" * 32, "٣" * 32),
        *(client.id[:-1], f"{client.id}a", client.id.swapcase(), f" {client.id}"),
        f"{client.id}\n",
    ]
    for one in forged:
        await refused(clients.known(one, acts.now))


async def test_clients_are_listed_oldest_first(clients, acts, client):
    acts.later(SECOND)
    younger = await clients.create(name="Bank", demo=True, now=acts.now)
    await clients.suspend(client.id, acts.now)
    listed = await clients.clients(acts.now)
    assert [one.id for one in listed] == [client.id, younger.id]
    assert [(one.suspended, one.demo) for one in listed] == [(True, False), (False, True)]


async def test_who_is_not_there_is_not_suspended(clients, acts):
    await refused(clients.suspend("nobody", acts.now))
    await refused(clients.resume("nobody", acts.now))


async def test_changes_at_once_are_all_made(clients, elsewhere, acts, client):
    """None overwrites another, and each ends."""
    told = await became(
        getattr(where, verb)(client.id, acts.now)
        for where in (clients, elsewhere)
        for verb in ("suspend", "resume")
        for _ in range(5)
    )
    assert told == {"done": 20}
    record = await acts.store.record(CLIENT, client.id, acts.now)
    assert record.version == 21
