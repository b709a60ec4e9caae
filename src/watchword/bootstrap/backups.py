"""Backups of the store that the settings name, and a store made of one.

A restored store is older than the world: what was open in it is ended before any server may use it,
so that no code is accepted twice and no message is handed over again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Protocol

import msgspec

from watchword import keyring
from watchword.bootstrap import rotation
from watchword.bootstrap.stores import FINGERPRINT, KEYRING, terms
from watchword.config import Settings
from watchword.directory import unopened
from watchword.directory.unopened import Loss
from watchword.domain.event import Event, Kind
from watchword.domain.keys import KeyRing
from watchword.errors import ConfigInvalid
from watchword.ports import Store, Write
from watchword.service.gate import CAPTCHA, LOOSE, PASSES
from watchword.service.inherit_journal import inherit_journal
from watchword.stores import sqlite
from watchword.stores._backups import BackupRefused, Census

__all__ = ["BackupRefused", "Census", "Restored", "back_up", "restore"]

_ONE_TIME = (CAPTCHA, PASSES, LOOSE)
"""Kinds of record that are good once: these may have been used since."""
_LOST = "This store needs the key ring {whose}, and {where}. Without it these are lost:"
_STAYS = (
    "What stays: apps with their API keys, accounts, users with their passwords, settings of "
    "channels."
)
_GO_ON = (
    "Copy the right keyring.json there and run this again, or add --without-ring to go on without."
)


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a backup. `lost` is what went with its ring, nothing where the ring is
    here; the restored store's own journal begins with `first_chain`."""

    census: Census
    cancelled: int
    dropped: int
    unknown: int
    first_chain: int
    lost: tuple[str, ...]


class _Restoring(Protocol):
    census: Census

    @property
    def store(self) -> Store: ...
    @property
    def now(self) -> datetime: ...
    async def settle(self, kinds: tuple[str, ...], now: datetime) -> tuple[int, int, int]: ...
    async def forget(self, kinds: tuple[str, ...]) -> None: ...
    async def counted(self) -> int: ...


async def back_up(
    settings: Settings, into: Path, tell: Callable[[float], None], *, pg_dump: str = ""
) -> Census:
    """Write all of the store, as it is at one moment, into a new file; neither the key ring nor the
    virtual carrier's inbox. Raises BackupRefused, StoreUnavailable, OSError."""
    if settings.address.is_embedded:
        path = settings.store_path
        if not path.is_file() or not path.stat().st_size:
            raise BackupRefused(f"There is no store in {path}: name its folder with --data.")
        return await sqlite.back_up(path, into, tell)
    from watchword.stores import postgres

    return await postgres.back_up(settings.address.whole, terms(settings), into, pg_dump)


async def restore(
    settings: Settings,
    backup: Path,
    operator: Mapping[str, str],
    *,
    without_ring: bool = False,
    pg_restore: str = "",
) -> Restored:
    """Make a new store of a backup; what fails leaves none. The `operator` goes into its journal.
    Raises BackupRefused, ConfigInvalid, StoreUnavailable, OSError."""
    async with _restoring(settings, backup, pg_restore) as found:
        store, now = found.store, found.now
        losses = []
        ended = await found.settle(_ONE_TIME, now)
        if not await _has_its_ring(settings, found):
            losses = await _losses(found, now)
            if not without_ring:
                raise _lacks_its_ring(settings, found.census, losses)
            await _go_on_without(settings, found, now)
        chains = await store.chains()
        cancelled, dropped, unknown = ended
        restored = Restored(
            census=found.census,
            cancelled=cancelled,
            dropped=dropped,
            unknown=unknown,
            first_chain=max((chain.number for chain in chains), default=0) + 1,
            lost=tuple(f"{loss.amount} {loss.what}" for loss in losses),
        )
        await store.note([_event(backup, restored, operator, now)])
    return restored


@asynccontextmanager
async def _restoring(settings: Settings, backup: Path, program: str) -> AsyncIterator[_Restoring]:
    if settings.address.is_embedded:
        async with sqlite.restoring(backup, settings.store_path) as found:
            yield found
        return
    from watchword.stores import postgres

    at = settings.address.whole
    async with postgres.restoring(backup, at, terms(settings), program) as there:
        yield there


async def _has_its_ring(settings: Settings, found: _Restoring) -> bool:
    """Raises ConfigInvalid where it is the ring, but an older copy of it."""
    path, pinned = settings.keyring_path, found.census.fingerprint
    if not pinned:
        return True
    if not path.exists():
        return False
    keys = keyring.ring(keyring.read(path))
    if keys.fingerprint != pinned:
        return False
    if lacks := await rotation.lacking(found.store, keys, found.now):
        raise ConfigInvalid(
            [
                f"keys.path: {path} is an older copy of the key ring: it lacks "
                f"{', '.join(lacks)}. Copy the newest one there, or put it aside to restore "
                "--without-ring."
            ]
        )
    return True


async def _losses(found: _Restoring, now: datetime) -> list[Loss]:
    rows = found.census.rows
    told = [
        *await unopened.lost(found.store, now),
        Loss(rows.get("challenges", 0), "challenges, open and closed"),
        Loss(rows.get("deliveries", 0), "messages' records, those that waited among them"),
        Loss(await found.counted(), "counters of limits and wrong codes: all begin anew"),
        Loss(
            rows.get("journal", 0),
            "entries of the journal stay readable: they cannot be verified, nor found by an "
            "address to erase it",
        ),
    ]
    return [loss for loss in told if loss.amount]


def _lacks_its_ring(settings: Settings, census: Census, losses: list[Loss]) -> ConfigInvalid:
    path = settings.keyring_path
    where = f"there is no {path}"
    if path.exists():
        there = keyring.ring(keyring.read(path)).fingerprint
        where = f"{path} is another one ({there})"
    heading = _LOST.format(whose=census.fingerprint, where=where)
    told = [f"{loss.amount} {loss.what}" for loss in losses]
    return ConfigInvalid([*told, _STAYS, _GO_ON], heading=heading)


async def _go_on_without(settings: Settings, found: _Restoring, now: datetime) -> None:
    """Another ring is this store's from now on, and nothing is left that it cannot open."""
    path = settings.keyring_path
    is_new = not path.exists()
    try:
        keys = keyring.load_or_make(path)
        await found.forget(unopened.CLAIMS)
        await unopened.let_go(found.store, keys, now)
        await inherit_journal(found.store, keys)
        await _pin(found.store, keys, now)
    except BaseException:
        if is_new:
            path.unlink(missing_ok=True)
        raise


async def _pin(store: Store, keys: KeyRing, now: datetime) -> None:
    for record in await store.records(KEYRING, now):
        body = keys.fingerprint.encode() if record.key == FINGERPRINT else None
        write = Write(kind=KEYRING, key=record.key, version=record.version, body=body)
        await store.write([write], now)


def _event(backup: Path, restored: Restored, operator: Mapping[str, str], now: datetime) -> Event:
    """What of it the journal has to tell: where it forks from that of the store it came from."""
    details = {
        "what": "store restore",
        "backup": backup.name,
        "first_chain": restored.first_chain,
        "cancelled": restored.cancelled,
        "without_ring": bool(restored.lost),
        **operator,
    }
    return Event(at=now, kind=Kind.OPERATOR, details=msgspec.json.encode(details).decode())
