"""Await the outcome of one delivery, for the dialects that report a failed hand-over."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from watchword.domain.delivery import DeliveryState, Handover, Leased
from watchword.errors import ChallengeNotFound, StoreUnavailable
from watchword.ports import DeliveryStore

LONGEST = timedelta(seconds=2)
_LOOK_EVERY_S = 0.05


class Outcomes:
    """Who waits for which delivery. A lane of this process tells at once, another is looked at."""

    def __init__(self) -> None:
        self._waiting: dict[int, asyncio.Event] = {}

    def tell(self, leased: Leased, handover: Handover) -> None:
        """A lane's watcher."""
        if event := self._waiting.get(leased.id):
            event.set()

    async def outcome(
        self, delivery: int, store: DeliveryStore, *, within: timedelta = LONGEST
    ) -> DeliveryState:
        """How the delivery stands once it is settled or tried, or after `within` at the latest.

        QUEUED after a try means that the provider was unavailable and is tried again.
        """
        event = self._waiting.setdefault(delivery, asyncio.Event())
        state = DeliveryState.QUEUED
        try:
            async with asyncio.timeout(within.total_seconds()):
                while not state.is_settled:
                    told = await _within(event, _LOOK_EVERY_S)
                    state = await _look(store, delivery, state)
                    if told:
                        break
        except TimeoutError:
            pass
        finally:
            self._waiting.pop(delivery, None)
        return state


async def _within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


async def _look(store: DeliveryStore, delivery: int, known: DeliveryState) -> DeliveryState:
    try:
        return await store.delivery_state(delivery)
    except (StoreUnavailable, ChallengeNotFound):
        return known
