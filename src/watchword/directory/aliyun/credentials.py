"""Credentials: the access keys that sign for an account, and what a signature may not do twice."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from hashlib import sha256
from string import ascii_letters, digits

from msgspec.structs import replace

from watchword.directory import access_keys
from watchword.directory.access_keys import AccessKeys, random
from watchword.directory.aliyun.accounts import Accounts, Caller
from watchword.directory.records import Records
from watchword.domain.quota import Demand, Meter, Quota, demand, meters
from watchword.errors import AccessDenied, RecordConflict
from watchword.ports import Write
from watchword.service.house import House

EXPIRED_KEPT = timedelta(days=1)
"""How long a temporary key is told to have expired; afterwards it is unknown."""

_LETTERS = ascii_letters + digits
_KEY, _NONCE = "aliyun_key", "aliyun_nonce"


class AccessKey(access_keys.AccessKey, frozen=True, kw_only=True, omit_defaults=True):
    """The key of an account."""

    disabled: bool = False


class Signing(access_keys.Signing[AccessKey, Caller], frozen=True):
    """What proves a signature of an account."""


class NonceUsed(AccessDenied):
    """Specified signature nonce was used already."""


class Credentials:
    """Makes and proves keys. A change is seen by every process within a second.

    `rate` is how many requests may come with one key; nothing is counted where it is empty.
    """

    def __init__(self, accounts: Accounts, house: House, rate: Sequence[Quota] = ()) -> None:
        self._accounts, self._store, self._ring = accounts, house.store, house.keys
        self._meters = meters(rate)
        kept = Records(house.store, _KEY, AccessKey, "access key", _forget_at)
        self._keys = AccessKeys(kept, house.keys)

    async def create_key(
        self,
        account_id: str,
        now: datetime,
        *,
        ttl: timedelta | None = None,
        note: str = "",
        pair: tuple[str, str] | None = None,
    ) -> tuple[AccessKey, str, str]:
        """Make a key, or take on the `pair` of AK and SK that programs sign with already; the SK
        and the security token ("" without `ttl`) are shown by this answer alone.

        Raises AccessDenied when there is no such account, RequestInvalid for a pair that cannot be
        taken on.
        """
        account = await self._accounts.account(account_id, now)
        prefix = "STS." if ttl else "LTAI"
        drawn = prefix + random(_LETTERS, 20), random(_LETTERS, 30)
        make = partial(AccessKey, account_id=account.id)
        return await self._keys.create(make, pair or drawn, now, ttl=ttl, note=note)

    async def revoke_key(self, ak: str, now: datetime) -> None:
        """Raises AccessDenied when there is none; so do `disable_key` and `enable_key`."""
        await self._keys.revoke(ak, now)

    async def disable_key(self, ak: str, now: datetime) -> AccessKey:
        return await self._keys.change(ak, partial(replace, disabled=True), now)

    async def enable_key(self, ak: str, now: datetime) -> AccessKey:
        return await self._keys.change(ak, partial(replace, disabled=False), now)

    async def keys(self, now: datetime) -> Sequence[AccessKey]:
        """All that are known, those that expired of late among them."""
        return await self._keys.all(now)

    async def signing(self, ak: str, now: datetime) -> Signing:
        """What a signature with this key has to prove, though the key be disabled or over. Raises
        AccessDenied for one that is unknown or revoked."""
        key, secret = await self._keys.opened(ak, now)
        return Signing(key, secret, await self._accounts.caller(key.account_id, now))

    async def claim_nonce(self, ak: str, nonce: str, now: datetime, until: datetime) -> None:
        """Take a nonce of a key's, for good until then. Raises NonceUsed."""
        claim = Write(kind=_NONCE, key=_digest(ak, nonce), version=0, body=b"", expires_at=until)
        try:
            await self._store.write([claim], now)
        except RecordConflict:
            raise NonceUsed from None

    async def refuse_over_rate(self, ak: str, now: datetime) -> None:
        """Raises QuotaExceeded when this key has made too many requests. Writes nothing."""
        if self._meters:
            await self._store.spent([self._demand(meter, ak, now) for meter in self._meters], now)

    async def spend_rate(self, ak: str, now: datetime) -> None:
        """Count a request. Raises QuotaExceeded when this key has made too many."""
        if self._meters:
            await self._store.spend([self._demand(meter, ak, now) for meter in self._meters], now)

    def _demand(self, meter: Meter, ak: str, now: datetime) -> Demand:
        key = ak.encode("utf-8", "surrogatepass")
        return demand(meter, self._ring.index("aliyun_rate", key, meter.calendar), now)


def _forget_at(key: AccessKey) -> datetime | None:
    return key.expires_at + EXPIRED_KEPT if key.expires_at else None


def _digest(ak: str, nonce: str) -> str:
    """The length keeps a key and a nonce from reading like another two."""
    framed = f"{len(ak)}:{ak}{nonce}"
    return sha256(framed.encode("utf-8", "surrogatepass")).hexdigest()[:32]
