"""Tokens: what a log-in gives. A session token is a random text; an id_token is a signed JWT, which
anybody can check against the keys that we publish. Where the signing key is replaced, the one
before stays among those until the last token that it signed has ended (OpenID Connect Core 10.1.1).
"""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from watchword.directory.ciam.clients import Client
from watchword.directory.ciam.users import User
from watchword.directory.fresh import Fresh
from watchword.domain.keys import KeyRing, sealed_under
from watchword.errors import AccessDenied, KeyUnknown, RecordConflict
from watchword.ports import Record, RecordStore, Write

if TYPE_CHECKING:
    from jwt.types import Options

TTL = timedelta(seconds=432_000)
"""Contract, section 5: `expire`."""

SIGNING_KEY = "ciam_signing_key"
"""The kind of their records, each a number and a seal: the highest signs."""
_LAST_SIGNED = timedelta(minutes=1)
"""How much longer than its successor is there a process may sign with a key."""
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


class _Ring(msgspec.Struct, frozen=True):
    """The signing keys there are, by their ids; `newest` signs."""

    newest: _Key
    keys: Mapping[str, _Key]


class Tokens:
    """Makes tokens and reads them, in every process under the signing keys of the store."""

    def __init__(self, store: RecordStore, keys: KeyRing, issuer: str) -> None:
        self._store, self._keys, self._issuer = store, keys, issuer
        self._known: Fresh[_Ring] = Fresh()
        self._at_hand: _Ring | None = None
        self._looking: asyncio.Task[_Ring] | None = None
        self._loaded: dict[bytes, _Key] = {}

    def new_session_token(self) -> str:
        return secrets.token_urlsafe(32)

    async def ready(self, now: datetime) -> None:
        """Have the key at hand: no code is to be burnt for a token that cannot be made. Raises
        StoreUnavailable, KeyUnknown."""
        await self._ring(now)

    async def id_token(self, client: Client, user: User, session_token: str, now: datetime) -> str:
        """Tell a client who has logged in."""
        key = (self._at_hand or await self._ring(now)).newest
        seconds = int(now.timestamp())
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
        ring, named = await self._ring(now), _named(id_token)
        if named not in ring.keys:
            self._known.clear()  # another process may have a newer one
            ring = await self._ring(now)
        if (key := ring.keys.get(named)) is None:
            raise IdTokenInvalid
        claims = self._read(id_token, client_id, key)
        if not now.timestamp() < claims.exp:
            raise IdTokenInvalid
        return claims

    async def jwks(self, now: datetime) -> dict[str, Any]:
        """The keys to check with (RFC 7517, section 5)."""
        return {"keys": [dict(key.shown) for key in (await self._ring(now)).keys.values()]}

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

    async def _ring(self, now: datetime) -> _Ring:
        """As of the last second. Whoever waits shares one try, and its failure: a store that hangs
        keeps each once."""
        found = self._known.get("", now)
        if found is None:
            if self._looking is None or self._looking.done():
                self._looking = asyncio.create_task(self._looked(now))
                self._looking.add_done_callback(_seen)
            found = await asyncio.shield(self._looking)
        return found

    async def _looked(self, now: datetime) -> _Ring:
        """The store's keys, the first of which the first of all processes has made."""
        found = await _kept(self._store, now)
        if not found:
            with suppress(RecordConflict):
                await self._store.write([await _made(self._keys, 1)], now)
            found = await _kept(self._store, now)
        loaded = {}
        for record in found:
            with suppress(KeyUnknown):
                loaded[record.body] = await self._opened(record.body)
        if found[0].body not in loaded:
            raise KeyUnknown
        self._loaded = loaded
        keys = {key.id: key for key in loaded.values()}
        self._at_hand = _Ring(loaded[found[0].body], keys)
        return self._known.keep("", self._at_hand, now)

    async def _opened(self, sealed: bytes) -> _Key:
        if sealed in self._loaded:
            return self._loaded[sealed]
        plain = self._keys.unseal(sealed, SIGNING_KEY.encode())
        return await asyncio.to_thread(_loaded, plain)


async def replace(store: RecordStore, keys: KeyRing, now: datetime) -> bool:
    """Have a new key sign where the one that does was made under an older seal key; whether that
    was so. Raises KeyUnknown, StoreUnavailable."""
    found = await _kept(store, now)
    if not found or sealed_under(found[0].body) in (0, keys.active["seal"]):
        return False
    old = found[0]
    kind = SIGNING_KEY.encode()
    ends = Write(
        kind=SIGNING_KEY,
        key=old.key,
        version=old.version,
        body=keys.seal(keys.unseal(old.body, kind), kind),
        expires_at=now + TTL + _LAST_SIGNED,
    )
    with suppress(RecordConflict):  # somebody else replaced it
        await store.write([await _made(keys, int(old.key) + 1), ends], now)
    return True


async def forget_older(store: RecordStore, now: datetime) -> None:
    """Have all but the newest key end at once, and with them whatever they signed."""
    for old in (await _kept(store, now))[1:]:
        with suppress(RecordConflict):  # somebody else forgot it, or it was resealed
            await store.write(
                [Write(kind=SIGNING_KEY, key=old.key, version=old.version, body=None)], now
            )


async def _kept(store: RecordStore, now: datetime) -> Sequence[Record]:
    """The newest first."""
    found = await store.records(SIGNING_KEY, now)
    return sorted(found, key=lambda record: int(record.key), reverse=True)


async def _made(keys: KeyRing, number: int) -> Write:
    plain = await asyncio.to_thread(_generated)
    body = keys.seal(plain, SIGNING_KEY.encode())
    return Write(kind=SIGNING_KEY, key=str(number), version=0, body=body)


def _named(id_token: str) -> str:
    """Which key it says that it was signed with. Raises IdTokenInvalid."""
    import jwt

    try:
        return str(jwt.get_unverified_header(id_token).get("kid"))
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        raise IdTokenInvalid from None


def _seen(task: asyncio.Task[_Ring]) -> None:
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
