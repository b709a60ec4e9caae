"""Access keys: an AK says who signs, and an SK that only the signer and we know proves it."""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Generic, TypeVar

import msgspec

from watchword.directory.fresh import Fresh
from watchword.directory.records import Records
from watchword.domain.keys import KeyRing
from watchword.errors import ConfigInvalid, KeyUnknown, RecordConflict, RequestInvalid
from watchword.ports import Write

_AK = re.compile(r"[!-+\--~]{1,128}")
"""A comma would end it where it is written in a header."""
_SK = re.compile(r"[!-~]{16,128}")
"""Shorter, and whoever signs often enough guesses it: nothing locks a key for good."""


class AccessKey(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The key AK of an account. Its secret SK is sealed under the AK. A temporary key has an end,
    and comes with a security token, of which `security_token` is the SHA-256 digest."""

    id: str
    account_id: str
    secret: bytes
    created_at: datetime
    security_token: bytes = b""
    expires_at: datetime | None = None
    note: str = ""

    @property
    def is_temporary(self) -> bool:
        return self.expires_at is not None

    def has_expired(self, now: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= now


K = TypeVar("K", bound=AccessKey)
C = TypeVar("C")


class Signing(msgspec.Struct, Generic[K, C], frozen=True):
    """What proves a signature: the key, the secret that it hides, and who speaks with it."""

    key: K
    secret: bytes
    caller: C

    def __repr__(self) -> str:
        return f"Signing(key={self.key.id!r}, secret=***)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("key", self.key.id)]


class AccessKeys(Generic[K]):
    """The keys of a dialect. A change is seen by every process within a second.

    `write` applies what adds or revokes a key, where more has to change in the same act.
    """

    def __init__(
        self,
        records: Records[K],
        ring: KeyRing,
        write: Callable[[K, Write, datetime], Awaitable[None]] | None = None,
    ) -> None:
        self._records, self._ring = records, ring
        self._write = write or self._write_alone
        self._opened: Fresh[tuple[K, bytes]] = Fresh()

    async def create(
        self,
        make: Callable[..., K],
        pair: tuple[str, str],
        now: datetime,
        *,
        ttl: timedelta | None = None,
        note: str = "",
    ) -> tuple[K, str, str]:
        """Add the key that is made of this pair of AK and SK; the security token ("" without
        `ttl`) is shown by this answer alone. Raises RequestInvalid."""
        ak, sk = pair
        if not _AK.fullmatch(ak) or not _SK.fullmatch(sk):
            raise RequestInvalid(
                "An AK has 1 to 128 visible characters, an SK 16 to 128.", field="/ak"
            )
        security_token = secrets.token_urlsafe(96) if ttl else ""
        key = make(
            id=ak,
            secret=self._ring.seal(sk.encode(), ak.encode()),
            created_at=now,
            security_token=sha256(security_token.encode()).digest() if ttl else b"",
            expires_at=now + ttl if ttl else None,
            note=note,
        )
        try:
            await self._write(key, self._records.put(key), now)
        except RecordConflict:
            raise RequestInvalid(
                "This access key is here already: revoke it before it has another owner or secret.",
                field="/ak",
            ) from None
        return key, sk, security_token

    async def revoke(self, ak: str, now: datetime) -> None:
        """End a key. Raises AccessDenied when there is none."""
        while True:
            key, version = await self._records.get(ak, now)
            try:
                await self._write(key, self._records.removed(key, version), now)
            except RecordConflict:  # another changed or revoked it meanwhile
                continue
            self._opened.clear()
            return

    async def change(self, ak: str, change: Callable[[K], K], now: datetime) -> K:
        """Raises AccessDenied when there is none."""
        changed = await self._records.change(ak, change, now)
        self._opened.clear()
        return changed

    async def all(self, now: datetime) -> Sequence[K]:
        return await self._records.all(now)

    async def key(self, ak: str, now: datetime) -> K:
        """As of now. Raises AccessDenied when there is none."""
        return (await self._records.get(ak, now))[0]

    async def opened(self, ak: str, now: datetime) -> tuple[K, bytes]:
        """The key and its secret, as of the last second. Raises AccessDenied, ConfigInvalid."""
        return self._opened.get(ak, now) or await self.opened_anew(ak, now)

    async def opened_anew(self, ak: str, now: datetime) -> tuple[K, bytes]:
        """As of now."""
        key = await self.key(ak, now)
        try:
            secret = self._ring.unseal(key.secret, ak.encode())
        except KeyUnknown:
            mistake = f"keys.path: the secret of access key {ak} does not open with this key ring."
            raise ConfigInvalid([mistake]) from None
        return self._opened.keep(ak, (key, secret), now)

    async def _write_alone(self, key: K, write: Write, now: datetime) -> None:
        await self._records.store.write([write], now)


def random(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))
