"""Notices: queued with the sealing of their event, leased, posted, and forgotten or put off."""

import asyncio
from datetime import timedelta

import msgspec
import pytest

from tests.contract.acting import ANN, BANK, BOB, MINUTE, NOW, SHOP
from watchword.domain.webhook import Notice, Unheard, Webhook
from watchword.ports import NoticeEnd
from watchword.service.erase_subject import erase_subject
from watchword.service.keep_journal import Scribe
from watchword.service.notify import KEPT, Notifier

pytestmark = pytest.mark.anyio

TTL = timedelta(seconds=20)


def webhook(name, app=SHOP, notices=tuple(Notice)):
    return Webhook(
        id=name,
        app_id=app.id,
        url="https://a.example/",
        secret=b"",
        created_at=NOW,
        notices=notices,
    )


async def told(acts, *webhooks):
    """Have what happened so far sealed, for these webhooks to be told of it."""

    async def known(_):
        return webhooks

    scribe = Scribe(acts.store, acts.ring, lambda: acts.now, keep=None, webhooks=known)
    while await scribe.seal():
        pass


async def leased(acts, name, most=9):
    found = await acts.store.lease_notices(name, acts.now, most=most, ttl=TTL)
    return sorted(found, key=lambda one: one.id)


async def ended(acts, one, wait=None):
    due_at = acts.now + wait if wait else None
    await acts.store.record_notice(NoticeEnd(id=one.id, token=one.token, due_at=due_at))


async def test_who_ends_a_notice_too_late_ends_no_other(acts):
    """Its lease was over, another worker told it, and there is a new one since."""
    await acts.send()
    await told(acts, webhook("one"))
    (late,) = await leased(acts, "one")
    acts.later(2 * TTL)
    (again,) = await leased(acts, "one")
    await ended(acts, again)
    await acts.send(to=BOB)
    await told(acts, webhook("one"))
    (new,) = await leased(acts, "one")
    await ended(acts, late)
    acts.later(2 * TTL)
    assert [one.id for one in await leased(acts, "one")] == [new.id]


async def test_each_webhook_of_the_app_is_told_what_it_asked_for(acts):
    sent = await acts.send()
    await acts.check(sent.challenge_id, await acts.code(sent.challenge_id))
    await acts.send(app=BANK)
    await told(acts, webhook("all"), webhook("some", notices=(Notice.APPROVED,)))
    everything = await leased(acts, "all")
    assert [one.notice for one in everything] == ["verification.created", "verification.approved"]
    assert len({one.key for one in everything}) == 2
    assert msgspec.json.decode(everything[0].told) == {
        "id": sent.challenge_id,
        "channel": "sms",
        "purpose": "sign_in",
        "to": ANN.masked,
    }
    (one,) = await leased(acts, "some")
    assert (one.webhook, one.at, one.token) == ("some", NOW, 1)
    at = acts.now
    assert await acts.store.waiting_notices() == {"all": Unheard(2, at), "some": Unheard(1, at)}


async def test_an_event_is_told_once_however_often_it_is_looked_at(acts):
    await acts.send()
    await told(acts, webhook("hook"))
    await told(acts, webhook("hook"))
    assert len(await leased(acts, "hook")) == 1


async def test_what_is_leased_is_nobody_elses_until_the_lease_lapses(acts):
    await acts.send()
    await told(acts, webhook("hook"))
    (first,) = await leased(acts, "hook")
    assert await leased(acts, "hook") == []
    acts.later(TTL)
    (again,) = await leased(acts, "hook")
    assert (again.key, again.token) == (first.key, 2)
    await ended(acts, first)
    waiting = await acts.store.waiting_notices()
    assert waiting == {"hook": Unheard(1, NOW)}, "the first one's word came too late"
    await ended(acts, again)
    assert await acts.store.waiting_notices() == {}


async def test_what_is_put_off_is_due_then(acts):
    await acts.send()
    await told(acts, webhook("hook"))
    (one,) = await leased(acts, "hook")
    await ended(acts, one, MINUTE)
    assert await acts.store.due_notices() == [("hook", acts.now + MINUTE)]
    assert await leased(acts, "hook") == []
    acts.later(MINUTE)
    (again,) = await leased(acts, "hook")
    assert (again.key, again.told) == (one.key, one.told)


async def test_each_webhook_has_a_line_of_its_own(acts):
    for to in (ANN, BOB):
        await acts.send(to=to)
    await told(acts, webhook("one"), webhook("two"))
    assert [name for name, _ in await acts.store.due_notices()] == ["one", "two"]
    await acts.store.drop_notices("one", acts.now - MINUTE)
    assert len(await acts.store.due_notices()) == 2
    await acts.store.drop_notices("one", acts.now)
    assert [name for name, _ in await acts.store.due_notices()] == ["two"]
    assert len(await leased(acts, "two", most=1)) == 1


class Stuck:
    """One webhook, and a receiver that never answers."""

    timeout = TTL

    def __init__(self, webhook):
        self._webhook = webhook

    async def known(self, now):
        return [self._webhook]

    async def find(self, webhook_id, now):
        return self._webhook

    async def stop(self, webhook_id, reason, now):
        raise AssertionError

    def secrets(self, webhook):
        return [b"secret"]

    async def post(self, url, headers, body):
        await asyncio.Event().wait()


async def test_a_receiver_that_hangs_keeps_nothing_waiting_for_ever(acts):
    """What is a week old is forgotten, and what is not still waits."""
    stuck = Stuck(webhook("hook"))
    for _ in range(9):
        await acts.send(purpose="reset")
    await told(acts, webhook("hook"))
    acts.later(KEPT)
    await acts.send(to=BOB)
    await told(acts, webhook("hook"))
    task = asyncio.create_task(Notifier(acts.store, stuck, stuck, lambda: acts.now).run())
    async with asyncio.timeout(20):
        while (await acts.store.waiting_notices())["hook"].notices > 1:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait([task])
    (left,) = (await acts.store.waiting_notices()).values()
    assert left == Unheard(1, acts.now)


async def test_an_erased_person_is_told_of_to_nobody(acts):
    for to in (ANN, BOB):
        await acts.send(to=to)
    await told(acts, webhook("hook"))
    await erase_subject(ANN, [SHOP.id], acts.house, acts.now)
    (left,) = await leased(acts, "hook")
    assert msgspec.json.decode(left.told)["to"] == BOB.masked


async def test_what_happened_before_a_webhook_was_there_is_not_told_to_it(acts):
    """Though nobody had sealed it yet."""
    await acts.send()
    acts.later(MINUTE)
    await acts.send(to=BOB)
    late = msgspec.structs.replace(webhook("late"), created_at=acts.now)
    await told(acts, webhook("hook"), late)
    assert (len(await leased(acts, "hook")), len(await leased(acts, "late"))) == (2, 1)
