"""Telling workers that something was queued, and hearing it: a hint, never the only way to know.

A NOTIFY in the act itself would have all commits of the fleet take one lock after the other. So
a process says it afterwards, and however much it queues, no more often than every 50 ms.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context

from watchword.errors import StoreUnavailable
from watchword.stores.postgres._connections import TROUBLE, Connections, Terms, connect
from watchword.stores.postgres._queries import SQL

TELL_EVERY_S = 0.05
_TRY_AGAIN_S = 1.0
_TOPIC = "watchword"


class Notifier:
    """Says which channels something was queued for."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._queued: set[str] = set()
        self._telling: asyncio.Task[None] | None = None

    def queued(self, channel: str) -> None:
        self._queued.add(channel)
        if self._telling is None:
            # Not as part of the request that queued: its patience is not ours.
            self._telling = asyncio.create_task(self._tell(), context=Context())

    async def close(self) -> None:
        if self._telling:
            self._telling.cancel()

    async def _tell(self) -> None:
        while self._queued:
            channels, self._queued = self._queued, set()
            with suppress(StoreUnavailable):
                for channel in channels:
                    await self._connections.fetch(SQL["notify"], channel)
            await asyncio.sleep(TELL_EVERY_S)
        self._telling = None


class Listener:
    """Hears it, on a connection of its own; whenever that ends, another one is made."""

    def __init__(self, address: str, terms: Terms, tell: Callable[[str], None]) -> None:
        self._address, self._terms, self._tell = address, terms, tell
        self._task = asyncio.create_task(self._listen_for_ever())

    async def close(self) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _listen_for_ever(self) -> None:
        while True:
            with suppress(*TROUBLE):
                await self._listen()
            await asyncio.sleep(_TRY_AGAIN_S)

    async def _listen(self) -> None:
        ended = asyncio.Event()
        connection = await connect(self._address, self._terms)
        try:
            connection.add_termination_listener(lambda _: ended.set())
            await connection.add_listener(_TOPIC, lambda *told: self._tell(told[-1]))
            await ended.wait()
        finally:
            connection.terminate()
