"""Sweep: forget what nobody needs any more, a little at a time."""

from __future__ import annotations

import asyncio
import time

from watchword.errors import StoreUnavailable
from watchword.ports import Clock, Store

HANDFUL = 96
_REST_S = 5.0
_GROWS_IN_S = 60.0


class Pace:
    """How long the sweeper rests after each handful, so that it takes a share of the time.

    What has no end takes more and more of it, as far as the store allows: else a load under which
    more falls due than the usual share sweeps would grow the store for ever.
    """

    def __init__(self, usual: float, largest: float) -> None:
        self._usual, self._largest = usual, largest
        self.share = usual

    def rest_s(self, took_s: float, *, more: bool) -> float:
        """Seconds until the next handful, where the last one took so long."""
        if not more:
            self.share = max(self._usual, self.share / 2)
            return _REST_S
        rest_s = took_s * (1 / self.share - 1)
        grown = self.share * (1 + (took_s + rest_s) / _GROWS_IN_S)
        self.share = min(self._largest, grown)
        return rest_s


async def sweep(store: Store, clock: Clock) -> None:
    """Sweep until cancelled: at the store's pace while there is more, then every 5 s."""
    pace = Pace(*store.sweeping_shares)
    while True:
        began = time.monotonic()
        more = await _handful(store, clock)
        await asyncio.sleep(pace.rest_s(time.monotonic() - began, more=more))


async def _handful(store: Store, clock: Clock) -> bool:
    try:
        return (await store.sweep(clock(), most=HANDFUL)).more
    except StoreUnavailable:
        return False
