"""Resource directories: who manages one, who is in it, and what a used code changes there.

Whatever changes is prepared as writes that fit only the records as they were read, and every two
acts that would contradict one another change a record that both have read: a caller's own account
(it enables a directory, joins one or ends one), a member's (its phone, its type, its name), or the
directory, which counts its members (one more, or the end). Of two at once the second is judged
anew. Nothing here is remembered between acts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

import msgspec

from watchword.directory.aliyun import naming
from watchword.directory.aliyun.accounts import NAME, Account, Accounts, added, new_id
from watchword.directory.aliyun.refusals import (
    AccountNameTaken,
    AccountUnknown,
    AlreadyEnabled,
    CallerIsNoManager,
    DisplayNameTaken,
    FolderUnknown,
    InAnotherDirectory,
    KeyInUse,
    MembersExist,
    NotEnabled,
    NotInUse,
    PhoneBound,
    PhoneMissing,
    Refused,
    TooManyMembers,
    TypeMismatch,
)
from watchword.directory.names import claim, folded, release
from watchword.directory.records import Records, rehearse
from watchword.domain.destination import Destination
from watchword.errors import RecordConflict
from watchword.ports import Write

DIRECTORY, DISPLAY_NAME = "aliyun_directory", "aliyun_display_name"
"""The records, and the claims beside accounts.NAME: a display name is one's within a directory."""
_BREATH = 50
"""So many looks in a row hold up nobody else."""
_TAKEN: dict[str, type[Refused]] = {NAME: AccountNameTaken, DISPLAY_NAME: DisplayNameTaken}


class ResourceDirectory(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`members` counts them, without the manager."""

    id: str
    manager_id: str
    root_folder_id: str
    created_at: datetime
    members: int = 0


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """What an act will leave: the directory, the account that it is about (a new directory's
    manager, else a member), and the writes that get there, all of them conditional."""

    directory: ResourceDirectory
    account: Account
    writes: tuple[Write, ...]


class _Wish(msgspec.Struct, frozen=True, kw_only=True):
    """A member to be."""

    display_name: str
    prefix: str
    folder_id: str
    tags: tuple[tuple[str, str], ...]


class ResourceDirectories:
    """Judges and changes them. Each has a manager, and at most `most_members` beside it."""

    def __init__(self, accounts: Accounts, most_members: int = 100) -> None:
        self._accounts, self._most_members = accounts, most_members
        self._records = Records(accounts.store, DIRECTORY, ResourceDirectory, "resource directory")

    # Looking

    async def of(self, account: Account, now: datetime) -> tuple[ResourceDirectory, Account]:
        """The directory that an account manages or is a member of, and its manager. Raises
        NotInUse."""
        home = await self._home(await self._accounts.account(account.id, now), now)
        if home is None:
            raise NotInUse
        directory, _ = home
        return directory, await self._accounts.account(directory.manager_id, now)

    async def member(
        self, caller_id: str, account_id: str, now: datetime
    ) -> tuple[Account, ResourceDirectory]:
        """Any account of the directory that the caller manages, the caller's own in any directory.
        Raises NotEnabled, AccountUnknown."""
        caller, version = await self._accounts.records.get(caller_id, now)
        home = await self._home(caller, now)
        if home is None or not (caller.manages or account_id == caller.id):
            raise NotEnabled
        directory, _ = home
        account, _ = await self._in(directory, account_id, (caller, version), now)
        return account, directory

    async def members(
        self, manager_id: str, now: datetime
    ) -> tuple[ResourceDirectory, Sequence[Account]]:
        """The directory and its members, in the order they joined. Raises NotEnabled."""
        _, _, directory, _ = await self._managed(manager_id, now)
        marks = await self._accounts.store.records(_marks(directory), now)
        members = []
        for place, mark in enumerate(marks):
            members.append(await self._accounts.account(mark.key, now))
            if not place % _BREATH:
                await asyncio.sleep(0)  # looks are done here and now: others have their turns
        return directory, sorted(members, key=lambda one: (one.joined_at or one.created_at, one.id))

    async def may_enable(self, account_id: str, now: datetime) -> Account:
        """Who may have a directory of its own. Raises AlreadyEnabled, InAnotherDirectory."""
        return (await self._free(account_id, now))[0]

    async def may_bind(self, caller_id: str, member_id: str, now: datetime) -> Account:
        """Whose phone the caller may bind. One in another directory is told first, whatever the
        caller is (contract, section 9). Raises InAnotherDirectory, NotEnabled, AccountUnknown,
        AlreadyEnabled."""
        caller, version = await self._accounts.records.get(caller_id, now)
        found = await self._find(member_id, (caller, version), now)
        if found and found[0].directory_id not in ("", caller.directory_id):
            raise InAnotherDirectory
        if not caller.manages:
            raise NotEnabled
        if found is None:
            raise AccountUnknown
        member, _ = found
        if member.manages:
            raise AlreadyEnabled
        if not member.is_resource:
            raise InAnotherDirectory
        return member

    # Used codes

    async def prepare_enabling(
        self, account_id: str, name: str, phone: Destination, spelled: str, now: datetime
    ) -> Prepared:
        """Work out a new account of this name and phone, which manages a new directory that the
        caller is a member of; write nothing yet. Raises NameMalformed, and as `may_enable`.

        RecordConflict names accounts.NAME where the name is another's, which is told to nobody who
        lacks the right code; after any other prepare again.
        """
        naming.refuse_as_managers(name)
        caller, version = await self._free(account_id, now)
        manager_id = new_id()
        directory = _drawn(manager_id, now, members=1)
        manager = self._accounts.with_phone(
            Account(
                id=manager_id,
                name=name,
                created_at=now,
                app_id=caller.app_id,
                directory_id=directory.id,
                manages=True,
                joined_at=now,
                modified_at=now,
            ),
            phone,
            spelled,
        )
        member = _changed(caller, now, directory_id=directory.id, joined_at=now, invited=True)
        writes = (
            self._accounts.records.put(member, version),
            *added(manager),
            self._records.put(directory),
            _mark(directory, member),
        )
        return Prepared(directory=directory, account=manager, writes=writes)

    async def prepare_binding(
        self, caller_id: str, member_id: str, phone: Destination, spelled: str, now: datetime
    ) -> Prepared:
        """Work out a first phone for a member; write nothing yet. After RecordConflict prepare
        again. Raises CallerIsNoManager, AccountUnknown, InAnotherDirectory, AlreadyEnabled,
        TypeMismatch, PhoneBound."""
        try:
            caller, at, directory, _ = await self._managed(caller_id, now)
        except NotEnabled:
            raise CallerIsNoManager from None
        found = await self._find(member_id, (caller, at), now)
        if found is None:
            raise AccountUnknown
        member, version = found
        if member.directory_id != directory.id:
            raise InAnotherDirectory
        if member.manages:
            raise AlreadyEnabled
        if not member.is_resource:
            raise TypeMismatch
        if member.has_phone:
            raise PhoneBound
        bound = self._accounts.with_phone(_changed(member, now), phone, spelled)
        writes = (self._accounts.records.put(bound, version),)
        return Prepared(directory=directory, account=bound, writes=writes)

    # What needs no code

    async def enable(self, account_id: str, now: datetime) -> tuple[ResourceDirectory, Account]:
        """Give an account a directory that it manages itself. Raises as `may_enable`."""

        async def prepare() -> Prepared:
            account, version = await self._free(account_id, now)
            directory = _drawn(account.id, now)
            manager = _changed(account, now, directory_id=directory.id, manages=True, joined_at=now)
            writes = (
                self._accounts.records.put(manager, version),
                self._records.put(directory),
            )
            return Prepared(directory=directory, account=manager, writes=writes)

        enabled = await self._act(prepare, now)
        return enabled.directory, enabled.account

    async def destroy(self, account_id: str, now: datetime) -> None:
        """End the directory that an account manages. Raises NotEnabled, MembersExist."""

        async def prepare() -> Prepared:
            account, version, directory, at = await self._managed(account_id, now)
            if directory.members:
                raise MembersExist
            left = _changed(
                account, now, directory_id="", manages=False, joined_at=None, display_name=""
            )
            writes = (
                self._accounts.records.put(left, version),
                self._records.removed(directory, at),
                *_renamed(directory, account, left),
            )
            return Prepared(directory=directory, account=left, writes=writes)

        await self._act(prepare, now)

    async def create_member(
        self,
        manager_id: str,
        display_name: str,
        prefix: str,
        parent_folder_id: str,
        tags: tuple[tuple[str, str], ...],
        now: datetime,
        *,
        dry_run: bool = False,
    ) -> Prepared:
        """Add a resource account to the directory that an account manages; the prefix of its name
        is drawn where it is empty. Raises NotEnabled, DisplayNameMalformed, AccountNameMalformed,
        FolderMalformed, FolderUnknown, TooManyMembers, AccountNameTaken, DisplayNameTaken."""
        wish = _Wish(
            display_name=display_name, prefix=prefix, folder_id=parent_folder_id, tags=tags
        )

        async def prepare() -> Prepared:
            return await self._prepare_member(manager_id, wish, now)

        return await self._act(prepare, now, dry_run)

    async def rename(
        self,
        manager_id: str,
        account_id: str,
        display_name: str,
        now: datetime,
        *,
        dry_run: bool = False,
    ) -> Prepared:
        """Change a display name. Raises NotEnabled, CallerIsNoManager, AccountUnknown,
        DisplayNameMalformed, DisplayNameTaken."""

        async def prepare() -> Prepared:
            directory, account, version = await self._governed(manager_id, account_id, now)
            naming.refuse_as_display_name(display_name)
            changed = _changed(account, now, display_name=display_name)
            writes = (
                self._accounts.records.put(changed, version),
                *_renamed(directory, account, changed),
            )
            return Prepared(directory=directory, account=changed, writes=writes)

        return await self._act(prepare, now, dry_run)

    async def switch(
        self,
        manager_id: str,
        account_id: str,
        to_resource: bool,
        now: datetime,
        *,
        has_keys: Callable[[], Awaitable[bool]],
        dry_run: bool = False,
    ) -> Prepared:
        """Make a member a resource account or a cloud account; `has_keys` is asked where it
        matters. Raises NotEnabled, CallerIsNoManager, AccountUnknown, TypeMismatch, PhoneMissing,
        KeyInUse."""

        async def prepare() -> Prepared:
            directory, account, version = await self._governed(manager_id, account_id, now)
            if account.manages or account.is_resource is to_resource:
                raise TypeMismatch
            if not to_resource and not account.has_phone:
                raise PhoneMissing
            if to_resource and await has_keys():
                raise KeyInUse
            changed = _changed(account, now, is_resource=to_resource)
            writes = (self._accounts.records.put(changed, version),)
            return Prepared(directory=directory, account=changed, writes=writes)

        return await self._act(prepare, now, dry_run)

    async def _prepare_member(self, manager_id: str, wish: _Wish, now: datetime) -> Prepared:
        manager, _, directory, version = await self._managed(manager_id, now)
        prefix = wish.prefix or naming.drawn(16)
        naming.refuse_as_display_name(wish.display_name)
        naming.refuse_as_prefix(prefix)
        if wish.folder_id:
            naming.refuse_as_folder(wish.folder_id)
        if wish.folder_id not in ("", directory.root_folder_id):
            raise FolderUnknown
        if directory.members >= self._most_members:
            raise TooManyMembers
        grown = msgspec.structs.replace(directory, members=directory.members + 1)
        member = Account(
            id=new_id(),
            name=f"{prefix}@{directory.id}.aliyunid.com",
            created_at=now,
            app_id=manager.app_id,
            is_resource=True,
            display_name=wish.display_name,
            directory_id=directory.id,
            joined_at=now,
            modified_at=now,
            tags=wish.tags,
        )
        writes = (
            self._records.put(grown, version),
            *added(member),
            claim(DISPLAY_NAME, _within(directory, member.display_name), member.id),
            _mark(directory, member),
        )
        return Prepared(directory=grown, account=member, writes=writes)

    async def _act(
        self, prepare: Callable[[], Awaitable[Prepared]], now: datetime, dry_run: bool = False
    ) -> Prepared:
        """Do what is prepared, in one act; where something came in between, prepare it anew."""
        while True:
            prepared = await prepare()
            try:
                if dry_run:
                    await rehearse(self._accounts.store, prepared.writes, now)
                else:
                    await self._accounts.apply(prepared.writes, now)
            except RecordConflict as conflict:
                if taken := _TAKEN.get(conflict.kind):
                    raise taken from None
                continue
            return prepared

    async def _home(self, account: Account, now: datetime) -> tuple[ResourceDirectory, int] | None:
        """The directory an account is in. None where there is none, or one has just ended."""
        if not account.directory_id:
            return None
        return await self._records.find(account.directory_id, now)

    async def _free(self, account_id: str, now: datetime) -> tuple[Account, int]:
        """An account in no directory. Raises AlreadyEnabled, InAnotherDirectory."""
        account, version = await self._accounts.records.get(account_id, now)
        if account.manages:
            raise AlreadyEnabled
        if account.directory_id:
            raise InAnotherDirectory
        return account, version

    async def _managed(
        self, account_id: str, now: datetime
    ) -> tuple[Account, int, ResourceDirectory, int]:
        """A manager and its directory, each with its version. Raises NotEnabled."""
        account, version = await self._accounts.records.get(account_id, now)
        home = await self._home(account, now)
        if home is None or not account.manages:
            raise NotEnabled
        return account, version, *home

    async def _governed(
        self, manager_id: str, account_id: str, now: datetime
    ) -> tuple[ResourceDirectory, Account, int]:
        """The directory of a manager, and an account in it with its version. Raises NotEnabled,
        CallerIsNoManager, AccountUnknown."""
        caller, version = await self._accounts.records.get(manager_id, now)
        home = await self._home(caller, now)
        if home is None:
            raise NotEnabled
        if not caller.manages:
            raise CallerIsNoManager
        directory, _ = home
        return directory, *await self._in(directory, account_id, (caller, version), now)

    async def _find(
        self, account_id: str, known: tuple[Account, int], now: datetime
    ) -> tuple[Account, int] | None:
        """An account, which may be the one that is known: read twice, it could be at odds with
        itself."""
        if account_id == known[0].id:
            return known
        return await self._accounts.records.find(account_id, now)

    async def _in(
        self,
        directory: ResourceDirectory,
        account_id: str,
        known: tuple[Account, int],
        now: datetime,
    ) -> tuple[Account, int]:
        """Raises AccountUnknown for an account that is elsewhere or nowhere."""
        found = await self._find(account_id, known, now)
        if found is None or found[0].directory_id != directory.id:
            raise AccountUnknown
        return found


def _drawn(manager_id: str, now: datetime, members: int = 0) -> ResourceDirectory:
    return ResourceDirectory(
        id=f"rd-{naming.drawn(10)}",
        manager_id=manager_id,
        root_folder_id=f"r-{naming.drawn(6)}",
        created_at=now,
        members=members,
    )


def _changed(account: Account, now: datetime, **changes: object) -> Account:
    return msgspec.structs.replace(account, modified_at=now, **changes)


def _renamed(directory: ResourceDirectory, before: Account, after: Account) -> list[Write]:
    """What moves the claim on a display name, in one act with the change of its account."""
    old, new = (_within(directory, one.display_name) for one in (before, after))
    if old == new:
        return []
    left = [release(DISPLAY_NAME, old)] if before.display_name else []
    return [*left, claim(DISPLAY_NAME, new, after.id)] if after.display_name else left


def _within(directory: ResourceDirectory, display_name: str) -> str:
    return f"{directory.id}:{folded(display_name)}"


def _mark(directory: ResourceDirectory, member: Account) -> Write:
    return claim(_marks(directory), member.id, member.id)


def _marks(directory: ResourceDirectory) -> str:
    """A kind of its own for each directory, under which its members can be listed."""
    return f"aliyun_member_{directory.id}"
