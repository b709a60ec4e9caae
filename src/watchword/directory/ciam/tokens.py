"""Tokens: what a log-in gives. A session token is a random text; an id_token is a signed JWT, which
anybody can check against the keys that we publish."""

from __future__ import annotations

import asyncio
import base64
import secrets
from contextlib import suppress
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from watchword.directory.ciam.clients import Client
from watchword.directory.ciam.users import User
from watchword.domain.keys import KeyRing
from watchword.errors import AccessDenied, RecordConflict
from watchword.ports import RecordStore, Write

if TYPE_CHECKING:
    from jwt.types import Options

TTL = timedelta(seconds=432_000)
"""Contract, section 5: `expire`."""

_SIGNING_KEY, _ONLY = "ciam_signing_key", "1"
_BITS, _EXPONENT = 2048, 65537
_ALGORITHM = "RS256"
_LONGEST = 4096
# PyJWT would ask this machine's clock.
_OURS_TO_JUDGE: Options = {
    "require": ["iss", "aud"],
    "verify_exp": False,
    "verify_iat": False,
    "verify_nbf": False,
}
_MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00Z")


class IdTokenInvalid(AccessDenied):
    """The id_token is invalid or expired."""


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """What an id_token says. `sub` is a user's id, `sid` the digest of a session token; `since` is
    that of the user when it was issued, in microseconds of Unix time."""

    sub: str
    sid: str
    iat: int
    exp: int
    auth_time: int
    since: int

    def is_of(self, user: User) -> bool:
        """Whether it holds for this user still: a change of the password ends those issued before,
        however little before. Seconds, as `iat` has them, could not tell."""
        return self.sub == user.id and self.since == _microseconds(user.since)


class _Key(msgspec.Struct, frozen=True):
    private: rsa.RSAPrivateKey
    public: rsa.RSAPublicKey
    shown: dict[str, str]

    @property
    def id(self) -> str:
        return self.shown["kid"]


class Tokens:
    """Makes tokens and reads them, in every process under the one signing key of the store."""

    def __init__(self, store: RecordStore, keys: KeyRing, issuer: str) -> None:
        self._store, self._keys, self._issuer = store, keys, issuer
        self._key: _Key | None = None
        self._making: asyncio.Task[_Key] | None = None

    def new_session_token(self) -> str:
        return secrets.token_urlsafe(32)

    async def ready(self, now: datetime) -> None:
        """Have the key at hand: no code is to be burnt for a token that cannot be made. Raises
        StoreUnavailable, KeyUnknown."""
        await self._signing(now)

    async def id_token(self, client: Client, user: User, session_token: str, now: datetime) -> str:
        """Tell a client who has logged in."""
        key, seconds = await self._signing(now), int(now.timestamp())
        claims = {
            "iss": self._issuer,
            "sub": user.id,
            "aud": client.id,
            "iat": seconds,
            "exp": seconds + int(TTL.total_seconds()),
            "auth_time": seconds,
            "sid": sha256(session_token.encode()).hexdigest(),
            "since": _microseconds(user.since),
        }
        import jwt  # no command waits for what it does not use

        return jwt.encode(claims, key.private, _ALGORITHM, headers={"kid": key.id})

    async def read(self, id_token: str | None, client_id: str, now: datetime) -> Claims:
        """What a token says that was issued to this client. Whoever has the user asks whether it
        `is_of` them. Raises IdTokenInvalid."""
        if not isinstance(id_token, str) or len(id_token) > _LONGEST or not id_token.isascii():
            raise IdTokenInvalid
        claims = self._read(id_token, client_id, await self._signing(now))
        if not now.timestamp() < claims.exp:
            raise IdTokenInvalid
        return claims

    async def jwks(self, now: datetime) -> dict[str, Any]:
        """The keys to check with (RFC 7517, section 5)."""
        return {"keys": [dict((await self._signing(now)).shown)]}

    def _read(self, id_token: str, client_id: str, key: _Key) -> Claims:
        import jwt

        try:
            said = jwt.decode(
                id_token,
                key.public,
                algorithms=[_ALGORITHM],
                audience=client_id,
                issuer=self._issuer,
                options=_OURS_TO_JUDGE,
            )
            return msgspec.convert(said, Claims)
        except (jwt.PyJWTError, msgspec.ValidationError, ValueError, TypeError, RecursionError):
            raise IdTokenInvalid from None

    async def _signing(self, now: datetime) -> _Key:
        """Whoever waits shares one try, and its failure: a store that hangs keeps each once."""
        if self._key is None:
            if self._making is None or self._making.done():
                self._making = asyncio.create_task(self._kept_or_made(now))
                self._making.add_done_callback(_seen)
            self._key = await asyncio.shield(self._making)
        return self._key

    async def _kept_or_made(self, now: datetime) -> _Key:
        """The store's, which the first of all processes has made."""
        sealed = await self._kept(now)
        if sealed is None:
            made = self._keys.seal(await asyncio.to_thread(_generated), _SIGNING_KEY.encode())
            with suppress(RecordConflict):
                write = Write(kind=_SIGNING_KEY, key=_ONLY, version=0, body=made)
                await self._store.write([write], now)
            sealed = await self._kept(now)
        plain = self._keys.unseal(sealed or b"", _SIGNING_KEY.encode())
        return await asyncio.to_thread(_loaded, plain)

    async def _kept(self, now: datetime) -> bytes | None:
        record = await self._store.record(_SIGNING_KEY, _ONLY, now)
        return record.body if record else None


def _seen(task: asyncio.Task[_Key]) -> None:
    """Whoever waited may be gone by now."""
    if not task.cancelled():
        task.exception()


def _generated() -> bytes:
    """A new key: a tenth of a second of work, or several."""
    private = rsa.generate_private_key(public_exponent=_EXPONENT, key_size=_BITS)
    return private.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _loaded(plain: bytes) -> _Key:
    """The key, its primes tested: a twentieth of a second. To sign takes half a millisecond, to
    read less, so neither leaves the event loop."""
    private = serialization.load_der_private_key(plain, password=None)
    if not isinstance(private, rsa.RSAPrivateKey):
        raise TypeError("The signing key is no RSA key.")
    public = private.public_key()
    return _Key(private, public, _shown(public))


def _shown(public: rsa.RSAPublicKey) -> dict[str, str]:
    """The key as JWK; its id is its thumbprint (RFC 7638)."""
    from jwt.algorithms import RSAAlgorithm

    known = RSAAlgorithm.to_jwk(public, as_dict=True)
    parts = {name: known[name] for name in ("e", "kty", "n")}
    digest = sha256(msgspec.json.encode(parts, order="sorted")).digest()
    kid = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    return {**parts, "use": "sig", "alg": _ALGORITHM, "kid": kid}


def _microseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // _MICROSECOND
