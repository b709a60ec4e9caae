"""Who is calling, whether the key may do that, and under which idempotency key."""

from __future__ import annotations

import re
from datetime import datetime

from watchword.directory.apps import Credential
from watchword.domain.app import Scope
from watchword.domain.keys import KeyRing
from watchword.errors import AccessDenied, ScopeMissing
from watchword.ports import Once
from watchword.surfaces.exchange import Exchange, HeaderInvalid
from watchword.surfaces.running import Running

_VISIBLE = re.compile(rb"[\x21-\x7e]{1,255}")


async def authenticate(
    exchange: Exchange, service: Running, scope: Scope, now: datetime
) -> Credential:
    """The app behind `Authorization: Bearer ...`. Raises AccessDenied, or ScopeMissing."""
    credential = await service.apps.authenticate(_token(exchange), now)
    if scope not in credential.key.scopes:
        raise ScopeMissing(scope)
    return credential


def once(exchange: Exchange, keys: KeyRing, key_id: str, act: str, body: bytes) -> Once | None:
    """What makes a repeated call give the first answer again; None when it did not ask for that.

    Raises HeaderInvalid.
    """
    given = exchange.header(b"idempotency-key")
    if given is None:
        return None
    if not _VISIBLE.fullmatch(given):
        raise HeaderInvalid("An Idempotency-Key has 1 to 255 visible ASCII characters.")
    return Once(key=keys.index("once", key_id, act, given), request=keys.index("request", body))


def _token(exchange: Exchange) -> str:
    scheme, _, token = (exchange.header(b"authorization") or b"").partition(b" ")
    token = token.strip()
    if scheme.lower() != b"bearer" or not _VISIBLE.fullmatch(token):
        raise AccessDenied
    return token.decode("ascii")
