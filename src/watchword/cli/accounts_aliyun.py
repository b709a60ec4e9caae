"""What `watchword account --dialect aliyun` does: cloud accounts, members, and their keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from watchword.cli.printing import instant
from watchword.cli.refusal import Misused

if TYPE_CHECKING:
    from watchword.bootstrap import Service
    from watchword.directory.aliyun.accounts import Account
    from watchword.directory.aliyun.credentials import AccessKey

_NO_USERS = "These accounts have no users: their access keys speak for them."


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
    """A new cloud account with an access key, in no resource directory yet."""
    from watchword.directory.aliyun import phones

    if no_partner:
        raise Misused("Every account may send here: leave out --no-partner.")
    written = phones.phone(phone) if phone else None
    account = await service.aliyun.accounts.create(
        name=name,
        brand=brand,
        language=language,
        app_id=app,
        phone=written.destination if written else None,
        spelled=phone,
        demo=demo,
        now=service.clock(),
    )
    key, secret, _ = await service.aliyun.credentials.create_key(account.id, service.clock())
    told = {"account_id": account.id, "name": account.name, "ak": key.id, "sk": secret}
    return {**told, "phone": phone} if phone else told


async def listed(service: Service) -> list[dict[str, Any]]:
    return [_shown(account) for account in await service.aliyun.accounts.accounts(service.clock())]


async def shown(service: Service, whom: str) -> dict[str, Any]:
    """An account that is named by its id, or by an AccessKey of its own."""
    now, directory = service.clock(), service.aliyun
    keys = await directory.credentials.keys(now)
    owners = {key.id: key.account_id for key in keys}
    known = await directory.accounts.account(owners.get(whom, whom), now)
    return {
        **_shown(known),
        "display_name": known.display_name,
        "phone": known.masked,
        "tags": dict(known.tags),
        "keys": [_shown_key(key) for key in keys if key.account_id == known.id],
    }


async def add_user(service: Service, account_id: str, name: str) -> dict[str, str]:
    raise Misused(_NO_USERS)


async def change_password(service: Service, user_id: str) -> dict[str, str]:
    raise Misused(_NO_USERS)


async def disable(service: Service, ak: str) -> None:
    await service.aliyun.credentials.disable_key(ak, service.clock())


async def enable(service: Service, ak: str) -> None:
    await service.aliyun.credentials.enable_key(ak, service.clock())


def _shown(account: Account) -> dict[str, Any]:
    kind = "manager" if account.manages else "member" if account.directory_id else "account"
    return {
        "id": account.id,
        "name": account.name,
        "kind": kind,
        "type": "resource" if account.is_resource else "cloud",
        "directory": account.directory_id,
        "app": account.app_id,
        "suspended": account.suspended,
        "demo": account.demo,
        "created_at": instant(account.created_at),
    }


def _shown_key(key: AccessKey) -> dict[str, Any]:
    return {
        "ak": key.id,
        "disabled": key.disabled,
        "created_at": instant(key.created_at),
        "expires_at": instant(key.expires_at) if key.expires_at else None,
        "note": key.note,
    }
