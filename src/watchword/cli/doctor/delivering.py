"""What the doctor sees of messages: who carries them, what waits, and what nobody knows the end
of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from watchword.cli.doctor.finding import Finding, broken, note, ok
from watchword.cli.printing import instant
from watchword.cli.refusal import explained

if TYPE_CHECKING:
    from watchword.bootstrap import Service

PROBE_S = 5
OLD = timedelta(minutes=5)
"""A message that waits for longer has a carrier in trouble, or too many before it."""
CHANNELS = ("sms", "email")


@runtime_checkable
class Probed(Protocol):
    """A provider that can be tried without a message."""

    async def ready(self) -> None: ...


class Waiting(Protocol):
    """What of a channel is on its way."""

    @property
    def messages(self) -> int: ...
    @property
    def oldest_at(self) -> datetime: ...


async def providers(service: Service) -> AsyncIterator[Finding]:
    from watchword.bootstrap import CARRIES

    for channel in CHANNELS:
        provider = service.providers.get(channel)
        if provider is None:
            able = [name for name, carries in CARRIES.items() if channel in carries]
            yield note(
                "providers",
                f"Nothing carries {channel}: set channels.{channel} to offer it. There is: "
                f"{', '.join(able)}.",
            )
        elif provider.name == "virtual":
            yield note("providers", f"The virtual carrier keeps every {channel}; nobody gets it.")
        elif isinstance(provider, Probed):
            yield await _probed(channel, provider.name, provider)
        else:
            yield ok("providers", f"{provider.name} carries {channel}.")


async def outbox(service: Service) -> AsyncIterator[Finding]:
    """Channels that are paused or stand, and since when the oldest message of each waits."""
    now = service.clock()
    waiting = {one.channel: one for one in (await service.store.condition(now)).waiting}
    for channel in sorted({*CHANNELS, *waiting}):
        yield await _channel(service, channel, waiting.get(channel), now)


async def webhooks(service: Service) -> AsyncIterator[Finding]:
    """Those that are stopped, and those that do not take what they are told."""
    now = service.clock()
    waiting = await service.store.waiting_notices()
    for webhook in await service.webhooks.all(now):
        unheard = waiting.get(webhook.id)
        waits = "Nothing waits for it."
        if unheard:
            waits = (
                f"{unheard.notices} notices wait, the oldest since {instant(unheard.oldest_at)}."
            )
        if webhook.stopped:
            yield note(
                "webhooks",
                f"The webhook {webhook.id} is stopped: {webhook.stopped}. {waits} Go on with "
                f"watchword webhook resume {webhook.id}.",
            )
        elif unheard and unheard.oldest_at + OLD < now:
            yield note(
                "webhooks",
                f"The webhook {webhook.id} of app {webhook.app_id} does not take what it is told: "
                f"{waits} webhook_put_off in the log says why.",
            )


async def unknown(service: Service) -> AsyncIterator[Finding]:
    """What waits for a person: hand-overs without a known end, and people who are locked out."""
    found = await service.store.troubles(service.house.budget, service.clock())
    if found.unknown:
        yield note(
            "unknown",
            f"Of {found.unknown} messages of the last day nobody knows whether they arrived: see "
            "watchword delivery list, ask the carrier, and settle them with watchword delivery "
            "settle.",
        )
    else:
        yield ok("unknown", "Of every message of the last day it is known how it ended.")
    if found.locked:
        yield note(
            "locked",
            f"{found.locked} destinations are locked: {service.house.budget.in_a_row} codes in a "
            "row were wrong. It may be an attack: see watchword find --to ADDRESS, and unlock.",
        )
    else:
        yield ok("locked", "No destination is locked by wrong codes in a row.")


async def _channel(
    service: Service, channel: str, waiting: Waiting | None, now: datetime
) -> Finding:
    from watchword.service.find import LATE
    from watchword.service.pause import paused

    said = _waits(channel, waiting, now)
    if held := await paused(service.store, channel, now):
        why = f": {held.reason.rstrip('.')}" if held.reason else ""
        return note(
            "outbox",
            f"{channel} is paused since {instant(held.since)}{why}. {said} Go on with watchword "
            f"channel resume {channel}.",
        )
    if waiting is None:
        return ok("outbox", said)
    due_at = await service.store.next_due(channel)
    if due_at is not None and due_at + LATE < now:
        return broken(
            "outbox",
            f"The {channel} lane stands: nothing takes what is due since {instant(due_at)}. "
            f"{said} See that watchword serve or worker runs on this store, and offers {channel}.",
        )
    if waiting.oldest_at + OLD < now:
        return note(
            "outbox",
            f"{said} The carrier may be in trouble: see the logs for provider_unavailable, and "
            "watchword delivery list --state queued for its words.",
        )
    return ok("outbox", said)


def _waits(channel: str, waiting: Waiting | None, now: datetime) -> str:
    if waiting is None:
        return f"No {channel} waits."
    waited_s = round((now - waiting.oldest_at).total_seconds())
    return f"{waiting.messages} {channel} wait, the oldest for {waited_s} s."


async def _probed(channel: str, name: str, provider: Probed) -> Finding:
    try:
        async with asyncio.timeout(PROBE_S):
            await provider.ready()
    except TimeoutError:
        said = f"it did not answer within {PROBE_S} s"
    except Exception as error:
        said = explained(error) or type(error).__name__
    else:
        return ok("providers", f"{name} lets us in, and carries {channel}.")
    return broken(
        "providers",
        f"{name} cannot carry {channel}: {said.rstrip('.')}. "
        f"Look at [providers.{name}] in the settings.",
    )
