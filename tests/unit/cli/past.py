"""What a service did some time ago, for commands that look at it now."""

import asyncio

from watchword import config
from watchword.bootstrap import bootstrap, now
from watchword.domain.destination import phone
from watchword.domain.purpose import Purpose
from watchword.domain.webhook import Notice
from watchword.service.issue import Send, issue
from watchword.service.keep_journal import Scribe


def ago(span, act):
    """Let the service of a data folder act so long ago, and deliver nothing."""

    async def acted(folder):
        settings = config.load(str(folder), None, {})
        async with bootstrap(settings, clock=lambda: now() - span, deliver=False) as service:
            await act(service)

    return lambda shell: asyncio.run(acted(shell.folder))


async def heard_of(service):
    """A send, of which a webhook is still to be told."""
    app = await service.apps.create(name="shop", now=service.clock())
    url = "https://shop.example/hooks"
    await service.webhooks.add(app.id, url, [Notice.CREATED], service.clock())
    await _send(service, app)
    scribe = Scribe(
        service.store, service.house.keys, service.clock, keep=None, webhooks=service.webhooks.known
    )
    await scribe.seal()


async def a_send(service):
    await _send(service, await service.apps.create(name="shop", now=service.clock()))


async def _send(service, app):
    send = Send(
        app=app, destination=phone("+8613800138000"), purpose=Purpose.SIGN_IN, channel="sms"
    )
    await issue(send, service.house, now=service.clock())
