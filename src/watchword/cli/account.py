"""`watchword account`: the accounts of a vendor's dialect, their users and access keys."""

from __future__ import annotations

import secrets
import sys
from datetime import datetime, timedelta
from getpass import getpass
from string import ascii_letters, digits
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from watchword.cli.demo import refuse_a_demo_in_public
from watchword.cli.opened import ask
from watchword.cli.places import HERE, Where
from watchword.cli.printing import AsJson, print_json, print_table
from watchword.cli.refusal import Misused

if TYPE_CHECKING:
    from watchword.bootstrap import Service
    from watchword.directory.huawei.accounts import Account, User
    from watchword.directory.huawei.credentials import AccessKey

FIRST_USER = "admin"
LONGEST_TTL_S = 86_400

Dialect = Annotated[Literal["huawei"], Parameter(help="Whose accounts.")]
AccountId = Annotated[str, Parameter(name="ACCOUNT", help="The account's id (domain id).")]
UserId = Annotated[str, Parameter(name="USER", help="The user's id, from account show.")]


def create(
    name: Annotated[str, Parameter(help="What it is called (domain name).")],
    /,
    *,
    dialect: Dialect,
    brand: Annotated[str, Parameter(help="What messages call it.")] = "",
    language: Annotated[
        Literal["", "zh-cn", "en-us"], Parameter(help="Of messages that ask for none.")
    ] = "",
    app: Annotated[str, Parameter(help="The app to speak for, instead of a new one.")] = "",
    no_partner: Annotated[
        bool, Parameter(help="An account that may not send: its calls are denied.")
    ] = False,
    json: AsJson = False,
    where: Where = HERE,
) -> int:
    """Make a partner, its first user and an access key. Their secrets are never shown again."""
    if no_partner and (brand or language or app):
        raise Misused("--no-partner has no app: leave out --brand, --language and --app.")
    if app and (brand or language):
        raise Misused("The app has a brand and a language: leave out --brand and --language.")

    async def made(service: Service) -> dict[str, str]:
        if no_partner:
            return await _outsider(service, name)
        return await newcomer(service, name, brand=brand, language=language, app_id=app)

    _tell(ask(where.settings(), made), json)
    return 0


def list_(*, dialect: Dialect, json: AsJson = False, where: Where = HERE) -> int:
    """List the accounts: partners and others, then customers."""

    async def found(service: Service) -> list[Account]:
        directory, now = service.huawei.accounts, service.clock()
        return [*await directory.accounts(now), *await directory.customers(now)]

    accounts = ask(where.settings(), found)
    shown = [_shown(account) for account in accounts]
    if json:
        print_json(shown)
    else:
        columns = ("id", "name", "kind", "suspended", "created_at")
        print_table(columns, [[each[column] for column in columns] for each in shown])
    return 0


def show(account: AccountId, /, *, dialect: Dialect, where: Where = HERE) -> int:
    """Show one account, with its users and the ids of their access keys."""

    async def found(service: Service) -> dict[str, Any]:
        now, directory = service.clock(), service.huawei
        known = await directory.accounts.account(account, now)
        users = await directory.accounts.users(account, now)
        keys = await directory.credentials.keys(now)
        return {
            **_shown(known),
            **(_registered(service, known) if known.partner_id else {}),
            "users": [_shown_user(user) for user in users],
            "keys": [_shown_key(key) for key in keys if key.account_id == account],
        }

    print_json(ask(where.settings(), found))
    return 0


def suspend(account: AccountId, /, *, dialect: Dialect, where: Where = HERE) -> int:
    """Refuse a partner's calls (CBC.99000035) until it is resumed."""
    ask(
        where.settings(),
        lambda service: service.huawei.accounts.suspend(account, service.clock()),
    )
    print(f"Suspended {account}.")
    return 0


def resume(account: AccountId, /, *, dialect: Dialect, where: Where = HERE) -> int:
    """Serve a suspended partner again."""
    settings = where.settings()

    async def resumed(service: Service) -> None:
        found = await service.huawei.accounts.account(account, service.clock())
        if found.demo:
            refuse_a_demo_in_public(settings)
        await service.huawei.accounts.resume(account, service.clock())

    ask(settings, resumed)
    print(f"Resumed {account}.")
    return 0


def user(
    account: AccountId,
    name: Annotated[str, Parameter(help="What the user logs in as.")],
    /,
    *,
    dialect: Dialect,
    json: AsJson = False,
    where: Where = HERE,
) -> int:
    """Add a user with a password of its own, which is never shown again."""
    _tell(ask(where.settings(), lambda service: _added(service, account, name)), json)
    return 0


def password(
    user: UserId, /, *, dialect: Dialect, json: AsJson = False, where: Where = HERE
) -> int:
    """Give a user a new password. Its tokens end."""

    async def changed(service: Service) -> dict[str, str]:
        fresh = _password()
        await service.huawei.accounts.set_password(user, fresh, service.clock())
        return {"user_id": user, "password": fresh}

    _tell(ask(where.settings(), changed), json)
    return 0


def disable(user: UserId, /, *, dialect: Dialect, where: Where = HERE) -> int:
    """Deny a user everything. Its tokens end."""
    ask(
        where.settings(),
        lambda service: service.huawei.accounts.disable_user(user, service.clock()),
    )
    print(f"Disabled {user}.")
    return 0


def enable(user: UserId, /, *, dialect: Dialect, where: Where = HERE) -> int:
    """Let a disabled user in again."""
    ask(
        where.settings(),
        lambda service: service.huawei.accounts.enable_user(user, service.clock()),
    )
    print(f"Enabled {user}.")
    return 0


def key(
    user: UserId,
    /,
    *,
    dialect: Dialect,
    ttl_s: Annotated[
        int | None, Parameter(help="A temporary key, with a security token, for so many seconds.")
    ] = None,
    ak: Annotated[
        str, Parameter(help="A key that programs have already; its secret is read from stdin.")
    ] = "",
    note: Annotated[str, Parameter(help="Who holds it, or what for.")] = "",
    json: AsJson = False,
    where: Where = HERE,
) -> int:
    """Make an access key. Its secret is never shown again; a lasting one ends the user's tokens."""
    if ttl_s is not None and not 1 <= ttl_s <= LONGEST_TTL_S:
        raise Misused(f"--ttl-s is 1 to {LONGEST_TTL_S}.")
    ttl = None if ttl_s is None else timedelta(seconds=ttl_s)
    pair = (ak, _secret_told()) if ak else None

    async def made(service: Service) -> dict[str, str]:
        access, secret, token = await service.huawei.credentials.create_key(
            user, service.clock(), ttl=ttl, note=note, pair=pair
        )
        told = {"ak": access.id} if pair else {"ak": access.id, "sk": secret}
        if access.expires_at:
            told |= {"security_token": token, "expires_at": _instant(access.expires_at)}
        return told

    _tell(ask(where.settings(), made), json)
    return 0


def revoke(
    access_key: Annotated[str, Parameter(name="AK", help="The access key's id.")],
    /,
    *,
    dialect: Dialect,
    where: Where = HERE,
) -> int:
    """Revoke an access key; a running server refuses it within a second."""
    ask(
        where.settings(),
        lambda service: service.huawei.credentials.revoke_key(access_key, service.clock()),
    )
    print(f"Revoked {access_key}.")
    return 0


async def newcomer(
    service: Service,
    name: str,
    *,
    brand: str = "",
    language: str = "",
    app_id: str = "",
    demo: bool = False,
) -> dict[str, str]:
    """A new partner with all that its programs need."""
    partner = await service.huawei.accounts.create_partner(
        name=name, brand=brand, language=language, app_id=app_id, demo=demo, now=service.clock()
    )
    return await _equipped(service, partner)


async def _outsider(service: Service, name: str) -> dict[str, str]:
    account = await service.huawei.accounts.create_other(name=name, now=service.clock())
    return await _equipped(service, account)


async def _equipped(service: Service, account: Account) -> dict[str, str]:
    first = await _added(service, account.id, FIRST_USER)
    access, secret, _ = await service.huawei.credentials.create_key(
        first["user_id"], service.clock()
    )
    return {
        "domain_id": account.id,
        "domain": account.name,
        "user_id": first["user_id"],
        "user": FIRST_USER,
        "password": first["password"],
        "ak": access.id,
        "sk": secret,
    }


async def _added(service: Service, account_id: str, name: str) -> dict[str, str]:
    accounts, fresh = service.huawei.accounts, _password()
    made = await accounts.create_user(account_id, name, service.clock())
    await accounts.set_password(made.id, fresh, service.clock())
    return {"user_id": made.id, "user": name, "password": fresh}


def _password() -> str:
    return "".join(secrets.choice(ascii_letters + digits) for _ in range(24))


def _secret_told() -> str:
    """The secret of a key that exists elsewhere: not from the command line, which others see."""
    return getpass("SK: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")


def _tell(made: dict[str, str], json: bool) -> None:
    if json:
        return print_json(made)
    width = max(map(len, made))
    for name, value in made.items():
        print(f"{name:{width}}  {value}")
    return None


def _shown(account: Account) -> dict[str, Any]:
    kind = "partner" if account.is_partner else "customer" if account.partner_id else "other"
    return {
        "id": account.id,
        "name": account.name,
        "kind": kind,
        "partner": account.partner_id,
        "app": account.app_id,
        "suspended": account.suspended,
        "demo": account.demo,
        "created_at": _instant(account.created_at),
    }


def _registered(service: Service, customer: Account) -> dict[str, Any]:
    """What its partner said of a customer; of its address, what is enough to recognise it."""
    return {
        "xaccount_id": service.huawei.customers.private(customer).xaccount_id,
        "xaccount_type": customer.xaccount_type,
        "address": customer.masked,
        "area": customer.area,
        "wants_marketing": customer.wants_marketing,
    }


def _shown_user(user: User) -> dict[str, Any]:
    return {"id": user.id, "name": user.name, "disabled": user.disabled}


def _shown_key(key: AccessKey) -> dict[str, Any]:
    return {
        "ak": key.id,
        "user": key.user_id,
        "created_at": _instant(key.created_at),
        "expires_at": _instant(key.expires_at) if key.expires_at else None,
        "note": key.note,
    }


def _instant(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
