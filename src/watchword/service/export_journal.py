"""Export the journal: every entry with what proves it, so that it can be verified elsewhere."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from watchword.domain.event import ROLL, Chain, Entry, Kind, Standing, read
from watchword.ports import Store

_PAGE = 500
_MARKS = (Kind.OPENED, Kind.CLOSED)


async def export_journal(
    store: Store, *, since: datetime | None, until: datetime | None, app_id: str
) -> AsyncIterator[dict[str, Any]]:
    """One chain after the other: its row, then its entries. Of an event that was not asked for,
    only what holds the chain together is there. Raises StoreUnavailable."""
    for chain in await store.chains():
        if chain.number != ROLL and not await _is_wanted(store, chain, since, until):
            continue
        yield _shown_chain(chain)
        if chain.number != ROLL:
            async for entry in _entries(store, chain):
                yield _shown(entry, since, until, app_id)


async def _entries(store: Store, chain: Chain) -> AsyncIterator[Entry]:
    position = 0
    while position < chain.entries and chain.standing != Standing.DROPPED:
        page = await store.entries(chain.number, position, _PAGE)
        for entry in page:
            if entry.position < chain.entries:
                yield entry
        if not page:
            break
        position = page[-1].position + 1


async def _is_wanted(
    store: Store, chain: Chain, since: datetime | None, until: datetime | None
) -> bool:
    """Events are sealed a moment after they happen; and where nothing served meanwhile, days after:
    so a later day's chain counts where anything in it is as old as was asked for."""
    if since is not None and chain.day < f"{since:%Y-%m-%d}":
        return False
    if until is None or chain.day <= f"{until:%Y-%m-%d}":
        return True
    async for entry in _entries(store, chain):
        if entry.body is not None and _at(read(entry.body)) < _text(until):
            return True
    return False


def _shown_chain(chain: Chain) -> dict[str, Any]:
    return {
        "chain": chain.number,
        "day": chain.day,
        "entries": chain.entries,
        "last": chain.last.hex(),
        "standing": str(chain.standing),
        "mac": chain.mac.hex(),
    }


def _shown(
    entry: Entry, since: datetime | None, until: datetime | None, app_id: str
) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "chain": entry.chain,
        "position": entry.position,
        "commitment": entry.commitment.hex(),
        "mac": entry.mac.hex(),
    }
    if entry.erased is not None:
        return {**shown, "erased": entry.erased.hex()}
    if entry.salt is None or entry.body is None:
        return shown
    event = read(entry.body)
    if not _is_asked_for(event, since, until, app_id):
        return shown
    return {**shown, "salt": entry.salt.hex(), "body": entry.body.decode("utf-8", "replace")}


def _is_asked_for(
    event: dict[str, Any], since: datetime | None, until: datetime | None, app_id: str
) -> bool:
    if event.get("kind") in _MARKS:
        return True
    at = _at(event)
    is_in_time = (since is None or at >= _text(since)) and (until is None or at < _text(until))
    return is_in_time and app_id in ("", event.get("app"))


def _at(event: dict[str, Any]) -> str:
    return str(event.get("at", ""))


def _text(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S.%fZ}"
