"""Who is calling: by a token, or by a signature over the request (contract, sections 2 to 4)."""

from __future__ import annotations

import hashlib
from datetime import datetime
from hmac import compare_digest

from watchword.directory.huawei.accounts import Caller
from watchword.directory.huawei.credentials import Signing
from watchword.domain.app import App
from watchword.errors import AccessDenied, QuotaExceeded
from watchword.surfaces.addresses import caller_network
from watchword.surfaces.exchange import Exchange
from watchword.surfaces.huawei import signing
from watchword.surfaces.huawei.signing import SignatureInvalid, Signed
from watchword.surfaces.running import Running


class KeyAbsent(AccessDenied):
    """There is no such access key."""


class KeyLocked(QuotaExceeded):
    """Too many wrong signatures came for this access key."""


class TokenInvalid(AccessDenied):
    """The token is invalid or has expired."""


class LogInFailed(AccessDenied):
    """The username or password is wrong."""


class LogInLocked(QuotaExceeded):
    """Too many attempts to log in. Try again later."""


class NotAPartner(AccessDenied):
    """The credential is known, and may not do this."""


class PartnerSuspended(AccessDenied):
    """The partner is suspended."""


async def authenticate(exchange: Exchange, body: bytes, service: Running, now: datetime) -> Caller:
    """The caller behind X-Auth-Token, or behind the signature where there is no token.

    Raises AccessDenied and its kin, KeyLocked, StoreUnavailable. Nothing is remembered of a bad
    request but that a signature was wrong.
    """
    if token := exchange.header(b"x-auth-token"):
        return await _by_token(token, service, now)
    signed = signing.read(exchange.scope)
    if signed is None:
        raise AccessDenied
    return await _by_signature(exchange, body, signed, service, now)


def refuse_disabled(caller: Caller) -> None:
    """Raises NotAPartner. A token has ended with its user; a signature is still right."""
    if caller.user.disabled:
        raise NotAPartner


def partner(caller: Caller) -> App:
    """The app of a caller who may send codes. Raises NotAPartner, PartnerSuspended."""
    if not caller.account.is_partner or caller.app is None:
        raise NotAPartner
    if caller.account.suspended:
        raise PartnerSuspended
    return caller.app


async def _by_token(token: bytes, service: Running, now: datetime) -> Caller:
    try:
        return await service.huawei.credentials.bearer(token.decode("ascii"), now)
    except (AccessDenied, UnicodeDecodeError):
        raise TokenInvalid from None


async def _by_signature(
    exchange: Exchange, body: bytes, signed: Signed, service: Running, now: datetime
) -> Caller:
    credentials = service.huawei.credentials
    network = caller_network(exchange.scope, service.proxies)
    try:
        known = await credentials.signing(signed.access_key, now)
    except AccessDenied:
        raise KeyAbsent from None
    try:
        await credentials.refuse_if_locked(signed.access_key, network, now)
        signing.refuse_if_stale(signed, now)
        if not _is_right(signed, exchange, body, known):
            await credentials.failed(signed.access_key, network, now)
            raise SignatureInvalid
        await credentials.succeeded(signed.access_key, network, now)
    except QuotaExceeded as error:
        raise KeyLocked(scope=error.scope, retry_in=error.retry_in) from None
    return known.caller


def _is_right(signed: Signed, exchange: Exchange, body: bytes, known: Signing) -> bool:
    """Whether secret and security token are those of the key; a lasting key has no token."""
    token = exchange.header(b"x-security-token") or b""
    digest = hashlib.sha256(token).digest() if token else b""
    right = compare_digest(digest, known.key.security_token)
    return right & signing.is_right(signed, exchange.scope, body, known.secret)
