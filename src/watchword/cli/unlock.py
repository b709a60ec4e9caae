"""`watchword unlock`: forget the wrong codes that were given for an address."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from watchword.cli.opened import ask
from watchword.cli.places import HERE, Where
from watchword.cli.tenants import OfApp, To, worlds

if TYPE_CHECKING:
    from watchword.bootstrap import Service


def unlock(*, to: To, app: OfApp = None, where: Where = HERE) -> int:
    """Forget the wrong codes of an address, so that it is checked and sent to again. Limits on how
    often a code is sent stay as they are."""
    print("\n".join(ask(where.settings(), lambda service: _unlocked(service, to, app))))
    return 0


async def _unlocked(service: Service, to: str, app_id: str | None) -> Sequence[str]:
    from watchword.service.read_inbox import meant

    apps = {world.app.id: world.app for world in await worlds(service, app_id)}
    said = []
    for one in meant(to):
        for known in apps.values():
            counted = service.house.guesses(known.id, one)
            streak = (await service.store.failures(counted)).streak
            if await service.store.unlock(counted):
                said.append(
                    f"{one.masked} in {known.name} ({known.id}): {streak} wrong codes in a row are "
                    "forgotten."
                )
    if not said:
        return ["No wrong codes are counted for this address: there is nothing to unlock."]
    return [*said, "Limits on sends are not lifted: watchword find says which hold, and how long."]
