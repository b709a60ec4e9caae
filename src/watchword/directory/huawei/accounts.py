"""Accounts: partners, the customers they create, and the users who act for either."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from watchword.directory import passwords
from watchword.directory.apps import Apps
from watchword.directory.fresh import Fresh
from watchword.directory.names import claim, claimant, folded, readable
from watchword.directory.records import Records, put
from watchword.domain.app import App
from watchword.domain.keys import KeyRing
from watchword.errors import AccessDenied, RecordConflict, RequestInvalid
from watchword.ports import RecordStore, Write

ACCOUNT, CUSTOMER, USER = "huawei_account", "huawei_customer", "huawei_user"
NAME, USER_NAME, APP = "huawei_name", "huawei_user_name", "huawei_app"
"""The claims: a name is one account's, a user's name one's within it, an app one partner's."""


class Account(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A domain, in the vendor's word: a partner, or a customer that a partner created.

    `app_id` is a partner's own app, `partner_id` who created a customer; who has neither is nobody
    to us. What is `private` of a customer is sealed under its id, see `customers.Private`.
    """

    id: str
    name: str
    created_at: datetime
    app_id: str = ""
    partner_id: str = ""
    suspended: bool = False
    demo: bool = False
    area: str = ""
    xaccount_type: str = ""
    wants_marketing: bool = True
    masked: str = ""
    private: bytes = b""

    @property
    def is_partner(self) -> bool:
        return bool(self.app_id)

    @property
    def kind(self) -> str:
        """Where it is kept: there may be a million customers, and few others."""
        return CUSTOMER if self.partner_id else ACCOUNT


class User(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who acts for an account. `password` is a PHC string, "" where there is none. Tokens hold as
    long as `epoch` is what it was when they were issued."""

    id: str
    account_id: str
    name: str
    password: str = ""
    epoch: int = 0
    disabled: bool = False

    def __repr__(self) -> str:
        return f"User(id={self.id!r}, account_id={self.account_id!r}, name={self.name!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("id", self.id), ("account_id", self.account_id), ("name", self.name)]


class Caller(msgspec.Struct, frozen=True):
    """A user, for whom it acts, and the app of a partner."""

    account: Account
    user: User
    app: App | None


class Accounts:
    """Reads and changes accounts and users. A change is seen by every process within a second."""

    def __init__(self, store: RecordStore, keys: KeyRing, apps: Apps) -> None:
        self.store, self.keys, self._apps = store, keys, apps
        self._users = Records(store, USER, User, "user")
        self._accounts = {
            kind: Records(store, kind, Account, "account") for kind in (CUSTOMER, ACCOUNT)
        }
        self._callers: Fresh[Caller] = Fresh()

    async def create_partner(
        self,
        *,
        name: str,
        now: datetime,
        brand: str = "",
        language: str = "",
        app_id: str = "",
        demo: bool = False,
    ) -> Account:
        """Add a partner, and an app of its name unless `app_id` names one that is no other's.

        Raises RequestInvalid, and AccessDenied when there is no such app.
        """
        app, writes = await self._apps.app_or_draft(
            app_id, name=readable(name), brand=brand, language=language, now=now
        )
        account = Account(id=new_id(), name=name, created_at=now, app_id=app.id, demo=demo)
        writes += [*added(account), Write(kind=APP, key=app.id, version=0, body=b"")]
        await self._add(writes, now)
        return account

    async def create_other(self, *, name: str, now: datetime) -> Account:
        """Add an account that is nobody's partner nor customer. Raises RequestInvalid."""
        account = Account(id=new_id(), name=readable(name), created_at=now)
        await self._add(added(account), now)
        return account

    async def account(self, account_id: str, now: datetime) -> Account:
        """An account of any kind. Raises AccessDenied when there is none."""
        for kept in self._accounts.values():
            if found := await kept.find(account_id, now):
                return found[0]
        raise AccessDenied(f"There is no account '{account_id}'.")

    async def accounts(self, now: datetime) -> Sequence[Account]:
        """All that are no customers, oldest first."""
        return await self._all(ACCOUNT, now)

    async def customers(self, now: datetime) -> Sequence[Account]:
        """Every partner's, oldest first."""
        return await self._all(CUSTOMER, now)

    async def by_name(self, name: str, now: datetime) -> Account | None:
        account_id = await claimant(self.store, NAME, folded(name), now)
        return await self.account(account_id, now) if account_id else None

    async def suspend(self, account_id: str, now: datetime) -> Account:
        """Raises AccessDenied when there is none; so does `resume`."""
        return await self._suspended(account_id, True, now)

    async def resume(self, account_id: str, now: datetime) -> Account:
        return await self._suspended(account_id, False, now)

    async def create_user(self, account_id: str, name: str, now: datetime) -> User:
        """Raises RequestInvalid, and AccessDenied when there is no such account."""
        account = await self.account(account_id, now)
        user = User(id=new_id(), account_id=account.id, name=readable(name))
        await self._add(added_user(user), now)
        return user

    async def user(self, user_id: str, now: datetime) -> User:
        """Raises AccessDenied when there is none."""
        return (await self._users.get(user_id, now))[0]

    async def users(self, account_id: str, now: datetime) -> Sequence[User]:
        return [user for user in await self._users.all(now) if user.account_id == account_id]

    async def user_of(self, account_id: str, user_name: str, now: datetime) -> User | None:
        user_id = await claimant(self.store, USER_NAME, _in(account_id, user_name), now)
        return await self.user(user_id, now) if user_id else None

    async def set_password(self, user_id: str, password: str, now: datetime) -> User:
        """Change it, which ends the user's tokens. Raises RequestInvalid, AccessDenied."""
        if not password:
            raise RequestInvalid("A password is not empty.", field="/password")
        kept = await passwords.hash(password)
        return await self._change_user(user_id, now, password=kept)

    async def disable_user(self, user_id: str, now: datetime) -> User:
        """Which ends its tokens, also for the time after `enable_user`. Raises AccessDenied."""
        return await self._change_user(user_id, now, disabled=True)

    async def enable_user(self, user_id: str, now: datetime) -> User:
        """Raises AccessDenied when there is none."""
        return await self._change_user(user_id, now, disabled=False)

    async def end_tokens(self, user_id: str, now: datetime, *, also: Sequence[Write] = ()) -> User:
        """End what was issued to a user, in one act with what makes that needed.

        Raises AccessDenied, and RecordConflict when one of those writes does not fit.
        """
        return await self._change_user(user_id, now, also)

    async def caller(self, user_id: str, now: datetime) -> Caller:
        """For whom a user acts, as of the last second. Raises AccessDenied when there is none."""
        return self._callers.get(user_id, now) or await self.caller_anew(user_id, now)

    async def caller_anew(self, user_id: str, now: datetime) -> Caller:
        """As of now."""
        caller = await self.caller_as(await self.user(user_id, now), now)
        return self._callers.keep(user_id, caller, now)

    async def caller_as(self, user: User, now: datetime) -> Caller:
        """For whom this user acts, as it was read."""
        account = await self.account(user.account_id, now)
        app = await self._apps.app(account.app_id, now) if account.is_partner else None
        return Caller(account, user, app)

    async def _all(self, kind: str, now: datetime) -> Sequence[Account]:
        accounts = await self._accounts[kind].all(now)
        return sorted(accounts, key=lambda account: account.created_at)

    async def _suspended(self, account_id: str, suspended: bool, now: datetime) -> Account:
        def changed(account: Account) -> Account:
            return msgspec.structs.replace(account, suspended=suspended)

        kind = (await self.account(account_id, now)).kind
        account = await self._accounts[kind].change(account_id, changed, now)
        self._callers.clear()
        return account

    async def _change_user(
        self, user_id: str, now: datetime, also: Sequence[Write] = (), **changes: Any
    ) -> User:
        """Every change ends the user's tokens."""

        def changed(user: User) -> User:
            return msgspec.structs.replace(user, epoch=user.epoch + 1, **changes)

        user = await self._users.change(user_id, changed, now, also)
        self._callers.clear()
        return user

    async def _add(self, writes: Sequence[Write], now: datetime) -> None:
        """Raises RequestInvalid for what is claimed by another."""
        try:
            await self.store.write(writes, now)
        except RecordConflict as conflict:
            if conflict.kind == APP:
                raise RequestInvalid("This app is another partner's.", field="/app_id") from None
            raise RequestInvalid("Another has this name already.", field="/name") from None


def added(account: Account) -> list[Write]:
    """What adds an account, unless its name is another's."""
    return [put(account.kind, account), claim(NAME, folded(account.name), account.id)]


def added_user(user: User) -> list[Write]:
    """What adds a user, unless its account has one of that name."""
    return [put(USER, user), claim(USER_NAME, _in(user.account_id, user.name), user.id)]


def new_id() -> str:
    """As the vendor's: 32 hexadecimal digits."""
    return secrets.token_hex(16)


def _in(account_id: str, user_name: str) -> str:
    return f"{account_id}:{folded(user_name)}"
