"""Show a captcha: draw one, and keep in the store what judges the answer to it."""

from __future__ import annotations

from datetime import datetime
from uuid import uuid4

import msgspec

from watchword.errors import RequestInvalid
from watchword.ports import Write
from watchword.service.gate import CAPTCHA, Asker, Gate, Kept


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """`shown` is what it takes to solve it; `token` names it in the answer."""

    token: str
    kind: str
    shown: dict[str, str]


async def show(kind: str, asker: Asker, gate: Gate, *, now: datetime) -> Shown:
    """Its life begins now. Only the client and device that it is shown to may answer it.

    Raises RequestInvalid for a kind that is not on offer, QuotaExceeded, ProviderUnavailable,
    StoreUnavailable.
    """
    captcha = gate.kinds.get(kind)
    if captcha is None:
        raise RequestInvalid(f"Captchas are: {', '.join(gate.kinds)}.", field="/captchaType")
    await gate.refuse_guessers(asker.network, now)
    effort = await gate.count_shown(kind, asker.network, now)
    token, expires_at = uuid4().hex, now + gate.ttl
    drawn = await captcha.draw(token, effort=effort, expires_at=expires_at)
    kept = Kept(
        kind=kind,
        client_id=asker.client_id,
        fingerprint=asker.fingerprint,
        secret=drawn.secret,
    )
    body = gate.house.keys.seal(msgspec.msgpack.encode(kept), gate.bound_to(token))
    write = Write(kind=CAPTCHA, key=token, version=0, body=body, expires_at=expires_at)
    await gate.house.store.write([write], now)
    return Shown(token=token, kind=kind, shown=drawn.shown)
