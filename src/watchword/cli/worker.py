"""`watchword worker`: deliveries alone."""

from __future__ import annotations

from watchword.cli.places import HERE, Where


def worker(*, where: Where = HERE) -> int:
    """Deliver what the outbox holds, without answering requests, until a signal ends it."""
    from watchword.bootstrap import bootstrap
    from watchword.cli import answering

    settings = where.settings()

    async def deliver() -> None:
        stop = answering.told_to_stop()  # whoever reads the next line may send the signal at once
        async with bootstrap(settings, deliver=True):
            print(f"Delivering from the outbox in {settings.folder.resolve()}.", flush=True)
            await stop.wait()

    answering.run(settings, deliver())
    return 0
