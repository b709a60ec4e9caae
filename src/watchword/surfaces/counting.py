"""What the processes of one server counted, told as one; and the numbers that only a look can tell.

Each process posts its tally where the others read it, once a second. One that is born again goes
on from what was posted in its place, so that no counter runs backwards: kill -9 costs what was
counted in the last second.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Protocol

import msgspec

from watchword.domain.delivery import DeliveryState, Handover, Leased
from watchword.errors import StoreUnavailable
from watchword.ports import Clock, Condition, Waiting
from watchword.service.deliver import Lane
from watchword.surfaces.metrics import TALLY, Number, Tally, render
from watchword.surfaces.running import Running

POST_EVERY_S = 1.0
LOOK_EVERY_S = 3.0
_TAKEN = (DeliveryState.ACCEPTED, DeliveryState.DELIVERED)
_ENDS = (*_TAKEN, DeliveryState.QUEUED, DeliveryState.UNKNOWN, DeliveryState.FAILED)


class Place(Protocol):
    """This process's place among those of its server."""

    def post(self, told: bytes) -> None:
        """Replace what is posted here."""

    def posted(self) -> bytes:
        """What is posted here; nothing at first."""

    def others(self) -> Sequence[bytes]:
        """What is posted at all other places."""


class Alone:
    """The place of a process that is the whole server."""

    def post(self, told: bytes) -> None:
        """Nobody reads it."""

    def posted(self) -> bytes:
        return b""

    def others(self) -> Sequence[bytes]:
        return ()


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What this server is: its kind of store, where its data is, what must not be overlooked."""

    store: str
    folder: Path
    sandbox: bool
    virtual: bool


class Counted:
    """All that is told of this server."""

    def __init__(
        self, service: Running, about: About, place: Place | None = None, tally: Tally = TALLY
    ) -> None:
        self._service, self._about = service, about
        self._place, self._tally = place or Alone(), tally
        self._commits: dict[int, int] = {}
        self._posts: dict[str, int] = {}
        self._looked: tuple[Condition | None, datetime] | None = None
        self._look_again_at = 0.0
        self._looking = asyncio.Lock()

    def begin(self) -> None:
        """Go on from what was posted here before, and count hand-overs from now on."""
        if before := self._place.posted():
            self._tally.add(before)
        for lane in self._service.lanes:
            lane.watchers.append(_Watch(lane, self._service.clock, self._tally).tell)

    async def told(self) -> bytes:
        """In the Prometheus text format. What is told is posted first: once somebody has seen a
        number, not even kill -9 makes it smaller."""
        self.post()
        whole = Tally()
        for told in (self._tally.told(), *self._place.others()):
            whole.add(told)
        condition, at = await self._condition()
        channels = [lane.channel for lane in self._service.lanes]
        return render(whole, [*_of(self._about), *_found(condition, at, channels)])

    def post(self) -> None:
        self._catch_up()
        self._place.post(self._tally.told())

    async def post_for_ever(self) -> None:
        while True:
            self.post()
            await asyncio.sleep(POST_EVERY_S)

    def _catch_up(self) -> None:
        """Take over what others count on the way."""
        for acts, times in tuple(self._service.store.commits.items()):
            if fresh := times - self._commits.get(acts, 0):
                self._tally.committed(acts, fresh)
                self._commits[acts] = times
        for outcome, times in tuple(self._service.notifier.ended_as.items()):
            self._tally.posted(outcome, times - self._posts.get(outcome, 0))
            self._posts[outcome] = times
        for lane in self._service.lanes:
            self._tally.paused(lane.channel, is_so=bool(lane.paused))

    async def _condition(self) -> tuple[Condition | None, datetime]:
        """How the store is, None where it is away: looked at every few seconds at most, however
        many ask."""
        async with self._looking:
            if self._looked is None or time.monotonic() >= self._look_again_at:
                self._looked = await self._look()
                self._look_again_at = time.monotonic() + LOOK_EVERY_S
            return self._looked

    async def _look(self) -> tuple[Condition | None, datetime]:
        store, now = self._service.store, self._service.clock()
        try:
            await store.ready()
            return await store.condition(now), now
        except StoreUnavailable:
            return None, now


@asynccontextmanager
async def counting(
    service: Running, about: About, place: Place | None = None
) -> AsyncIterator[Counted]:
    """Count what this process does, and post it until the end."""
    counted = Counted(service, about, place)
    counted.begin()
    posting = asyncio.create_task(counted.post_for_ever())
    try:
        yield counted
    finally:
        posting.cancel()
        with suppress(asyncio.CancelledError):
            await posting
        counted.post()


class _Watch:
    """Counts the hand-overs of one lane."""

    def __init__(self, lane: Lane, clock: Clock, tally: Tally) -> None:
        self._named, self._clock, self._tally = (lane.channel, lane.provider.name), clock, tally
        tally.unavailable(*self._named, is_so=False)
        for state in _ENDS:
            tally.handed_over(*self._named, state, times=0)

    def tell(self, leased: Leased, handover: Handover) -> None:
        state = handover.state
        self._tally.handed_over(*self._named, state)
        if state is DeliveryState.CANCELLED:  # it was handed to no provider
            return
        self._tally.unavailable(*self._named, is_so=handover.is_trouble)
        if state in _TAKEN:
            waited = self._clock() - leased.queued_at
            self._tally.accepted(*self._named, waited.total_seconds())


def _of(about: About) -> Iterator[Number]:
    build = (version("watchword"), about.store, python_version())
    yield Number(
        "build_info", "What runs here.", ("version", "store", "python_version"), {build: 1}
    )
    yield _plain("sandbox", "1 while sandbox is on.", about.sandbox)
    yield _plain("virtual", "1 while codes can be read here, by design.", about.virtual)
    with suppress(OSError):
        disk = os.statvfs(about.folder)
        free, size = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
        yield _plain("data_free_bytes", "Free on the disk of the data folder.", free)
        yield _plain("data_size_bytes", "The size of the disk of the data folder.", size)


def _found(condition: Condition | None, at: datetime, channels: Sequence[str]) -> Iterator[Number]:
    """A channel that nothing waits for has a nought: an alert must see that it is over."""
    yield _plain("store_up", "1 while the store takes writes.", condition is not None)
    if condition is None:
        return
    nothing = {channel: Waiting(channel, 0, at) for channel in channels}
    waiting = nothing | {one.channel: one for one in condition.waiting}
    yield Number(
        "outbox_messages",
        "Messages that are queued or being handed over.",
        ("channel",),
        {(channel,): one.messages for channel, one in waiting.items()},
    )
    yield Number(
        "outbox_oldest_seconds",
        "How long ago the oldest of them was queued.",
        ("channel",),
        {(channel,): _ago(one.oldest_at, at) for channel, one in waiting.items()},
    )
    yield _plain(
        "sweep_lag_seconds",
        "For how long the oldest row that nobody needs any more could have been swept.",
        _ago(condition.unswept_since or at, at),
    )


def _plain(name: str, documentation: str, value: float) -> Number:
    return Number(name, documentation, (), {(): value})


def _ago(then: datetime, now: datetime) -> float:
    return max(0.0, (now - then).total_seconds())
