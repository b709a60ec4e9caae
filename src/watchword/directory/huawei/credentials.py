"""Credentials: access keys that sign, passwords that log in, and the tokens that either gives."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from hashlib import sha256
from hmac import compare_digest
from string import ascii_letters, ascii_uppercase, digits

import msgspec

from watchword.directory import access_keys, passwords
from watchword.directory.access_keys import AccessKeys, random
from watchword.directory.fresh import Fresh
from watchword.directory.huawei.accounts import Accounts, Caller, User
from watchword.directory.names import folded
from watchword.directory.records import Records
from watchword.domain.quota import Scope
from watchword.errors import AccessDenied, QuotaExceeded
from watchword.ports import Write
from watchword.service.guard import Guard
from watchword.service.house import House

TOKEN_TTL = timedelta(hours=24)
"""Contract, section 3."""
WRONG_SIGNATURES, LOCKED_FOR = 6, timedelta(minutes=5)
"""Contract, section 4: over 5 in a row."""
WRONG_PASSWORDS, PASSWORD_WINDOW = 10, timedelta(minutes=15)
"""DESIGN, section 3."""

_LETTERS = ascii_letters + digits
_KEY, _TOKEN = "huawei_key", "huawei_token"
_WRONG = "The user name or password is wrong."


class AccessKey(access_keys.AccessKey, frozen=True, kw_only=True, omit_defaults=True):
    """The key of a user of an account."""

    user_id: str


class Signing(access_keys.Signing[AccessKey, Caller], frozen=True):
    """What proves a signature of a user."""


class _Token(msgspec.Struct, frozen=True, kw_only=True):
    """A token as it is kept, under its digest."""

    user_id: str
    epoch: int
    expires_at: datetime

    def is_of(self, user: User) -> bool:
        return not user.disabled and user.epoch == self.epoch


class _Failed(msgspec.Struct, frozen=True):
    """Whether any signature was wrong of late, and until when no more may be."""

    any: bool = False
    until: datetime | None = None


class Credentials:
    """Makes and proves them. A revocation is seen by every process within a second.

    `lock_by_network` locks an access key for the network that the wrong signatures come from, else
    for everyone, as the vendor does.
    """

    def __init__(self, accounts: Accounts, house: House, *, lock_by_network: bool = True) -> None:
        self._accounts, self._store = accounts, house.store
        self._lock_by_network = lock_by_network
        self._signatures = Guard(house, "access_key", WRONG_SIGNATURES, LOCKED_FOR)
        self._passwords = Guard(house, "password", WRONG_PASSWORDS, PASSWORD_WINDOW)
        kept = Records(house.store, _KEY, AccessKey, "access key", _ends_at)
        self._keys = AccessKeys(kept, house.keys, self._write)
        self._tokens: Fresh[_Token] = Fresh()
        self._failed: Fresh[_Failed] = Fresh()

    async def create_key(
        self,
        user_id: str,
        now: datetime,
        *,
        ttl: timedelta | None = None,
        note: str = "",
        pair: tuple[str, str] | None = None,
    ) -> tuple[AccessKey, str, str]:
        """Make a key, or take on the `pair` of AK and SK that programs sign with already; the SK
        and the security token ("" without `ttl`) are shown by this answer alone.

        A lasting key ends the user's tokens, a temporary one does not. Raises AccessDenied when
        there is no such user, RequestInvalid for a pair that cannot be taken on.
        """
        user = await self._accounts.user(user_id, now)
        make = partial(AccessKey, user_id=user.id, account_id=user.account_id)
        drawn = random(ascii_uppercase + digits, 20), random(_LETTERS, 40)
        return await self._keys.create(make, pair or drawn, now, ttl=ttl, note=note)

    async def revoke_key(self, ak: str, now: datetime) -> None:
        """End a key, and with a lasting one the user's tokens. Raises AccessDenied."""
        await self._keys.revoke(ak, now)

    async def keys(self, now: datetime) -> Sequence[AccessKey]:
        return await self._keys.all(now)

    async def signing(self, ak: str, now: datetime) -> Signing:
        """What a signature with this key has to prove, a disabled user's too. Raises AccessDenied
        for a key that is unknown, revoked or over."""
        key, secret = await self._keys.opened(ak, now)
        if key.has_expired(now):
            raise AccessDenied(f"The access key '{ak}' has expired.")
        return Signing(key, secret, await self._accounts.caller(key.user_id, now))

    async def refuse_if_locked(self, ak: str, network: str, now: datetime) -> None:
        """Raises QuotaExceeded while no more signatures may be wrong.

        The store is asked at most once a second; what fails here is known here at once.
        """
        where = self._lock(ak, network)
        if (failed := self._failed.get(where, now)) is None:
            looked = await self._look(where, now)
            # A signature that failed during the look knows more than it.
            failed = self._failed.get(where, now) or self._failed.keep(where, looked, now)
        if failed.until and now < failed.until:
            raise QuotaExceeded(
                scope=Scope.CREDENTIAL,
                retry_in=failed.until - now,
                amount=WRONG_SIGNATURES,
                window=LOCKED_FOR,
            )

    async def failed(self, ak: str, network: str, now: datetime) -> None:
        """Count a wrong signature. Raises QuotaExceeded when no more may be wrong."""
        where = self._lock(ak, network)
        await self._signatures.count(*where, now)
        self._failed.keep(where, await self._look(where, now), now)

    async def succeeded(self, ak: str, network: str, now: datetime) -> None:
        """Forget the wrong signatures that `refuse_if_locked` saw: only those in a row count.

        Raises QuotaExceeded when another process has seen too many meanwhile.
        """
        where = self._lock(ak, network)
        failed = self._failed.get(where, now)
        if failed and failed.any:
            await self._signatures.look(*where, now)
            await self._signatures.clear(*where, now)
            self._failed.keep(where, _Failed(), now)

    async def log_in(
        self,
        *,
        user_id: str = "",
        user_name: str = "",
        account_name: str = "",
        account_id: str = "",
        password: str,
        network: str,
        now: datetime,
    ) -> Caller:
        """Prove a user by its password: one named by its id, or by its name and its account.

        Raises QuotaExceeded, and AccessDenied; an unknown or disabled user costs, reads and is
        counted the same as a wrong password.
        """
        user, whose = await self._named(user_id, user_name, account_name, account_id, now)
        async with passwords.turn(network):
            await self._passwords.count(whose, network, now)
            kept = user.password if user and not user.disabled else None
            if not await passwords.is_right(kept, password) or user is None:
                raise AccessDenied(_WRONG)
            await self._passwords.clear(whose, network, now)
        return await self._accounts.caller_as(user, now)

    async def log_in_by_key(self, ak: str, secret: str, network: str, now: datetime) -> Caller:
        """Prove a user by a lasting key and its secret, under the same lock as signatures.

        Raises QuotaExceeded, AccessDenied.
        """
        key, kept = await self._keys.opened_anew(ak, now)
        await self.refuse_if_locked(ak, network, now)
        if not compare_digest(kept, secret.encode("utf-8", "surrogatepass")):
            await self.failed(ak, network, now)
            raise AccessDenied
        await self.succeeded(ak, network, now)
        user = await self._accounts.user(key.user_id, now)
        # The user first, then the key once more: were it revoked in between, its tokens' epoch
        # would be over, and a token of this log-in must not have the next one.
        await self._keys.key(ak, now)
        if key.is_temporary or user.disabled:
            raise AccessDenied
        return await self._accounts.caller_as(user, now)

    async def issue_token(self, caller: Caller, now: datetime) -> tuple[str, datetime]:
        """A token for whoever was proven, beside those it has, and when it ends."""
        token, expires_at = secrets.token_urlsafe(48), now + TOKEN_TTL
        kept = _Token(user_id=caller.user.id, epoch=caller.user.epoch, expires_at=expires_at)
        write = Write(
            kind=_TOKEN,
            key=_digest(token),
            version=0,
            body=msgspec.json.encode(kept),
            expires_at=expires_at,
        )
        await self._store.write([write], now)
        return token, expires_at

    async def bearer(self, token: str, now: datetime) -> Caller:
        """Say whose token this is. Raises AccessDenied when it is unknown or has ended, as it does
        when the user's password or keys change or the user is disabled."""
        digest = _digest(token)
        kept = self._tokens.get(digest, now) or await self._token(digest, now)
        if kept.expires_at <= now:
            raise AccessDenied
        # Before it is refused, a token newer than what we remember of its user is looked up.
        for look in (self._accounts.caller, self._accounts.caller_anew):
            caller = await look(kept.user_id, now)
            if kept.is_of(caller.user):
                return caller
        raise AccessDenied

    async def _write(self, key: AccessKey, write: Write, now: datetime) -> None:
        """Change a key. Tokens end with any change of a lasting one (contract, section 3)."""
        if key.is_temporary:
            await self._store.write([write], now)
        else:
            await self._accounts.end_tokens(key.user_id, now, also=[write])

    async def _token(self, digest: str, now: datetime) -> _Token:
        record = await self._store.record(_TOKEN, digest, now)
        if record is None:
            raise AccessDenied
        return self._tokens.keep(digest, msgspec.json.decode(record.body, type=_Token), now)

    def _lock(self, ak: str, network: str) -> tuple[str, str]:
        return ak, network if self._lock_by_network else ""

    async def _look(self, where: tuple[str, str], now: datetime) -> _Failed:
        try:
            return _Failed(await self._signatures.look(*where, now))
        except QuotaExceeded as locked:
            return _Failed(any=True, until=now + locked.retry_in)

    async def _named(
        self, user_id: str, user_name: str, account_name: str, account_id: str, now: datetime
    ) -> tuple[User | None, str]:
        """Who is meant, and under what guesses are counted: however somebody is named, and whether
        or not there is such a user, the same person has the same count."""
        if user_id:
            try:
                known = await self._accounts.user(user_id, now)
            except AccessDenied:
                return None, user_id
            return known, _count_of(known.account_id, known.name)
        if not account_id and (account := await self._accounts.by_name(account_name, now)):
            account_id = account.id
        user = await self._accounts.user_of(account_id, user_name, now) if account_id else None
        return user, _count_of(account_id or folded(account_name), user_name)


def _count_of(account: str, user_name: str) -> str:
    return f"{account}\n{folded(user_name)}"


def _digest(token: str) -> str:
    """A token has 384 random bits: a plain digest of it tells nothing."""
    return sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _ends_at(key: AccessKey) -> datetime | None:
    return key.expires_at
