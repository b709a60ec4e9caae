"""Records: what a directory keeps, typed, and changed as it is: no change in between is lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Generic, Protocol, TypeVar

import msgspec

from watchword.errors import AccessDenied, RecordConflict
from watchword.ports import RecordStore, Write


class Named(Protocol):
    @property
    def id(self) -> str: ...


T = TypeVar("T", bound=Named)


class Records(Generic[T]):
    """The records of one kind, each under its id. `called` is what a person calls one of them;
    `forget_at` says from when on one need not be kept."""

    def __init__(
        self,
        store: RecordStore,
        kind: str,
        shape: type[T],
        called: str,
        forget_at: Callable[[T], datetime | None] = lambda _: None,
    ) -> None:
        self.store, self.kind = store, kind
        self._shape, self._called, self._forget_at = shape, called, forget_at

    async def find(self, key: str, now: datetime) -> tuple[T, int] | None:
        """The record and its version, None when there is none."""
        record = await self.store.record(self.kind, key, now) if key.isprintable() else None
        if record is None:
            return None
        return msgspec.json.decode(record.body, type=self._shape), record.version

    async def get(self, key: str, now: datetime) -> tuple[T, int]:
        """The record and its version. Raises AccessDenied when there is none."""
        found = await self.find(key, now)
        if found is None:
            raise AccessDenied(f"There is no {self._called} '{key}'.")
        return found

    async def all(self, now: datetime) -> list[T]:
        """In the order of their ids."""
        records = await self.store.records(self.kind, now)
        return [msgspec.json.decode(record.body, type=self._shape) for record in records]

    def put(self, value: T, version: int = 0) -> Write:
        """The write that adds it, or that changes what is at `version`."""
        return put(self.kind, value, version, self._forget_at(value))

    def removed(self, value: T, version: int) -> Write:
        return Write(kind=self.kind, key=value.id, version=version, body=None)

    async def change(
        self, key: str, change: Callable[[T], T], now: datetime, also: Sequence[Write] = ()
    ) -> T:
        """Apply a change to a record as it is; one that comes in between is not overwritten.

        Raises AccessDenied, and RecordConflict when one of the other writes does not fit.
        """
        while True:
            found, version = await self.get(key, now)
            changed = change(found)
            try:
                await self.store.write([self.put(changed, version), *also], now)
            except RecordConflict as conflict:
                if (conflict.kind, conflict.key) != (self.kind, key):
                    raise
                continue
            return changed


def put(kind: str, value: Named, version: int = 0, expires_at: datetime | None = None) -> Write:
    body = msgspec.json.encode(value)
    return Write(kind=kind, key=value.id, version=version, body=body, expires_at=expires_at)


async def rehearse(store: RecordStore, writes: Sequence[Write], now: datetime) -> None:
    """Write nothing, and raise RecordConflict where the writes would not fit."""
    for write in writes:
        record = await store.record(write.kind, write.key, now)
        if (record.version if record else 0) != write.version:
            raise RecordConflict(write.kind, write.key)
