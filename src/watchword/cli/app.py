"""`watchword app`: the tenants of this service."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from cyclopts import Parameter

from watchword.cli.demo import refuse_a_demo_in_public
from watchword.cli.opened import Deed, ask
from watchword.cli.places import HERE, Where
from watchword.cli.printing import AsJson, print_json, print_table
from watchword.cli.refusal import Misused

if TYPE_CHECKING:
    from watchword.bootstrap import Service
    from watchword.directory.ciam.clients import Client
    from watchword.domain.app import App

AppId = Annotated[str, Parameter(name="APP", help="The app's id.")]
ClientId = Annotated[str, Parameter(name="CLIENT", help="A CIAM client's id, from app show.")]
Purposes = Literal["*", "sign_in", "sign_up", "reset", "change", "bind"]


def create(
    name: Annotated[str, Parameter(help="What you call it.")],
    /,
    *,
    brand: Annotated[str, Parameter(help="What messages call it.")] = "",
    origin: Annotated[str, Parameter(help="The host that codes are bound to (WebOTP).")] = "",
    language: Annotated[str, Parameter(help="Of its messages, as in zh-cn.")] = "",
    dialect: Annotated[
        Literal["native", "ciam"], Parameter(help="ciam: with a client that speaks it.")
    ] = "native",
    users: Annotated[
        Literal["elsewhere", "here"] | None,
        Parameter(help="ciam: where its users are kept; elsewhere unless said."),
    ] = None,
    region: Annotated[
        str | None, Parameter(help="ciam: the country of numbers that name none; CN unless said.")
    ] = None,
    json: AsJson = False,
    where: Where = HERE,
) -> int:
    """Make an app. It works at once, also on a running server."""
    if dialect == "native" and (users or region is not None):
        raise Misused("--users and --region are for --dialect ciam.")

    async def made(service: Service) -> tuple[App, Client | None]:
        now = service.clock()
        if dialect == "native":
            app = await service.apps.create(
                name=name, brand=brand, origin=origin, language=language, now=now
            )
            return app, None
        client = await service.ciam.clients.create(
            name=name,
            brand=brand,
            origin=origin,
            language=language,
            users=users or "elsewhere",
            region="CN" if region is None else region,
            now=now,
        )
        return await service.apps.app(client.app_id, now), client

    app, client = ask(
        where.settings(),
        made,
        doing=lambda pair: [Deed("app create", pair[1].id if pair[1] else "", pair[0].id)],
    )
    if json:
        print_json({**_shown(app), **(_speaking(client) if client else {})})
    else:
        print(client.id if client else app.id)
    return 0


def list_(*, json: AsJson = False, where: Where = HERE) -> int:
    """List the apps, each with the ids of its CIAM clients."""

    async def found(service: Service) -> tuple[Sequence[App], Sequence[Client]]:
        now = service.clock()
        return await service.apps.apps(now), await service.ciam.clients.clients(now)

    apps, clients = ask(where.settings(), found)
    if json:
        print_json([_shown_with(clients, app) for app in apps])
    else:
        rows = [
            (app.id, app.name, app.brand, app.origin, app.language, _ids(clients, app))
            for app in apps
        ]
        print_table(("id", "name", "brand", "origin", "language", "ciam clients"), rows)
    return 0


def show(app: AppId, /, *, where: Where = HERE) -> int:
    """Show one app, with its CIAM clients, its terms and the masked form of its test numbers."""

    async def found(service: Service) -> tuple[App, Sequence[Client]]:
        now = service.clock()
        return await service.apps.app(app, now), await service.ciam.clients.clients(now)

    known, clients = ask(where.settings(), found)
    print_json(_shown_with(clients, known))
    return 0


def brand(
    app: AppId,
    text: Annotated[str, Parameter(name="TEXT", help='What messages call it; "" takes it back.')],
    /,
    *,
    language: Annotated[
        str, Parameter(help="Only in this language, as in zh-cn; without, wherever there is none.")
    ] = "",
    where: Where = HERE,
) -> int:
    """Change what messages call an app. Messages that are queued keep what they were sent under."""
    settings = where.settings()
    found = ask(
        settings,
        lambda service: service.apps.set_brand(app, text, language, service.clock()),
        doing=lambda _: [Deed("app brand", app_id=app)],
    )
    print_json(_shown(found))
    return 0


def suspend(client: ClientId, /, *, where: Where = HERE) -> int:
    """Refuse a CIAM client's calls until it is resumed."""
    ask(
        where.settings(),
        lambda service: service.ciam.clients.suspend(client, service.clock()),
        doing=lambda _: [Deed("app suspend", client)],
    )
    print(f"Suspended {client}.")
    return 0


def resume(client: ClientId, /, *, where: Where = HERE) -> int:
    """Serve a suspended CIAM client again."""
    settings = where.settings()

    async def resumed(service: Service) -> None:
        clients, now = service.ciam.clients, service.clock()
        if (await clients.client(client, now)).demo:
            refuse_a_demo_in_public(settings)
        await clients.resume(client, now)

    ask(settings, resumed, doing=lambda _: [Deed("app resume", client)])
    print(f"Resumed {client}.")
    return 0


def terms(
    app: AppId,
    /,
    *,
    purpose: Annotated[Purposes, Parameter(help="Only for this purpose.")] = "*",
    length: int | None = None,
    ttl_s: int | None = None,
    max_attempts: int | None = None,
    resend_interval_s: int | None = None,
    resend: Literal["same", "newest", "any"] | None = None,
    reset: Annotated[bool, Parameter(help="Forget what was changed before.")] = False,
    where: Where = HERE,
) -> int:
    """Change an app's terms; what is not named stays as it was."""
    changes = {
        "length": _within("--length", length, 6, 16),
        "ttl_s": _within("--ttl-s", ttl_s, 30, 3600),
        "max_attempts": _within("--max-attempts", max_attempts, 1, 20),
        "resend_interval_s": _within("--resend-interval-s", resend_interval_s, 0, 3600),
        "resend": resend,
    }
    given = {name: value for name, value in changes.items() if value is not None}
    found = ask(
        where.settings(),
        lambda service: _changed(service, app, purpose, given, reset),
        doing=lambda _: [Deed("app terms", app_id=app)],
    )
    print_json(_shown(found))
    return 0


async def _changed(
    service: Service, app_id: str, purpose: str, given: dict[str, Any], reset: bool
) -> App:
    from watchword.domain.app import Terms

    def change(before: Terms) -> Terms:
        kept = {} if reset else msgspec.to_builtins(before)
        return msgspec.convert({**kept, **given}, Terms)

    return await service.apps.set_terms(app_id, purpose, change, service.clock())


def _within(option: str, value: int | None, least: int, most: int) -> int | None:
    if value is not None and not least <= value <= most:
        raise Misused(f"{option} is {least} to {most}.")
    return value


def _shown(app: App) -> dict[str, Any]:
    numbers = [
        {"to": number.masked, "ends_at": number.ends_at.isoformat()} for number in app.test_numbers
    ]
    fields = ("id", "name", "brand", "brands", "origin", "language", "terms")
    return {**{name: getattr(app, name) for name in fields}, "test_numbers": numbers}


def _shown_with(clients: Sequence[Client], app: App) -> dict[str, Any]:
    """Whether it speaks CIAM is told by its clients."""
    speaking = [
        {**_speaking(client), "suspended": client.suspended, "demo": client.demo}
        for client in clients
        if client.app_id == app.id
    ]
    return {**_shown(app), "ciam_clients": speaking}


def _speaking(client: Client) -> dict[str, Any]:
    return {"client_id": client.id, "users": client.users, "region": client.region}


def _ids(clients: Sequence[Client], app: App) -> str:
    return " ".join(
        client.id + (" (suspended)" if client.suspended else " (demo)" if client.demo else "")
        for client in clients
        if client.app_id == app.id
    )
