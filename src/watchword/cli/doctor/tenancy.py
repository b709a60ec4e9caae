"""What the doctor sees of tenants: demo credentials, lifetimes, their dialects, their texts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from watchword.cli.doctor.finding import Finding, note
from watchword.cli.doctor.machine import LONGEST_USUAL_TTL_S

if TYPE_CHECKING:
    from watchword.bootstrap import Service


async def credentials(service: Service) -> AsyncIterator[Finding]:
    now = service.clock()
    demos = [key.id for key in await service.apps.keys(now) if key.demo]
    if demos:
        yield note(
            "demo",
            f"Demo keys are active ({', '.join(demos)}): the server stays on loopback. End them "
            "with watchword key revoke.",
        )
    for app in await service.apps.apps(now):
        if any((terms.ttl_s or 0) > LONGEST_USUAL_TTL_S for terms in app.terms.values()):
            yield note("lifetimes", f"Codes of app {app.id} ({app.name}) live over 10 minutes.")


async def dialects(service: Service) -> AsyncIterator[Finding]:
    partners = await service.huawei.accounts.accounts(service.clock())
    if any(account.is_partner for account in partners):
        yield note(
            "lifetimes",
            "Codes of the huawei dialect live as long as each request asks, up to 60 minutes.",
        )
    clouds = await service.aliyun.accounts.accounts(service.clock())
    clients = await service.ciam.clients.clients(service.clock())
    for dialect, whose in (("aliyun", clouds), ("ciam", clients)):
        if whose and "sms" not in service.providers:
            yield note("dialects", f"Nothing carries sms: every {dialect} send by SMS is refused.")
    for dialect, ones, end in (
        ("huawei", partners, "account suspend ID --dialect huawei"),
        ("aliyun", clouds, "account suspend ID --dialect aliyun"),
        ("ciam", clients, "app suspend ID"),
    ):
        if demos := [one.id for one in ones if one.demo and not one.suspended]:
            yield note(
                "demo",
                f"A demo of the {dialect} dialect is active ({', '.join(demos)}): a server starts "
                f"on loopback only. End it with watchword {end}.",
            )


async def texts(service: Service) -> AsyncIterator[Finding]:
    from watchword.cli.template import told_of

    async for state, what in told_of(service):
        yield Finding("texts", state, what)
