"""Sweep: forget what nobody needs any more, a little at a time."""

from __future__ import annotations

import asyncio
import time

from watchword.errors import StoreUnavailable
from watchword.ports import Clock, Store

HANDFUL = 96
_REST_S = 5.0


async def sweep(store: Store, clock: Clock) -> None:
    """Sweep until cancelled: without a rest while there is more, then every 5 s."""
    while True:
        began = time.monotonic()
        more = await _handful(store, clock)
        took = time.monotonic() - began
        await asyncio.sleep(took * (1 / store.sweeping_share - 1) if more else _REST_S)


async def _handful(store: Store, clock: Clock) -> bool:
    try:
        return (await store.sweep(clock(), most=HANDFUL)).more
    except StoreUnavailable:
        return False
