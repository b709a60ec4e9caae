"""Fresh: what was read within the last second, so that a busy caller costs one look a second."""

from __future__ import annotations

from collections.abc import Hashable
from datetime import datetime, timedelta
from typing import Generic, TypeVar

V = TypeVar("V")

_FRESH = timedelta(seconds=1)
_MOST = 10_000


class Fresh(Generic[V]):
    """Values by key, each for a second; a clock that steps back prolongs none."""

    def __init__(self) -> None:
        self._read: dict[Hashable, tuple[datetime, V]] = {}

    def get(self, key: Hashable, now: datetime) -> V | None:
        found = self._read.get(key)
        return found[1] if found and found[0] <= now < found[0] + _FRESH else None

    def keep(self, key: Hashable, value: V, now: datetime) -> V:
        if len(self._read) >= _MOST:
            self._read.clear()
        self._read[key] = (now, value)
        return value

    def clear(self) -> None:
        """Forget all, as after a change."""
        self._read.clear()
