"""`watchword worker`: deliveries alone."""

from __future__ import annotations

import asyncio

from watchword.cli.places import HERE, Where


def worker(*, where: Where = HERE) -> int:
    """Deliver what the outbox holds, without answering requests, until a signal ends it."""
    from watchword import web
    from watchword.bootstrap import bootstrap
    from watchword.cli import answering

    settings = where.settings()

    async def deliver() -> None:
        stop = answering.told_to_stop()  # whoever reads the next line may send the signal at once
        async with bootstrap(settings, deliver=True) as service, web.tracing(service):
            place = settings.folder.resolve() if settings.address.is_embedded else settings.address
            print(f"Delivering from the outbox in {place}.", flush=True)
            holding = asyncio.create_task(service.hold_ring())
            await stop.wait()
            holding.cancel()
            await asyncio.wait([holding])

    answering.run(settings, deliver())
    return 0
