"""Pause a channel: what is sent is still queued, and none of it is begun until it is resumed."""

from __future__ import annotations

from datetime import datetime

import msgspec

from watchword.errors import RecordConflict
from watchword.ports import RecordStore, Write

_KIND = "pause"


class Pause(msgspec.Struct, frozen=True):
    """Since when, and why, in an operator's words."""

    since: datetime
    reason: str


async def paused(store: RecordStore, channel: str, now: datetime) -> Pause | None:
    """How a channel is paused; None where it is not. Every lane looks several times a second."""
    record = await store.record(_KIND, channel, now)
    return msgspec.json.decode(record.body, type=Pause) if record else None


async def pause(store: RecordStore, channel: str, reason: str, now: datetime) -> Pause:
    """Pause it; one that is paused is so for another reason, since when it was."""
    while True:
        record = await store.record(_KIND, channel, now)
        since = msgspec.json.decode(record.body, type=Pause).since if record else now
        put, version = Pause(since, reason), record.version if record else 0
        body = msgspec.json.encode(put)
        try:
            await store.write([Write(kind=_KIND, key=channel, version=version, body=body)], now)
        except RecordConflict:
            continue
        return put


async def resume(store: RecordStore, channel: str, now: datetime) -> bool:
    """Have it go on. False where it was not paused."""
    while record := await store.record(_KIND, channel, now):
        gone = Write(kind=_KIND, key=channel, version=record.version, body=None)
        try:
            await store.write([gone], now)
        except RecordConflict:
            continue
        return True
    return False
