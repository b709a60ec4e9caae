"""The webhooks of apps: who may have one, and how its secret is renewed."""

import pytest

from watchword.directory.apps import Apps
from watchword.directory.webhooks import MOST_OF_AN_APP, Webhooks
from watchword.domain.webhook import Notice, written
from watchword.errors import AccessDenied, RequestInvalid

pytestmark = pytest.mark.anyio

URL = "https://a.example/hooks"


def refuse_address(url):
    if not url.startswith("https://"):
        raise ValueError("it is an https:// address")


@pytest.fixture
async def webhooks(acts):
    apps = Apps(acts.store, acts.ring)
    return Webhooks(acts.store, acts.ring, apps, refuse_address)


@pytest.fixture
async def app(acts):
    return await Apps(acts.store, acts.ring).create(name="shop", now=acts.now)


async def test_its_secret_is_shown_once_and_rests_sealed(webhooks, app, acts):
    webhook, secret = await webhooks.add(app.id, URL, (), acts.now)
    assert [written(one) for one in webhooks.secrets(webhook)] == [secret]
    record = await acts.store.record("webhook", webhook.id, acts.now)
    assert secret.removeprefix("whsec_").encode() not in record.body
    assert webhook.notices == tuple(Notice)


async def test_a_new_secret_stands_beside_the_one_before_until_that_is_forgotten(
    webhooks, app, acts
):
    webhook, first = await webhooks.add(app.id, URL, (), acts.now)
    second = await webhooks.renew(webhook.id, acts.now)
    found = await webhooks.find(webhook.id, acts.now)
    assert [written(one) for one in webhooks.secrets(found)] == [second, first]
    await webhooks.forget_older(webhook.id, acts.now)
    found = await webhooks.find(webhook.id, acts.now)
    assert [written(one) for one in webhooks.secrets(found)] == [second]


async def test_an_app_has_so_many_and_no_more(webhooks, app, acts):
    for _ in range(MOST_OF_AN_APP):
        await webhooks.add(app.id, URL, (), acts.now)
    with pytest.raises(RequestInvalid, match="at most"):
        await webhooks.add(app.id, URL, (), acts.now)


@pytest.mark.parametrize("url", ["http://a.example/", "https://a.example/" + "a" * 2048])
async def test_an_address_that_nothing_may_be_sent_to_is_refused(webhooks, app, acts, url):
    with pytest.raises(RequestInvalid, match="Nothing is sent"):
        await webhooks.add(app.id, url, (), acts.now)


async def test_an_app_that_is_not_there_has_none(webhooks, acts):
    with pytest.raises(AccessDenied):
        await webhooks.add("nobody", URL, (), acts.now)


async def test_what_is_removed_is_gone(webhooks, app, acts):
    webhook, _ = await webhooks.add(app.id, URL, (), acts.now)
    await webhooks.remove(webhook.id, acts.now)
    assert await webhooks.find(webhook.id, acts.now) is None
    assert await webhooks.known(acts.now) == []
