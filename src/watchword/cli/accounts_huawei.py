"""What `watchword account --dialect huawei` does: partners, their users, and customers."""

from __future__ import annotations

import secrets
from string import ascii_letters, digits
from typing import TYPE_CHECKING, Any

from watchword.cli.printing import instant
from watchword.cli.refusal import Misused

if TYPE_CHECKING:
    from watchword.bootstrap import Service
    from watchword.directory.huawei.accounts import Account, User
    from watchword.directory.huawei.credentials import AccessKey

FIRST_USER = "admin"


async def create(
    service: Service,
    name: str,
    *,
    brand: str = "",
    language: str = "",
    app: str = "",
    no_partner: bool = False,
    phone: str = "",
    demo: bool = False,
) -> dict[str, str]:
    """A new account with all that its programs need: a first user and an access key."""
    accounts, now = service.huawei.accounts, service.clock()
    if phone:
        raise Misused("A partner has no phone: leave out --phone.")
    if no_partner and (brand or language or app):
        raise Misused("--no-partner has no app: leave out --brand, --language and --app.")
    if no_partner:
        return await _equipped(service, await accounts.create_other(name=name, now=now))
    partner = await accounts.create_partner(
        name=name, brand=brand, language=language, app_id=app, demo=demo, now=now
    )
    return await _equipped(service, partner)


async def listed(service: Service) -> list[dict[str, Any]]:
    """Partners and others, then customers."""
    directory, now = service.huawei.accounts, service.clock()
    accounts = [*await directory.accounts(now), *await directory.customers(now)]
    return [_shown(account) for account in accounts]


async def shown(service: Service, account_id: str) -> dict[str, Any]:
    now, directory = service.clock(), service.huawei
    known = await directory.accounts.account(account_id, now)
    users = await directory.accounts.users(account_id, now)
    keys = await directory.credentials.keys(now)
    return {
        **_shown(known),
        **(_registered(service, known) if known.partner_id else {}),
        "users": [_shown_user(user) for user in users],
        "keys": [_shown_key(key) for key in keys if key.account_id == account_id],
    }


async def add_user(service: Service, account_id: str, name: str) -> dict[str, str]:
    accounts, fresh = service.huawei.accounts, _password()
    made = await accounts.create_user(account_id, name, service.clock())
    await accounts.set_password(made.id, fresh, service.clock())
    return {"user_id": made.id, "user": name, "password": fresh}


async def change_password(service: Service, user_id: str) -> dict[str, str]:
    fresh = _password()
    await service.huawei.accounts.set_password(user_id, fresh, service.clock())
    return {"user_id": user_id, "password": fresh}


async def disable(service: Service, user_id: str) -> None:
    await service.huawei.accounts.disable_user(user_id, service.clock())


async def enable(service: Service, user_id: str) -> None:
    await service.huawei.accounts.enable_user(user_id, service.clock())


async def _equipped(service: Service, account: Account) -> dict[str, str]:
    first = await add_user(service, account.id, FIRST_USER)
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


def _password() -> str:
    return "".join(secrets.choice(ascii_letters + digits) for _ in range(24))


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
        "created_at": instant(account.created_at),
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
        "created_at": instant(key.created_at),
        "expires_at": instant(key.expires_at) if key.expires_at else None,
        "note": key.note,
    }
