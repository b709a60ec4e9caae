"""`watchword account`: the accounts of a vendor's dialect, their users and access keys."""

from __future__ import annotations

import sys
from datetime import timedelta
from getpass import getpass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

from cyclopts import Parameter

from watchword.cli import accounts_aliyun, accounts_huawei
from watchword.cli.demo import refuse_a_demo_in_public
from watchword.cli.opened import Deed, ask
from watchword.cli.places import HERE, Where
from watchword.cli.printing import AsJson, instant, print_json, print_table
from watchword.cli.refusal import Misused

if TYPE_CHECKING:
    from watchword.bootstrap import Service
    from watchword.directory.aliyun import Aliyun
    from watchword.directory.huawei import Huawei

LONGEST_TTL_S = 86_400

Dialect = Annotated[Literal["huawei", "aliyun"], Parameter(help="Whose accounts.")]
AccountId = Annotated[str, Parameter(name="ACCOUNT", help="The account's id.")]
UserId = Annotated[str, Parameter(name="USER", help="The user's id, from account show.")]
Switched = Annotated[str, Parameter(name="WHOM", help="A user's id (huawei), or an AK (aliyun).")]


class Books(Protocol):
    """What is done differently with the accounts of each dialect, as its module does it."""

    async def create(
        self,
        service: Service,
        name: str,
        *,
        brand: str = "",
        language: str = "",
        app: str = "",
        no_partner: bool = False,
        phone: str = "",
    ) -> dict[str, str]: ...
    async def listed(self, service: Service) -> list[dict[str, Any]]: ...
    async def shown(self, service: Service, whom: str, /) -> dict[str, Any]: ...
    async def add_user(self, service: Service, account_id: str, name: str) -> dict[str, str]: ...
    async def change_password(self, service: Service, user_id: str) -> dict[str, str]: ...
    async def disable(self, service: Service, whom: str, /) -> None: ...
    async def enable(self, service: Service, whom: str, /) -> None: ...


BOOKS: dict[str, Books] = {"huawei": accounts_huawei, "aliyun": accounts_aliyun}


def _directory(service: Service, dialect: str) -> Huawei | Aliyun:
    return service.huawei if dialect == "huawei" else service.aliyun


def create(
    name: Annotated[str, Parameter(help="What it is called.")],
    /,
    *,
    dialect: Dialect,
    brand: Annotated[str, Parameter(help="What messages call it.")] = "",
    language: Annotated[
        Literal["", "zh-cn", "en-us"], Parameter(help="Of messages that ask for none.")
    ] = "",
    app: Annotated[str, Parameter(help="The app to speak for, instead of a new one.")] = "",
    no_partner: Annotated[
        bool, Parameter(help="huawei: an account that may not send, its calls are denied.")
    ] = False,
    phone: Annotated[
        str, Parameter(help="aliyun: the phone bound to it, as in 1-2025550100.")
    ] = "",
    json: AsJson = False,
    where: Where = HERE,
) -> int:
    """Make an account and an access key. Secrets are never shown again."""
    if app and (brand or language):
        raise Misused("The app has a brand and a language: leave out --brand and --language.")
    made = ask(
        where.settings(),
        lambda service: BOOKS[dialect].create(
            service,
            name,
            brand=brand,
            language=language,
            app=app,
            no_partner=no_partner,
            phone=phone,
        ),
        doing=lambda made: [Deed("account create", made.get("account_id") or made["domain_id"])],
    )
    _tell(made, json)
    return 0


def list_(*, dialect: Dialect, json: AsJson = False, where: Where = HERE) -> int:
    """List the accounts, customers last."""
    accounts = ask(where.settings(), BOOKS[dialect].listed)
    if json:
        print_json(accounts)
    else:
        columns = ("id", "name", "kind", "suspended", "created_at")
        print_table(columns, [[each[column] for column in columns] for each in accounts])
    return 0


def show(
    account: Annotated[
        str, Parameter(name="ACCOUNT", help="Its id, or (aliyun) one of its AccessKeys.")
    ],
    /,
    *,
    dialect: Dialect,
    where: Where = HERE,
) -> int:
    """Show one account, with its users and the ids of their access keys."""
    print_json(ask(where.settings(), lambda service: BOOKS[dialect].shown(service, account)))
    return 0


def suspend(account: AccountId, /, *, dialect: Dialect, where: Where = HERE) -> int:
    """Refuse an account's calls until it is resumed."""
    ask(
        where.settings(),
        lambda service: _directory(service, dialect).accounts.suspend(account, service.clock()),
        doing=lambda _: [Deed("account suspend", account)],
    )
    print(f"Suspended {account}.")
    return 0


def resume(account: AccountId, /, *, dialect: Dialect, where: Where = HERE) -> int:
    """Serve a suspended account again."""
    settings = where.settings()

    async def resumed(service: Service) -> None:
        accounts, now = _directory(service, dialect).accounts, service.clock()
        if (await accounts.account(account, now)).demo:
            refuse_a_demo_in_public(settings)
        await accounts.resume(account, now)

    ask(settings, resumed, doing=lambda _: [Deed("account resume", account)])
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
    """Add a user (huawei) with a password of its own, which is never shown again."""
    made = ask(
        where.settings(),
        lambda service: BOOKS[dialect].add_user(service, account, name),
        doing=lambda made: [Deed("account user", made["user_id"])],
    )
    _tell(made, json)
    return 0


def password(
    user: UserId, /, *, dialect: Dialect, json: AsJson = False, where: Where = HERE
) -> int:
    """Give a user (huawei) a new password. Its tokens end."""
    changed = ask(
        where.settings(),
        lambda service: BOOKS[dialect].change_password(service, user),
        doing=lambda _: [Deed("account password", user)],
    )
    _tell(changed, json)
    return 0


def disable(whom: Switched, /, *, dialect: Dialect, where: Where = HERE) -> int:
    """Deny a user, whose tokens end, or an access key everything."""
    ask(
        where.settings(),
        lambda service: BOOKS[dialect].disable(service, whom),
        doing=lambda _: [Deed("account disable", whom)],
    )
    print(f"Disabled {whom}.")
    return 0


def enable(whom: Switched, /, *, dialect: Dialect, where: Where = HERE) -> int:
    """Let a disabled user or access key in again."""
    ask(
        where.settings(),
        lambda service: BOOKS[dialect].enable(service, whom),
        doing=lambda _: [Deed("account enable", whom)],
    )
    print(f"Enabled {whom}.")
    return 0


def key(
    whose: Annotated[
        str, Parameter(name="WHOSE", help="A user's id (huawei), or an account's (aliyun).")
    ],
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
    """Make an access key. Its secret is never shown again; a lasting one ends a user's tokens."""
    if ttl_s is not None and not 1 <= ttl_s <= LONGEST_TTL_S:
        raise Misused(f"--ttl-s is 1 to {LONGEST_TTL_S}.")
    ttl = None if ttl_s is None else timedelta(seconds=ttl_s)
    pair = (ak, _secret_told()) if ak else None
    made, secret, token = ask(
        where.settings(),
        lambda service: _directory(service, dialect).credentials.create_key(
            whose, service.clock(), ttl=ttl, note=note, pair=pair
        ),
        doing=lambda made: [Deed("account key", made[0].id)],
    )
    told = {"ak": made.id} if pair else {"ak": made.id, "sk": secret}
    if made.expires_at:
        told |= {"security_token": token, "expires_at": instant(made.expires_at)}
    _tell(told, json)
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
        lambda service: _directory(service, dialect).credentials.revoke_key(
            access_key, service.clock()
        ),
        doing=lambda _: [Deed("account revoke", access_key)],
    )
    print(f"Revoked {access_key}.")
    return 0


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
