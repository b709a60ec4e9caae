"""Rotation: new keys are added, distributed, made active; old ones retire when nothing needs them.

Each process that serves says in the store which keys it knows, so that no key becomes active that
one of them lacks: a code is judged by whoever is asked, and its digest names no key.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from watchword import keyring, log
from watchword.directory import resealing
from watchword.directory.apps import Apps
from watchword.directory.ciam import tokens
from watchword.domain.keys import KeyRing, sealed_under
from watchword.errors import RecordConflict, StoreUnavailable
from watchword.keyring import File, change, read
from watchword.ports import Clock, Inbox, Remark, Store, Write
from watchword.providers.virtual import Virtual

__all__ = ["File", "Need", "change", "read"]

OLD = timedelta(days=365)
_HOLDER, _KEYRING, _NEEDED = "keyring_holder", "keyring", "needed"
_ANNOUNCED = "keyring_announced"
_RENEW_S = 3.0
_LIVES = timedelta(seconds=15)
_KEPT = timedelta(days=1)
"""Longer than a code lives: a process that ended was still drawing under its key until then."""
_MARGIN = timedelta(minutes=1)
_AT_ONCE = 2000


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """A process that serves: which keys it knows and uses, since when, and when it said so."""

    host: str
    pid: int
    path: str
    ids: Mapping[str, Sequence[int]]
    active: Mapping[str, int]
    since: datetime
    seen_at: datetime
    left: bool = False

    @property
    def name(self) -> str:
        return f"{self.host} (process {self.pid}, {self.path})"

    def is_alive(self, now: datetime) -> bool:
        return not self.left and now < self.seen_at + _LIVES

    def knows(self, ids: Mapping[str, int]) -> bool:
        return all(id in self.ids.get(kind, ()) for kind, id in ids.items())


class Need(msgspec.Struct, frozen=True):
    """What at rest needs a key, how much of it, and until when at the longest; None: for good."""

    what: str
    amount: int
    until: datetime | None


class Serving(Protocol):
    """What of a running whole is asked for what it keeps."""

    @property
    def store(self) -> Store: ...
    @property
    def apps(self) -> Apps: ...
    @property
    def inbox(self) -> Inbox | None: ...
    @property
    def clock(self) -> Clock: ...


def watched(path: Path, keys: KeyRing) -> keyring.Watched:
    """The ring follows its file from now on."""

    def tell(what: str) -> None:
        if what == "reloaded":
            log.events().info("keyring_reloaded", seal=keys.active["seal"])
        else:
            log.events().error("keyring_refused", reason=what)

    found = keyring.Watched(path, keys, tell)
    found.look()
    keys.look = found.look
    return found


async def hold(store: Store, keys: KeyRing, path: Path, clock: Clock) -> None:
    """Say which keys this process knows, until cancelled."""
    name, version = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}", 0
    place = os.path.abspath(path)  # noqa: ASYNC240
    active, since = keys.active, clock()
    is_stale = False

    async def say(*, left: bool = False) -> None:
        nonlocal version
        told = Holder(
            host=socket.gethostname(),
            pid=os.getpid(),
            path=place,
            ids=keys.ids,
            active=keys.active,
            since=since,
            seen_at=clock(),
            left=left,
        )
        body, ends_at = msgspec.json.encode(told), clock() + _KEPT
        with suppress(StoreUnavailable):
            try:
                write = Write(
                    kind=_HOLDER, key=name, version=version, body=body, expires_at=ends_at
                )
                await store.write([write], clock())
                version += 1
            except RecordConflict:  # swept, or an answer of the store was lost
                found = await store.record(_HOLDER, name, clock())
                version = found.version if found else 0

    try:
        while True:
            keys.look()
            if keys.active != active:
                active, since = keys.active, clock()
            await say()
            with suppress(StoreUnavailable):
                lacks = await lacking(store, keys, clock())
                if lacks and not is_stale:
                    log.events().error("keyring_stale", lacks=lacks)
                is_stale = bool(lacks)
            await asyncio.sleep(_RENEW_S)
    finally:
        await say(left=True)


async def lacking(store: Store, keys: KeyRing, now: datetime) -> list[str]:
    """The keys of this store that are active or about to be, and that the ring lacks, as "kind
    id"."""
    needed, _ = await _needed(store, now)
    soon = [
        msgspec.json.decode(record.body, type=dict[str, int])
        for record in await store.records(_ANNOUNCED, now)
    ]
    ids = keys.ids
    lacks = {
        f"{kind} {id}": None
        for one in (needed, *soon)
        for kind, id in one.items()
        if id not in ids.get(kind, ())
    }
    return list(lacks)


async def holders(store: Store, now: datetime) -> list[Holder]:
    """Whoever served within the last day."""
    found = await store.records(_HOLDER, now)
    return [msgspec.json.decode(record.body, type=Holder) for record in found]


async def strangers(store: Store, ids: Mapping[str, int], now: datetime) -> list[str]:
    """The processes that serve and do not know all of these keys."""
    every = await holders(store, now)
    return [one.name for one in every if one.is_alive(now) and not one.knows(ids)]


@asynccontextmanager
async def announced(store: Store, ids: Mapping[str, int], clock: Clock) -> AsyncIterator[None]:
    """Meanwhile, and for a minute at most, whoever starts without these keys is refused: said
    before anybody asks who is there, so that nobody comes in between."""
    key, body = secrets.token_hex(8), msgspec.json.encode(ids)
    write = Write(kind=_ANNOUNCED, key=key, version=0, body=body, expires_at=clock() + _MARGIN)
    await store.write([write], clock())
    try:
        yield
    finally:
        with suppress(RecordConflict):
            await store.write([Write(kind=_ANNOUNCED, key=key, version=1, body=None)], clock())


async def need(store: Store, ids: Mapping[str, int], now: datetime) -> None:
    """From now on these keys are active somewhere, and whoever starts without them is refused."""
    while True:
        before, version = await _needed(store, now)
        if all(before.get(kind, 0) >= id for kind, id in ids.items()):
            return
        body = msgspec.json.encode({**before, **ids})
        with suppress(RecordConflict):
            write = Write(kind=_KEYRING, key=_NEEDED, version=version, body=body)
            await store.write([write], now)


async def _needed(store: Store, now: datetime) -> tuple[dict[str, int], int]:
    record = await store.record(_KEYRING, _NEEDED, now)
    if record is None:
        return {}, 0
    return msgspec.json.decode(record.body, type=dict[str, int]), record.version


async def reseal(store: Store, keys: KeyRing, now: datetime) -> AsyncIterator[tuple[str, int]]:
    """Bring what is kept for good under the active key; by kind, how many records that were."""
    for kind in resealing.KINDS:
        yield kind, await resealing.reseal(store, keys, kind, now)


async def forget_signing_keys(store: Store, now: datetime) -> None:
    """What id_tokens were signed with before: whoever is logged in by one logs in again."""
    await tokens.forget_older(store, now)


async def needs(service: Serving, file: File, kind: str, id: int) -> list[Need]:
    """What still needs a key that is not active any more."""
    store, now = service.store, service.clock()
    users = [one for one in await holders(store, now) if one.is_alive(now)]
    found = [
        Need(f"{one.name}, where it is active", 1, None)
        for one in users
        if one.active.get(kind) == id
    ]
    if kind == "code":
        return found + await _code_needs(store, service.apps, file, now)
    found += _summed("challenges that are not swept yet", await _seals(store, "challenges", id))
    found += _summed("messages that wait", await _seals(store, "deliveries", id))
    for record_kind in resealing.KINDS:
        untils = [
            record.expires_at
            async for record in resealing.records(store, record_kind, now)
            if resealing.under(record) == id
        ]
        found += _summed(f"records {record_kind}", untils)
    if isinstance(service.inbox, Virtual):
        kept = await service.inbox.sealed_under(id)
        found += _summed("messages in the virtual carrier's inbox", kept)
    return found


async def _code_needs(store: Store, apps: Apps, file: File, now: datetime) -> list[Need]:
    """A digest names no key: what was made before each process drew under the new one may need
    the old."""
    changes = [one.since if one.is_alive(now) else one.seen_at for one in await holders(store, now)]
    (active,) = [key for key in file.code if key.id == file.active["code"]]
    changed_at = max([*changes, active.activated_at or now]) if changes else active.activated_at
    last = (changed_at or now) + _MARGIN
    found = []
    if until := await store.open_until(last, now):
        found.append(Need("codes that may still be typed", 1, until))
    numbers = [
        number.ends_at
        for app in await apps.apps(now)
        for number in app.test_numbers
        if number.ends_at > now and (number.made_at is None or number.made_at <= last)
    ]
    return found + _summed("test numbers, whose codes cannot be digested again", numbers)


async def _seals(
    store: Store, what: Literal["challenges", "deliveries"], id: int
) -> list[datetime]:
    untils, after = [], -1
    while rows := await store.sealed(what, after, most=_AT_ONCE):
        untils += [row.until for row in rows if id in map(sealed_under, row.seals)]
        after = rows[-1].id
    return untils


def _summed(what: str, untils: Sequence[datetime | None]) -> list[Need]:
    if not untils:
        return []
    ends = [until for until in untils if until is not None]
    return [Need(what, len(untils), max(ends) if len(ends) == len(untils) else None)]


def remarks(path: Path, now: datetime) -> list[Remark]:
    """How old the active keys are, and whether a rotation was left half done. Raises
    ConfigInvalid."""
    file = keyring.read(path)
    found = []
    if waiting := file.waiting:
        id = max(waiting.values())
        found.append(
            Remark(
                "note",
                f"The keys {id} are added and not active: copy {path} to every machine, then run "
                "watchword keys rotate activate.",
            )
        )
    dates = [
        key.activated_at or key.added_at
        for kind in keyring.KINDS
        for key in file.keys(kind)
        if key.id == file.active.get(kind)
    ]
    known = [date for date in dates if date is not None]
    if known and now - min(known) > OLD:
        days = (now - min(known)).days
        found.append(Remark("note", f"The active keys are {days} days old: watchword keys rotate."))
    elif known:
        found.append(Remark("ok", f"The active keys are {(now - min(known)).days} days old."))
    return found
