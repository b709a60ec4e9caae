"""The store that the settings name, and the key ring that belongs to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING

from watchword import keyring
from watchword.bootstrap import rotation
from watchword.config import Settings
from watchword.domain.keys import KeyRing
from watchword.errors import ConfigInvalid, RecordConflict
from watchword.ports import Clock, Store, Write
from watchword.stores import sqlite

if TYPE_CHECKING:
    from watchword.stores import postgres

KEYRING, FINGERPRINT = "keyring", "fingerprint"


class Stage(Enum):
    """How far a store has come. From its first start on, a key ring belongs to it."""

    ABSENT = "absent"
    MADE = "made"
    STARTED = "started"


async def stage(settings: Settings) -> Stage:
    """Look at the store, and make nothing. Raises StoreUnavailable."""
    if not await _is_made(settings):
        return Stage.ABSENT
    async with opened(settings, upgrades=False) as store:
        pinned = await _pinned(store, now() + store.offset)
    return Stage.MADE if pinned is None else Stage.STARTED


@asynccontextmanager
async def opened(settings: Settings, *, upgrades: bool = True) -> AsyncIterator[Store]:
    """The store alone, made where there is none, and brought up to date if it `upgrades`. Raises
    StoreUnavailable."""
    store: Store
    if settings.address.is_embedded:
        store = await sqlite.SqliteStore.open(settings.store_path, upgrades=upgrades)
    else:
        from watchword.stores import postgres  # its driver is loaded only where it is used

        store = await postgres.PostgresStore.open(
            settings.address.whole, terms(settings), upgrades=upgrades
        )
    try:
        yield store
    finally:
        await store.close()


async def migrate(settings: Settings) -> tuple[int, int]:
    """Make the store, or bring it up to date; from which version to which. Raises
    StoreUnavailable."""
    if settings.address.is_embedded:
        return await sqlite.migrate(settings.store_path)
    from watchword.stores import postgres

    return await postgres.migrate(settings.address.whole, terms(settings))


async def ring(settings: Settings, store: Store, now: datetime) -> KeyRing:
    """The ring that the store was first started under, or a new one for a new store: under another
    no code would be right, and every limit would begin anew. Raises ConfigInvalid."""
    path, pinned = settings.keyring_path, await _pinned(store, now)
    # The store was asked first: whoever pins a ring has made its file before.
    is_new = not path.exists()
    if is_new and pinned is not None:
        raise ConfigInvalid([f"keys.path: {_lost(settings)}"])
    keys = keyring.load_or_make(path)
    if (pinned or await _pin(keys, store, now)) == keys.fingerprint.encode():
        if lacks := await rotation.lacking(store, keys, now):
            raise ConfigInvalid([f"keys.path: {_stale(settings, lacks)}"])
        return keys
    if is_new:  # another process was first; nothing was made under this one
        path.unlink(missing_ok=True)
        raise ConfigInvalid([f"keys.path: {_lost(settings)}"])
    raise ConfigInvalid([f"keys.path: {_another(settings)}"])


def now() -> datetime:
    return datetime.now(UTC)


def disciplined(store: Store) -> Clock:
    """This machine's clock, set to the store's: processes that share one agree on the time."""
    return lambda: now() + store.offset


async def _is_made(settings: Settings) -> bool:
    if settings.address.is_embedded:
        path = settings.store_path
        return path.is_file() and path.stat().st_size > 0
    from watchword.stores import postgres

    return await postgres.exists(settings.address.whole, terms(settings))


def terms(settings: Settings) -> postgres.Terms:
    from watchword.stores import postgres

    given = settings.postgresql
    return postgres.Terms(connections=given.connections, pgbouncer=given.pgbouncer)


def _lost(settings: Settings) -> str:
    path = settings.keyring_path
    if settings.address.is_embedded:
        return f"the store is here but its key ring is not; restore your copy to {path}."
    return (
        f"this store was made under another key ring; restore your copy to {path}, or copy "
        "keyring.json of the first machine there."
    )


def _another(settings: Settings) -> str:
    said = "this store was made under another key ring"
    if settings.address.is_embedded:
        return f"{said} than {settings.keyring_path}; restore your copy there."
    return (
        f"{said} than {settings.keyring_path}; put that one aside, and copy keyring.json of the "
        "first machine there."
    )


def _stale(settings: Settings, lacks: Sequence[str]) -> str:
    return (
        f"{settings.keyring_path} lacks keys that are active elsewhere ({', '.join(lacks)}); copy "
        "keyring.json of the machine where watchword keys rotate ran there."
    )


async def _pin(keys: KeyRing, store: Store, now: datetime) -> bytes | None:
    """Keep the ring's fingerprint, unless another is kept; which is it now?"""
    pinned = Write(kind=KEYRING, key=FINGERPRINT, version=0, body=keys.fingerprint.encode())
    with suppress(RecordConflict):
        await store.write([pinned], now)
    return await _pinned(store, now)


async def _pinned(store: Store, now: datetime) -> bytes | None:
    found = await store.record(KEYRING, FINGERPRINT, now)
    return found.body if found else None
