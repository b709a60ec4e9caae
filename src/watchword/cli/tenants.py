"""Which apps a command is about, and by which dialect each is served."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from watchword.bootstrap import Service
    from watchword.service.find import World

To = Annotated[str, Parameter(help="A phone or a mailbox, however a dialect spells it.")]
OfApp = Annotated[str | None, Parameter(help="Only this app, by its id.")]


async def worlds(service: Service, app_id: str | None) -> Sequence[World]:
    """Every app in every dialect that speaks for it; native for one that none does. Raises
    AccessDenied where there is no such app."""
    from watchword.service.find import World

    now = service.clock()
    apps = [await service.apps.app(app_id, now)] if app_id else await service.apps.apps(now)
    keys = {key.app_id for key in await service.apps.keys(now)}
    dialects = (
        ("huawei", service.huawei.house, await service.huawei.accounts.accounts(now)),
        ("aliyun", service.aliyun.house, await service.aliyun.accounts.accounts(now)),
        ("ciam", service.ciam.house, await service.ciam.clients.clients(now)),
    )
    found = []
    for app in apps:
        foreign = []
        for dialect, house, callers in dialects:
            suspended = [one.suspended for one in callers if one.app_id == app.id]
            if suspended:
                foreign.append(
                    World(app=app, dialect=dialect, house=house, is_suspended=all(suspended))
                )
        if app.id in keys or not foreign:
            found.append(World(app=app, dialect="native", house=service.house))
        found += foreign
    return found
