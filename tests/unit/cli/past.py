"""What a service did some time ago, for commands that look at it now."""

import asyncio

from watchword import config
from watchword.bootstrap import bootstrap, now
from watchword.domain.destination import phone
from watchword.domain.purpose import Purpose
from watchword.service.issue import Send, issue


def ago(span, act):
    """Let the service of a data folder act so long ago, and deliver nothing."""

    async def acted(folder):
        settings = config.load(str(folder), None, {})
        async with bootstrap(settings, clock=lambda: now() - span, deliver=False) as service:
            await act(service)

    return lambda shell: asyncio.run(acted(shell.folder))


async def a_send(service):
    app = await service.apps.create(name="shop", now=service.clock())
    send = Send(
        app=app, destination=phone("+8613800138000"), purpose=Purpose.SIGN_IN, channel="sms"
    )
    await issue(send, service.house, now=service.clock())
