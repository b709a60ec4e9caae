"""`watchword channel`: pause and resume what is handed over, and see what waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from watchword.cli.opened import Deed, ask
from watchword.cli.places import HERE, Where
from watchword.cli.printing import AsJson, instant, print_json, print_table

if TYPE_CHECKING:
    from watchword.bootstrap import Service

Channel = Annotated[Literal["sms", "email"], Parameter(name="CHANNEL", help="sms or email.")]


def pause(
    channel: Channel,
    /,
    *,
    reason: Annotated[str, Parameter(help="Why; whoever lists the channels reads it.")] = "",
    where: Where = HERE,
) -> int:
    """Begin no hand-over on a channel until it is resumed. Sends are still accepted and wait; what
    has expired by then is not sent."""
    from watchword.service.pause import pause

    ask(
        where.settings(),
        lambda service: pause(service.store, channel, reason, service.clock()),
        doing=lambda _: [Deed("channel pause", channel)],
    )
    print(f"Paused {channel}: within a second nothing is begun, and what is sent waits.")
    return 0


def resume(channel: Channel, /, *, where: Where = HERE) -> int:
    """Hand over again what waits on a channel."""
    from watchword.service.pause import resume

    settings = where.settings()
    was_paused = ask(
        settings,
        lambda service: resume(service.store, channel, service.clock()),
        doing=lambda was_paused: [Deed("channel resume", channel)] if was_paused else [],
    )
    print(f"Resumed {channel}." if was_paused else f"{channel} is not paused.")
    return 0


def list_(*, json: AsJson = False, where: Where = HERE) -> int:
    """List the channels: who carries each, whether it is paused, and what waits."""

    async def found(service: Service) -> list[dict[str, Any]]:
        return [await _shown(service, channel) for channel in ("sms", "email")]

    shown = ask(where.settings(), found)
    if json:
        print_json(shown)
    else:
        columns = ("channel", "provider", "state", "waiting", "oldest_s", "paused_at", "reason")
        print_table(columns, [[_cell(one[column]) for column in columns] for one in shown])
    return 0


async def _shown(service: Service, channel: str) -> dict[str, Any]:
    from watchword.service.pause import paused

    now = service.clock()
    provider = service.providers.get(channel)
    held = await paused(service.store, channel, now)
    condition = await service.store.condition(now)
    waiting = next((one for one in condition.waiting if one.channel == channel), None)
    return {
        "channel": channel,
        "provider": provider.name if provider else None,
        "state": "paused" if held else "open" if provider else "no provider",
        "waiting": waiting.messages if waiting else 0,
        "oldest_s": int((now - waiting.oldest_at).total_seconds()) if waiting else None,
        "paused_at": instant(held.since) if held else None,
        "reason": held.reason if held else "",
    }


def _cell(value: object) -> str:
    return "" if value is None else str(value)
