"""Keep the journal: the scribe seals what acts wrote into a chain of its own, a new one each day,
and drops whole days when their time is over."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

import msgspec

from watchword.domain.event import (
    ROLL,
    Chain,
    Entry,
    Event,
    Kind,
    Standing,
    appended,
    is_ours,
    signed,
)
from watchword.domain.keys import KeyRing
from watchword.domain.webhook import Webhook
from watchword.errors import KeyUnknown, StoreUnavailable
from watchword.ports import Clock, NewNotice, Store
from watchword.service.notify import notices

Known = Callable[[datetime], Awaitable[Sequence[Webhook]]]
"""The webhooks there are, as of now."""

HANDFUL = 200
_REST_S = 0.5
_DROP_EVERY = timedelta(hours=1)
_LAST_S = 2.0
"""How long a stop may take over what is not yet sealed."""


class Scribe:
    """One process' hand. What a crash leaves unsealed another one seals, or the next start."""

    def __init__(
        self,
        store: Store,
        keys: KeyRing,
        clock: Clock,
        *,
        keep: timedelta | None,
        webhooks: Known | None = None,
    ) -> None:
        self._store, self._keys, self._clock, self._keep = store, keys, clock, keep
        self._webhooks = webhooks
        self._chain: Chain | None = None
        self._drops_at: datetime | None = None

    async def run(self) -> None:
        """Seal and drop until cancelled; then seal what is there, and close the chain."""
        try:
            while True:
                if not await self._turn():
                    await asyncio.sleep(_REST_S)
        finally:
            await self._stop()

    async def seal(self) -> bool:
        """Seal one handful; whether there may be more."""
        await self._close_yesterday()
        found = await self._store.unsealed(HANDFUL)
        if not found:
            return False
        chain = self._chain or await self._begin()
        if chain is None:
            return True
        events, numbers = [event for _, event in found], [number for number, _ in found]
        is_done = await self._append(chain, events, numbers)
        return is_done and len(found) == HANDFUL

    async def close(self) -> None:
        """End the chain with a mark that says how long it is."""
        if self._chain is not None:
            entries = self._chain.entries + 1
            details = msgspec.json.encode({"entries": entries}).decode()
            mark = Event(at=self._clock(), kind=Kind.CLOSED, details=details)
            await self._append(self._chain, [mark], [], Standing.CLOSED)
            self._chain = None

    async def drop(self) -> None:
        """Drop the chains whose day is over for so long; a signed row of each stays. One that was
        tampered with is kept, for whoever wants to know."""
        if self._keep is None:
            return
        last = f"{self._clock() - self._keep:%Y-%m-%d}"
        for chain in await self._store.chains():
            if chain.number == ROLL or chain.day >= last or not self._knows(chain):
                continue
            if chain.standing != Standing.DROPPED:
                dropped = msgspec.structs.replace(chain, standing=Standing.DROPPED)
                await self._store.put_chain(signed(dropped, self._keys))
            more = True
            while more:
                more = await self._store.drop_entries(chain.number, HANDFUL) == HANDFUL

    async def _turn(self) -> bool:
        try:
            more = await self.seal()
            now = self._clock()
            if self._drops_at is None or now >= self._drops_at:
                self._drops_at = now + _DROP_EVERY
                await self.drop()
        except StoreUnavailable:
            return False
        return more

    async def _stop(self) -> None:
        try:
            async with asyncio.timeout(_LAST_S):
                while await self.seal():
                    pass
                await self.close()
        except (StoreUnavailable, TimeoutError):
            return

    async def _close_yesterday(self) -> None:
        if self._chain is not None and self._chain.day != _day(self._clock()):
            await self.close()

    async def _begin(self) -> Chain | None:
        """A chain of our own, with its opening mark; None where another process was first."""
        known = await self._store.chains()
        before = known[0].entries if known and known[0].number == ROLL else 0
        day = _day(self._clock())
        roll = Chain(number=ROLL, day="", entries=before + 1, last=b"", standing=Standing.ROLL)
        chain = Chain(number=before + 1, day=day, entries=0, last=b"", standing=Standing.OPEN)
        chain = signed(chain, self._keys)
        if not await self._store.begin_chain(chain, signed(roll, self._keys)):
            return None
        whose = {"host": socket.gethostname(), "process": os.getpid()}
        mark = Event(
            at=self._clock(), kind=Kind.OPENED, details=msgspec.json.encode(whose).decode()
        )
        self._chain = chain
        await self._append(chain, [mark], [])
        return self._chain

    async def _append(
        self,
        chain: Chain,
        events: list[Event],
        numbers: list[int],
        standing: Standing = Standing.OPEN,
    ) -> bool:
        """False where another scribe was first, or the chain is not as we left it: somebody put an
        older store back, or altered it. Then it is left as it is, and the next one is another."""
        entries: list[Entry] = []
        longer = chain
        for event in events:
            longer, entry = appended(longer, event, self._keys)
            entries.append(entry)
        longer = signed(msgspec.structs.replace(longer, standing=standing), self._keys)
        told = await self._notices(events) if numbers else ()
        try:
            if await self._store.seal(longer, entries, numbers, told):
                self._chain = longer
                return True
        except BaseException:
            # Nobody can tell whether it was done, so the next chain is another one.
            self._chain = None
            raise
        if not any(one == chain for one in await self._store.chains()):
            self._chain = None
        return False

    async def _notices(self, events: Sequence[Event]) -> Sequence[NewNotice]:
        """What webhooks are to be told of them."""
        if self._webhooks is None:
            return ()
        return notices(events, await self._webhooks(self._clock()))

    def _knows(self, chain: Chain) -> bool:
        try:
            return is_ours(chain, self._keys)
        except KeyUnknown:
            return False


def _day(now: datetime) -> str:
    return f"{now:%Y-%m-%d}"
