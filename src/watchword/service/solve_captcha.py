"""Solve a captcha: one answer each, right or wrong, and a right one leaves a pass.

The captcha goes and its pass comes in one act, so of many answers at once one counts, and no crash
takes a solved captcha without leaving its pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from watchword.errors import RecordConflict, StoreUnavailable
from watchword.ports import Record, Solution, Write
from watchword.service.gate import (
    CAPTCHA,
    LONGEST_TOKEN,
    LOOSE,
    PASSES,
    ROUNDS,
    Asker,
    CaptchaState,
    Gate,
    Holder,
    Kept,
    Pass,
)

MOST_PASSES = 3
"""Live ones of a holder; one more takes the place of the oldest."""
OUTLIVES = timedelta(minutes=5)
"""How much longer than its last pass the record of them stays. Its version must not begin anew
while a request that has read it is still under way."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """`receiver` is the canonical address that the pass will be for, None for a pass of whoever
    presents it first."""

    token: str
    text: str
    asker: Asker
    receiver: str | None = None

    def __repr__(self) -> str:
        return "Answer(***)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return []


class Solved(msgspec.Struct, frozen=True, kw_only=True):
    """`captcha_token` shows the pass, where the answer was right."""

    state: CaptchaState
    captcha_token: str = ""


async def solve(answer: Answer, gate: Gate, *, now: datetime) -> Solved:
    """Raises QuotaExceeded where too many of a network's answers were wrong, ProviderUnavailable
    (the captcha can still be answered), StoreUnavailable."""
    await gate.refuse_guessers(answer.asker.network, now)
    kept = await _kept(answer, gate, now)
    if kept is None or answer.token in gate.judging:
        return Solved(state=CaptchaState.GONE)
    gate.judging.add(answer.token)
    try:
        return await _judged(answer, kept, gate, now)
    finally:
        gate.judging.discard(answer.token)


async def _judged(answer: Answer, kept: Kept, gate: Gate, now: datetime) -> Solved:
    solution = await gate.kinds[kept.kind].judge(
        kept.secret, answer.text, token=answer.token, network=answer.asker.network, now=now
    )
    if solution is None:
        return await _wrong(answer, gate, now)
    captcha_token = f"{answer.token}---{solution.text}"
    if not await _passed(answer, captcha_token, solution, gate, now):
        return Solved(state=CaptchaState.GONE)
    return Solved(state=CaptchaState.RIGHT, captcha_token=captcha_token)


async def _kept(answer: Answer, gate: Gate, now: datetime) -> Kept | None:
    """The captcha, if it is still there and was shown to whoever answers."""
    token, asker = answer.token, answer.asker
    if not 0 < len(token) <= LONGEST_TOKEN or not token.isascii() or not token.isalnum():
        return None
    record = await gate.house.store.record(CAPTCHA, token, now)
    if record is None:
        return None
    plain = gate.house.keys.unseal(record.body, gate.bound_to(token))
    kept = msgspec.msgpack.decode(plain, type=Kept)
    is_theirs = (kept.client_id, kept.fingerprint) == (asker.client_id, asker.fingerprint)
    return kept if is_theirs and kept.kind in gate.kinds else None


async def _wrong(answer: Answer, gate: Gate, now: datetime) -> Solved:
    try:
        await gate.house.store.write([_spent(answer)], now)
    except RecordConflict:
        return Solved(state=CaptchaState.GONE)
    await gate.count_wrong(answer.asker.network, now)
    return Solved(state=CaptchaState.WRONG)


async def _passed(
    answer: Answer, captcha_token: str, solution: Solution, gate: Gate, now: datetime
) -> bool:
    """Leave the pass where the captcha was. False where another answer came first."""
    for _ in range(ROUNDS):
        if answer.receiver is None:
            passed: Sequence[Write] = _loose(captcha_token, solution, gate, now)
        else:
            passed = [await _added(answer, answer.receiver, captcha_token, gate, now)]
        try:
            await gate.house.store.write([_spent(answer), *passed], now)
        except RecordConflict as conflict:
            if conflict.kind == CAPTCHA:
                return False
            continue
        return True
    raise StoreUnavailable


def _spent(answer: Answer) -> Write:
    return Write(kind=CAPTCHA, key=answer.token, version=1, body=None)


async def _added(
    answer: Answer, receiver: str, captcha_token: str, gate: Gate, now: datetime
) -> Write:
    """One more pass of the holder, beside the newest of those that are alive."""
    holder = Holder(
        client_id=answer.asker.client_id, receiver=receiver, fingerprint=answer.asker.fingerprint
    )
    key = gate.passes_key(holder)
    record = await gate.house.store.record(PASSES, key, now)
    fresh = Pass(gate.pass_digest(captcha_token), now + gate.pass_ttl)
    return passes_write(key, record, (*alive(record, now), fresh)[-MOST_PASSES:], fresh.expires_at)


def alive(record: Record | None, now: datetime) -> tuple[Pass, ...]:
    """The live passes of a holder, oldest first."""
    if record is None:
        return ()
    passes = msgspec.msgpack.decode(record.body, type=tuple[Pass, ...])
    return tuple(each for each in passes if each.expires_at > now)


def passes_write(
    key: str, record: Record | None, passes: tuple[Pass, ...], until: datetime
) -> Write:
    """The write that leaves these passes to a holder, if nobody changed them meanwhile."""
    return Write(
        kind=PASSES,
        key=key,
        version=record.version if record else 0,
        body=msgspec.msgpack.encode(passes),
        expires_at=until + OUTLIVES,
    )


def _loose(captcha_token: str, solution: Solution, gate: Gate, now: datetime) -> list[Write]:
    """A pass under each spelling that a stock front end may show it in; they go together."""
    spellings = [captcha_token, *([solution.ciphered] if solution.ciphered else [])]
    names = [gate.pass_digest(spelling).hex() for spelling in spellings]
    body, expires_at = msgspec.msgpack.encode(names), now + gate.pass_ttl
    return [
        Write(kind=LOOSE, key=name, version=0, body=body, expires_at=expires_at) for name in names
    ]
