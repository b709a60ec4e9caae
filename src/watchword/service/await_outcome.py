"""Await the outcome of one delivery, for the dialects that report a failed hand-over."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from watchword.domain.challenge import State
from watchword.domain.delivery import DeliveryState, Handover, Leased
from watchword.errors import ChallengeNotFound, StoreUnavailable
from watchword.ports import PATIENCE, PATIENCE_S, DeliveryStore, Store

LONGEST = timedelta(seconds=2)
_FIRST_LOOK_S = 0.05
_RAREST_LOOK_S = 0.25


class Outcomes:
    """Who waits for which delivery. A lane of this process tells at once; another one's deliveries
    are looked at, less and less often."""

    def __init__(self) -> None:
        self._waiting: dict[int, asyncio.Future[DeliveryState]] = {}

    def tell(self, leased: Leased, handover: Handover) -> None:
        """A lane's watcher."""
        told = self._waiting.get(leased.id)
        if told and not told.done():
            told.set_result(handover.state)

    async def outcome(
        self, delivery: int, store: DeliveryStore, *, within: timedelta = LONGEST
    ) -> DeliveryState:
        """How the delivery stands once it is settled or tried, or after `within` at the latest, of
        which goes what the request has waited for the store already.

        QUEUED after a try means that the provider was unavailable and is tried again.
        """
        fresh = asyncio.get_running_loop().create_future()
        told = self._waiting.setdefault(delivery, fresh)
        state, pause_s = DeliveryState.QUEUED, _FIRST_LOOK_S
        try:
            async with asyncio.timeout(within.total_seconds() - _waited_s()):
                while not state.is_settled:
                    await asyncio.wait([told], timeout=pause_s)
                    if told.done():
                        return told.result()
                    state = await _look(store, delivery, state)
                    pause_s = min(2 * pause_s, _RAREST_LOOK_S)
        except TimeoutError:
            pass
        finally:
            self._waiting.pop(delivery, None)
        return state

    async def was_refused(
        self, app_id: str, challenge_id: str, delivery: int, store: Store
    ) -> bool:
        """Whether the carrier refused the message for good, or another one to the same address,
        which ended this code too. A send whose code newer ones have replaced was not refused."""
        state = await self.outcome(delivery, store)
        if state is not DeliveryState.CANCELLED:
            return state is DeliveryState.FAILED
        try:
            return (await store.challenge(app_id, challenge_id)).state is State.CANCELLED
        except StoreUnavailable:  # the send stands, whatever can be learnt of it now
            return False


def _waited_s() -> float:
    patience = PATIENCE.get()
    return PATIENCE_S - patience.left_s if patience else 0.0


async def _look(store: DeliveryStore, delivery: int, known: DeliveryState) -> DeliveryState:
    try:
        return await store.delivery_state(delivery)
    except (StoreUnavailable, ChallengeNotFound):
        return known
