"""Export the journal: every entry with what proves it, so that it can be verified elsewhere."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby
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
    chains = await store.chains()
    wanted = await _wanted(store, chains, since, until)
    for chain in chains:
        if chain.number not in wanted:
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


async def _wanted(
    store: Store, chains: Sequence[Chain], since: datetime | None, until: datetime | None
) -> set[int]:
    """The chains of those days, and the roll. Events are sealed a moment after they happen, also
    across midnight; and where nothing served meanwhile, or nothing swept, days after: so later days
    are looked at, too, until one holds nothing of the time that is asked for."""
    before = "" if since is None else f"{since - timedelta(days=1):%Y-%m-%d}"
    first = "" if since is None else f"{since:%Y-%m-%d}"
    last = "9999" if until is None else f"{until:%Y-%m-%d}"
    wanted = {ROLL}
    for day, found in groupby(sorted(chains, key=_day), key=_day):
        if day < before:
            continue
        numbers = {
            chain.number
            for chain in found
            if first <= day <= last or await _holds(store, chain, since, until)
        }
        if day > last and not numbers:
            break
        wanted |= numbers
    return wanted


def _day(chain: Chain) -> str:
    return chain.day


async def _holds(
    store: Store, chain: Chain, since: datetime | None, until: datetime | None
) -> bool:
    """Whether it tells anything of that time, but for its own marks."""
    async for entry in _entries(store, chain):
        if entry.body is None:
            continue
        event = read(entry.body)
        if event.get("kind") not in _MARKS and _is_in_time(event, since, until):
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
    return _is_in_time(event, since, until) and app_id in ("", event.get("app"))


def _is_in_time(event: dict[str, Any], since: datetime | None, until: datetime | None) -> bool:
    at = str(event.get("at", ""))
    return (since is None or at >= _text(since)) and (until is None or at < _text(until))


def _text(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S.%fZ}"
