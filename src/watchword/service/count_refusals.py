"""Refusals are counted per app, scope and minute, and journalled as numbers: a flood that is turned
away must not fill the disk."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import datetime

import msgspec

from watchword.domain.event import Event, Kind
from watchword.errors import StoreUnavailable
from watchword.ports import Clock, Store

MOST_KEYS = 1000
OTHER = "other"
_MINUTE_S = 60


class Refusals:
    """Those of one process since they were last told."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()

    def count(self, app_id: str, scope: str) -> None:
        """One more. Beyond a thousand apps and scopes all others share one app."""
        key = (app_id, scope)
        if key not in self._counts and len(self._counts) >= MOST_KEYS:
            key = (OTHER, scope)
        self._counts[key] += 1

    def take(self) -> Counter[tuple[str, str]]:
        taken, self._counts = self._counts, Counter()
        return taken

    def give_back(self, taken: Counter[tuple[str, str]]) -> None:
        self._counts.update(taken)


REFUSALS = Refusals()
"""The refusals of this process."""


async def tell_refusals(store: Store, clock: Clock) -> None:
    """Journal the refusals of each minute when it is over, until cancelled; then the last ones."""
    try:
        while True:
            minute = _minute(clock())
            await asyncio.sleep(_MINUTE_S - (clock() - minute).total_seconds() % _MINUTE_S)
            await _tell(store, minute)
    finally:
        await _tell(store, _minute(clock()))


async def _tell(store: Store, minute: datetime) -> None:
    """What cannot be written now is written with the next minute's."""
    taken = REFUSALS.take()
    if not taken:
        return
    try:
        await store.note([_event(*key, times, minute) for key, times in sorted(taken.items())])
    except StoreUnavailable:
        REFUSALS.give_back(taken)


def _event(app_id: str, scope: str, times: int, minute: datetime) -> Event:
    details = msgspec.json.encode({"scope": scope, "times": times}).decode()
    return Event(at=minute, kind=Kind.REFUSALS, app_id=app_id, details=details)


def _minute(now: datetime) -> datetime:
    return now.replace(second=0, microsecond=0)
