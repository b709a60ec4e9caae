"""Take a pass: of many who show the same one, one gets through."""

from __future__ import annotations

from datetime import datetime
from hmac import compare_digest

import msgspec

from watchword.errors import RecordConflict, StoreUnavailable
from watchword.ports import Record, Write
from watchword.service.gate import LOOSE, PASSES, ROUNDS, CaptchaState, Gate, Holder, Pass
from watchword.service.solve_captcha import alive, passes_write


async def look(captcha_token: str, holder: Holder, gate: Gate, *, now: datetime) -> CaptchaState:
    """Whether the pass could be taken now: GONE where its holder has none that lives, WRONG where
    this one is none of them. It stays. Raises StoreUnavailable."""
    passes = alive(await _record(holder, gate, now), now)
    if _place(passes, gate.pass_digest(captcha_token)) is not None:
        return CaptchaState.RIGHT
    if await _loose(captcha_token, gate, now):
        return CaptchaState.RIGHT
    return CaptchaState.WRONG if passes else CaptchaState.GONE


async def take(captcha_token: str, holder: Holder, gate: Gate, *, now: datetime) -> bool:
    """Take it, in one act. False where it was never there, or another took it. Raises
    StoreUnavailable."""
    for _ in range(ROUNDS):
        writes = await _taking(captcha_token, holder, gate, now)
        if not writes:
            return False
        try:
            await gate.house.store.write(writes, now)
        except RecordConflict:
            continue
        return True
    raise StoreUnavailable


async def _taking(captcha_token: str, holder: Holder, gate: Gate, now: datetime) -> list[Write]:
    """What takes it, nothing where it is not there."""
    record = await _record(holder, gate, now)
    passes = alive(record, now)
    place = _place(passes, gate.pass_digest(captcha_token))
    if place is None:
        return await _loose(captcha_token, gate, now)
    left = passes[:place] + passes[place + 1 :]
    until = passes[-1].expires_at
    return [passes_write(gate.passes_key(holder), record, left, until)]


async def _record(holder: Holder, gate: Gate, now: datetime) -> Record | None:
    return await gate.house.store.record(PASSES, gate.passes_key(holder), now)


def _place(passes: tuple[Pass, ...], digest: bytes) -> int | None:
    """Which of them it is. Every one is compared, so that time does not tell how near it came."""
    found = None
    for place, each in enumerate(passes):
        if compare_digest(each.digest, digest):
            found = place
    return found


async def _loose(captcha_token: str, gate: Gate, now: datetime) -> list[Write]:
    """What takes a pass of whoever comes, under all its spellings."""
    record = await gate.house.store.record(LOOSE, gate.pass_digest(captcha_token).hex(), now)
    if record is None:
        return []
    names = msgspec.msgpack.decode(record.body, type=list[str])
    return [Write(kind=LOOSE, key=name, version=1, body=None) for name in names]
