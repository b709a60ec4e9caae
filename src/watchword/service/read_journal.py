"""Read the journal: the latest events, of all, of an app, of a person or of one challenge. Those
that no scribe has sealed yet count, too."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from watchword.domain.event import ROLL, Chain, Kind, Standing, read, written
from watchword.ports import Store

MOST_READ = 100_000
"""Whoever looks for what is seldom told stops after so many."""
_UNSEALED = 10_000
_PAGE = 500
_SLACK = timedelta(days=1)
"""An event may be sealed on the day after it happened."""


class Happened(msgspec.Struct, frozen=True, kw_only=True):
    """An event as it is shown. `details` tell what its kind calls for."""

    at: datetime
    kind: str
    app_id: str = ""
    channel: str = ""
    purpose: str = ""
    challenge_id: str = ""
    masked: str = ""
    details: dict[str, Any] = {}


class Lately(msgspec.Struct, frozen=True):
    """Oldest first. `is_all` is False where the look ended before the journal did, so that older
    ones may be missing."""

    events: Sequence[Happened]
    is_all: bool = True


_Wanted = Callable[[Happened], bool]


async def lately(
    store: Store, *, most: int, wanted: _Wanted = lambda event: True, marks: bool = False
) -> Lately:
    """The latest that are wanted; without `marks` none that tells of a chain alone. Raises
    StoreUnavailable."""

    def is_wanted(event: Happened) -> bool:
        return (marks or event.kind not in (Kind.OPENED, Kind.CLOSED)) and wanted(event)

    # What is sealed meanwhile is then found twice, and not missed.
    found = await _unsealed(store, lambda event, _: is_wanted(event))
    left = MOST_READ
    for chain in reversed(await store.chains()):
        if chain.number == ROLL or chain.standing == Standing.DROPPED:
            continue
        if len(found) >= most and chain.day < f"{_ordered(found)[-most].at - _SLACK:%Y-%m-%d}":
            break
        enough = most
        async for event in _backwards(store, chain):
            left -= 1
            if is_wanted(event):
                found[msgspec.json.encode(event)] = event
                enough -= 1
            if not left:
                return Lately(_ordered(found)[-most:], is_all=False)
            if not enough:
                break
    return Lately(_ordered(found)[-most:])


async def about(store: Store, subjects: Sequence[bytes], *, most: int) -> Lately:
    """The latest of these people, who are named by their keyed digests. Raises StoreUnavailable."""
    named = set(subjects)
    found = await _unsealed(store, lambda _, subject: subject in named)
    chains = {chain.number: chain for chain in await store.chains()}
    places = sorted(
        place for place in await store.entries_about(subjects) if _is_part(chains, *place)
    )
    for chain, position in places[-most:]:
        for entry in await store.entries(chain, position, 1):
            if entry.position == position and entry.body is not None:
                event = _shown(entry.body)
                found[msgspec.json.encode(event)] = event
    return Lately(_ordered(found)[-most:], is_all=len(places) <= most)


def _is_part(chains: Mapping[int, Chain], number: int, position: int) -> bool:
    """Whether a verifier would look at this entry: what somebody laid beside a chain is not told as
    if it had happened."""
    chain = chains.get(number)
    if chain is None or number == ROLL or chain.standing == Standing.DROPPED:
        return False
    return 0 <= position < chain.entries


async def _unsealed(
    store: Store, wanted: Callable[[Happened, bytes], bool]
) -> dict[bytes, Happened]:
    found = {}
    for _, event in await store.unsealed(_UNSEALED):
        shown = _shown(written(event))
        if wanted(shown, event.subject):
            found[msgspec.json.encode(shown)] = shown
    return found


async def _backwards(store: Store, chain: Chain) -> AsyncIterator[Happened]:
    end = chain.entries
    while end > 0:
        start = max(0, end - _PAGE)
        for entry in reversed(await store.entries(chain.number, start, end - start)):
            if entry.body is not None:
                yield _shown(entry.body)
        end = start


def _ordered(found: dict[bytes, Happened]) -> list[Happened]:
    return sorted(found.values(), key=lambda event: event.at)


def _shown(body: bytes) -> Happened:
    told = read(body)
    return Happened(
        at=_instant(told.get("at")),
        kind=str(told.get("kind", "")),
        app_id=str(told.get("app", "")),
        channel=str(told.get("channel", "")),
        purpose=str(told.get("purpose", "")),
        challenge_id=str(told.get("challenge", "")),
        masked=str(told.get("to", "")),
        details=details if isinstance(details := told.get("details"), dict) else {},
    )


def _instant(told: object) -> datetime:
    """Of an entry that was tampered with, the beginning of time: the verifier says the rest."""
    try:
        return msgspec.convert(told, datetime)
    except msgspec.ValidationError:
        return datetime.fromtimestamp(0, UTC)
