"""Inherit a journal whose key ring is lost: its chains stay readable, and are marked as unproven by
the ring that goes on, so that nobody takes them for altered, nor for verified."""

from __future__ import annotations

import msgspec

from watchword.domain.event import ROLL, Standing, signed
from watchword.domain.keys import KeyRing
from watchword.ports import Store


async def inherit_journal(store: Store, keys: KeyRing) -> int:
    """How many chains that were. Nobody else may write meanwhile."""
    chains = await store.chains()
    for chain in chains:
        is_kept = chain.number == ROLL or chain.standing == Standing.DROPPED
        standing = chain.standing if is_kept else Standing.UNPROVEN
        kept = msgspec.structs.replace(chain, standing=standing)
        await store.put_chain(signed(kept, keys))
    return sum(chain.number != ROLL for chain in chains)
