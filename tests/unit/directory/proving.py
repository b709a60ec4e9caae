"""What the tests of Huawei Cloud's credentials share: who proves what, and what became of it."""

import asyncio
from collections import Counter
from datetime import timedelta

from watchword.errors import AccessDenied, QuotaExceeded

SECOND = timedelta(seconds=1)
HERE, THERE = "192.0.2.1", "192.0.2.2"
RIGHT = "Tr0ub4dor&3"


class Counting:
    """A store that counts how often each of its verbs is asked."""

    def __init__(self, store):
        self._store = store
        self.asked: Counter[str] = Counter()

    def __getattr__(self, verb):
        self.asked[verb] += 1
        return getattr(self._store, verb)


async def told(act):
    try:
        await act
    except (AccessDenied, QuotaExceeded) as refusal:
        return type(refusal).__name__
    return "right"


async def all_told(acts):
    return Counter(await asyncio.gather(*map(told, acts)))


async def fail(credentials, acts, ak, times=6, network=HERE):
    for _ in range(times):
        await credentials.failed(ak, network, acts.now)


async def is_locked(credentials, acts, ak, network=HERE):
    return await told(credentials.refuse_if_locked(ak, network, acts.now)) == "QuotaExceeded"
