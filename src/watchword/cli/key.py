"""`watchword key`: the API keys of apps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from watchword.cli.app import AppId
from watchword.cli.opened import Deed, ask
from watchword.cli.places import HERE, Where
from watchword.cli.printing import AsJson, print_json, print_table

if TYPE_CHECKING:
    from watchword.bootstrap import Service
    from watchword.domain.app import ApiKey

Scopes = Literal["send", "check", "read", "inbox", "admin"]


def create(
    app: AppId,
    /,
    *,
    scope: Annotated[tuple[Scopes, ...], Parameter(help="What it may do; may be repeated.")] = (
        "send",
        "check",
        "read",
    ),
    note: Annotated[str, Parameter(help="Who holds it, or what for.")] = "",
    json: AsJson = False,
    where: Where = HERE,
) -> int:
    """Make an API key and print it. It is never shown again."""

    async def made(service: Service) -> tuple[ApiKey, str]:
        from watchword.domain.app import Scope

        scopes = [Scope(name) for name in dict.fromkeys(scope)]
        return await service.apps.create_key(app, scopes, note=note, now=service.clock())

    key, token = ask(
        where.settings(), made, doing=lambda pair: [Deed("key create", pair[0].id, pair[0].app_id)]
    )
    print_json({**_shown(key), "api_key": token}) if json else print(token)
    return 0


def list_(
    app: Annotated[str | None, Parameter(name="APP", help="Only this app's.")] = None,
    /,
    *,
    json: AsJson = False,
    where: Where = HERE,
) -> int:
    """List API keys, never their secrets."""
    every: Sequence[ApiKey] = ask(
        where.settings(), lambda service: service.apps.keys(service.clock())
    )
    keys = [_shown(key) for key in every if app in (None, key.app_id)]
    if json:
        print_json(keys)
    else:
        columns = ("id", "app", "scopes", "created_at", "note")
        print_table(columns, [[_cell(key[column]) for column in columns] for key in keys])
    return 0


def revoke(
    key: Annotated[str, Parameter(name="KEY", help="The key's id, from key list.")],
    /,
    *,
    where: Where = HERE,
) -> int:
    """Revoke an API key; a running server refuses it within a second."""
    ask(
        where.settings(),
        lambda service: service.apps.revoke_key(key, service.clock()),
        doing=lambda _: [Deed("key revoke", key)],
    )
    print(f"Revoked {key}.")
    return 0


def _shown(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "app": key.app_id,
        "scopes": [scope.value for scope in key.scopes],
        "created_at": f"{key.created_at:%Y-%m-%dT%H:%M:%SZ}",
        "note": key.note,
        "demo": key.demo,
    }


def _cell(value: object) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)
