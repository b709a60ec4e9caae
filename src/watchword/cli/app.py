"""`watchword app`: the tenants of this service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from cyclopts import Parameter

from watchword.cli.opened import ask
from watchword.cli.places import HERE, Where
from watchword.cli.printing import AsJson, print_json, print_table
from watchword.cli.refusal import Misused

if TYPE_CHECKING:
    from watchword.bootstrap import Service
    from watchword.domain.app import App

AppId = Annotated[str, Parameter(name="APP", help="The app's id.")]
Purposes = Literal["*", "sign_in", "sign_up", "reset", "change", "bind"]


def create(
    name: Annotated[str, Parameter(help="What you call it.")],
    /,
    *,
    brand: Annotated[str, Parameter(help="What messages call it.")] = "",
    origin: Annotated[str, Parameter(help="The host that codes are bound to (WebOTP).")] = "",
    language: Annotated[str, Parameter(help="Of its messages, as in zh-cn.")] = "",
    json: AsJson = False,
    where: Where = HERE,
) -> int:
    """Make an app. It works at once, also on a running server."""

    async def made(service: Service) -> App:
        return await service.apps.create(
            name=name, brand=brand, origin=origin, language=language, now=service.clock()
        )

    app = ask(where.settings(), made)
    print_json(_shown(app)) if json else print(app.id)
    return 0


def list_(*, json: AsJson = False, where: Where = HERE) -> int:
    """List the apps."""
    apps = ask(where.settings(), lambda service: service.apps.apps(service.clock()))
    if json:
        print_json([_shown(app) for app in apps])
    else:
        rows = [(app.id, app.name, app.brand, app.origin, app.language) for app in apps]
        print_table(("id", "name", "brand", "origin", "language"), rows)
    return 0


def show(app: AppId, /, *, where: Where = HERE) -> int:
    """Show one app, with its terms and the masked form of its test numbers."""
    found = ask(where.settings(), lambda service: service.apps.app(app, service.clock()))
    print_json(_shown(found))
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
    found = ask(where.settings(), lambda service: _changed(service, app, purpose, given, reset))
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
    fields = ("id", "name", "brand", "origin", "language", "terms")
    return {**{name: getattr(app, name) for name in fields}, "test_numbers": numbers}
