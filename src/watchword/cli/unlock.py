"""`watchword unlock`: forget the wrong codes that were given for an address."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from watchword.cli.opened import Deed, ask
from watchword.cli.places import HERE, Where
from watchword.cli.tenants import OfApp, To, worlds

if TYPE_CHECKING:
    from watchword.bootstrap import Service


def unlock(*, to: To, app: OfApp = None, where: Where = HERE) -> int:
    """Forget the wrong codes of an address, so that it is checked and sent to again. Limits on how
    often a code is sent stay as they are."""
    unlocked = ask(
        where.settings(),
        lambda service: _unlocked(service, to, app),
        doing=lambda unlocked: [deed for deed, _ in unlocked],
    )
    if not unlocked:
        print("No wrong codes are counted for this address: there is nothing to unlock.")
        return 0
    for _, said in unlocked:
        print(said)
    print("Limits on sends are not lifted: watchword find says which hold, and how long.")
    return 0


async def _unlocked(service: Service, to: str, app_id: str | None) -> Sequence[tuple[Deed, str]]:
    """What was forgotten, and how that is said."""
    from watchword.service.read_inbox import meant

    apps = {world.app.id: world.app for world in await worlds(service, app_id)}
    unlocked = []
    for one in meant(to):
        for known in apps.values():
            counted = service.house.guesses(known.id, one)
            streak = (await service.store.failures(counted)).streak
            if await service.store.unlock(counted):
                said = (
                    f"{one.masked} in {known.name} ({known.id}): {streak} wrong codes in a row are "
                    "forgotten."
                )
                deed = Deed("unlock", app_id=known.id, subject=counted, masked=one.masked)
                unlocked.append((deed, said))
    return unlocked
