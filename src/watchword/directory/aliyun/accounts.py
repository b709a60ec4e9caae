"""Accounts: cloud accounts that stand alone or manage a directory, and the members of one."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

import msgspec
from msgspec.structs import replace

from watchword.directory.apps import Apps
from watchword.directory.fresh import Fresh
from watchword.directory.names import claim, claimant, folded, readable
from watchword.directory.records import Records, put
from watchword.domain.app import App
from watchword.domain.destination import Destination
from watchword.domain.keys import KeyRing
from watchword.errors import RecordConflict, RequestInvalid
from watchword.ports import RecordStore, Write

ACCOUNT, NAME = "aliyun_account", "aliyun_name"
"""The records, and the claims beside them: a name is one account's."""

_LEAST_ID, _MOST_IDS = 10**15, 9 * 10**15


class Account(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A cloud account, or a resource account, which is always a member of a directory.

    `directory_id` is the resource directory that it is a member of, or that it `manages`; `invited`
    tells a member that was there before from one that was created in it. What is `private` is the
    phone, as the wire spells it, sealed under the id; `masked` is enough to recognise it.
    """

    id: str
    name: str
    created_at: datetime
    app_id: str
    is_resource: bool = False
    display_name: str = ""
    directory_id: str = ""
    manages: bool = False
    joined_at: datetime | None = None
    modified_at: datetime | None = None
    invited: bool = False
    suspended: bool = False
    demo: bool = False
    tags: tuple[tuple[str, str], ...] = ()
    masked: str = ""
    private: bytes = b""

    @property
    def has_phone(self) -> bool:
        return bool(self.private)


class Caller(msgspec.Struct, frozen=True):
    """An account and its app."""

    account: Account
    app: App


class Accounts:
    """Reads and changes accounts. A change is seen by every process within a second."""

    def __init__(self, store: RecordStore, keys: KeyRing, apps: Apps) -> None:
        self.store, self.keys, self._apps = store, keys, apps
        self.records = Records(store, ACCOUNT, Account, "account")
        self._callers: Fresh[Caller] = Fresh()

    async def create(
        self,
        *,
        name: str,
        now: datetime,
        brand: str = "",
        language: str = "",
        app_id: str = "",
        phone: Destination | None = None,
        spelled: str = "",
        demo: bool = False,
    ) -> Account:
        """Add a cloud account that is in no directory, and an app of its name unless `app_id` names
        one, which may be others' too. `spelled` is the phone as the wire spells it.

        Raises RequestInvalid, and AccessDenied when there is no such app.
        """
        app, writes = await self._apps.app_or_draft(
            app_id, name=readable(name), brand=brand, language=language, now=now
        )
        account = Account(id=new_id(), name=name, created_at=now, app_id=app.id, demo=demo)
        if phone:
            account = self.with_phone(account, phone, spelled)
        try:
            await self.store.write([*writes, *added(account)], now)
        except RecordConflict:
            raise RequestInvalid("Another has this name already.", field="/name") from None
        return account

    async def account(self, account_id: str, now: datetime) -> Account:
        """As of now. Raises AccessDenied when there is none."""
        return (await self.records.get(account_id, now))[0]

    async def accounts(self, now: datetime) -> Sequence[Account]:
        """All of them, oldest first."""
        return sorted(await self.records.all(now), key=lambda account: account.created_at)

    async def by_name(self, name: str, now: datetime) -> Account | None:
        account_id = await claimant(self.store, NAME, folded(name), now)
        return await self.account(account_id, now) if account_id else None

    async def suspend(self, account_id: str, now: datetime) -> Account:
        """Raises AccessDenied when there is none; so does `resume`."""
        return await self._change(account_id, partial(replace, suspended=True), now)

    async def resume(self, account_id: str, now: datetime) -> Account:
        return await self._change(account_id, partial(replace, suspended=False), now)

    async def caller(self, account_id: str, now: datetime) -> Caller:
        """An account and its app, as of the last second. Raises AccessDenied when there is none."""
        if known := self._callers.get(account_id, now):
            return known
        account = await self.account(account_id, now)
        caller = Caller(account, await self._apps.app(account.app_id, now))
        return self._callers.keep(account_id, caller, now)

    def with_phone(self, account: Account, phone: Destination, spelled: str) -> Account:
        private = self.keys.seal(spelled.encode(), account.id.encode())
        return replace(account, masked=phone.masked, private=private)

    def phone(self, account: Account) -> str:
        """The phone that is bound, as the wire spells it, "" where there is none. Raises
        KeyUnknown when the ring lacks the key."""
        if not account.has_phone:
            return ""
        return self.keys.unseal(account.private, account.id.encode()).decode()

    async def apply(self, writes: Sequence[Write], now: datetime) -> None:
        """Change accounts and what hangs on them, all or none. Raises RecordConflict."""
        await self.store.write(writes, now)
        self._callers.clear()

    async def _change(
        self, account_id: str, change: Callable[[Account], Account], now: datetime
    ) -> Account:
        account = await self.records.change(account_id, change, now)
        self._callers.clear()
        return account


def added(account: Account) -> list[Write]:
    """What adds an account, unless its name is another's."""
    return [put(ACCOUNT, account), claim(NAME, folded(account.name), account.id)]


def new_id() -> str:
    """As the vendor's: 16 digits, of which the first is no zero."""
    return str(_LEAST_ID + secrets.randbelow(_MOST_IDS))
