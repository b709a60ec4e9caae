"""The usual worker, stopped at one step: `python -m tests.whole.stopped_worker worker`.

Whoever comes to the step that $STOP_AT names says so, by its channel, in the file that $STOPPED
names, and goes no further: there it is killed, or asked to stop. Leases are short, so that the next
worker need not be waited for; $STOP_AT empty stops nobody.
"""

import asyncio
import os
from datetime import timedelta
from pathlib import Path

from watchword.cli import main
from watchword.providers import smtp, virtual
from watchword.service import deliver
from watchword.stores.postgres import PostgresStore
from watchword.stores.sqlite import SqliteStore

STEPS = (
    "before lease",
    "after lease",
    "before first byte",
    "mid-request",
    "after the answer",
    "before the record",
)
UNTIL_STOPPED = "after lease, until stopped"
_STEP = os.environ.get("STOP_AT", "")
_stopping: asyncio.Event | None = None
_CHANNELS = {"smtp": "email", "virtual": "sms"}


def tell(channel):
    with Path(os.environ["STOPPED"]).open("a") as file:
        file.write(channel + "\n")


async def stop(channel):
    tell(channel)
    await asyncio.Event().wait()


def stopped_store(store):
    lease, begin, record = store.lease, store.begin_sending, store.record_handovers

    async def leasing(self, channel, *given, **more):
        if _STEP == "before lease" and await self.next_due(channel):
            await stop(channel)
        leased = await lease(self, channel, *given, **more)
        if leased and _STEP == UNTIL_STOPPED:
            tell(channel)
            await stopping().wait()
        return leased

    async def beginning(self, leased, *given, **more):
        if _STEP == "after lease":
            await stop(leased[0].channel)
        return await begin(self, leased, *given, **more)

    async def recording(self, handovers, *, provider, now):
        if _STEP == "before the record":
            await stop(_CHANNELS[provider])
        await record(self, handovers, provider=provider, now=now)

    store.lease, store.begin_sending, store.record_handovers = leasing, beginning, recording


def stopped_provider(provider):
    send = provider.send

    async def sending(self, message):
        if _STEP == "before first byte":
            await stop(message.channel)
        receipt = await send(self, message)
        if _STEP == "after the answer":
            await stop(message.channel)
        return receipt

    provider.send = sending


async def half_a_mail(line, mail, ends_at):
    line.protocol.write(mail.content[: len(mail.content) // 2])
    await stop("email")


async def half_a_batch(self, row):
    await stop("sms")


def stopping():
    global _stopping
    _stopping = _stopping or asyncio.Event()
    return _stopping


def finishing(finish):
    async def finished(self, *given):
        stopping().set()
        await finish(self, *given)

    return finished


if __name__ == "__main__":
    if _STEP != UNTIL_STOPPED:
        deliver.GRACE, virtual._PATIENCE_S = timedelta(seconds=0.2), 1.0
    for store in (SqliteStore, PostgresStore):
        stopped_store(store)
    for provider in (smtp.Smtp, virtual.Virtual):
        stopped_provider(provider)
    if _STEP == "mid-request":
        smtp._hand_over, virtual._Batches.add = half_a_mail, half_a_batch  # type: ignore[method-assign]
    deliver.Lane._finish = finishing(deliver.Lane._finish)  # type: ignore[method-assign]
    main()
