"""Passwords: argon2id, off the event loop, and never more than two at once in a process."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import timedelta
from weakref import WeakKeyDictionary

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from watchword.domain.quota import Scope
from watchword.errors import QuotaExceeded

# OWASP Password Storage Cheat Sheet, "Argon2id": at least 19 MiB, 2 passes, 1 lane.
_MEMORY_KIB, _PASSES, _LANES = 19 * 1024, 2, 1
_AT_ONCE = 2
_MOST_WAITING, _MOST_OF_ONE = 400, 100
_WAIT = timedelta(seconds=1)
_NOBODYS = f"$argon2id$v=19$m={_MEMORY_KIB},t={_PASSES},p={_LANES}${'A' * 22}${'A' * 43}"
"""A hash that costs as much as a real one, and that no password has."""

_hasher = PasswordHasher(time_cost=_PASSES, memory_cost=_MEMORY_KIB, parallelism=_LANES)
_threads = ThreadPoolExecutor(_AT_ONCE, "argon2")


class _Turns:
    """Who is being judged on an event loop, or waits to be."""

    def __init__(self) -> None:
        self.free = asyncio.Semaphore(_AT_ONCE)
        self.waiting: Counter[str] = Counter()


_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, _Turns] = WeakKeyDictionary()


async def hash(password: str) -> str:
    """The password as a PHC string."""
    return await asyncio.get_running_loop().run_in_executor(_threads, _hasher.hash, _text(password))


async def is_right(kept: str | None, password: str) -> bool:
    """Whether `kept` was made of this password. Where there is nobody, and so nothing kept, it is
    wrong at the same cost."""
    loop = asyncio.get_running_loop()
    fits = await loop.run_in_executor(_threads, _verify, kept or _NOBODYS, _text(password))
    return fits and bool(kept)


@asynccontextmanager
async def turn(whose: str) -> AsyncIterator[None]:
    """Wait until argon2 can run at once: whoever counts a guess within its turn has few guesses
    counted that are not judged yet. `whose` is who made the work: a client network, a partner.

    Raises QuotaExceeded where too many wait already, of one or of all.
    """
    turns = _turns.setdefault(asyncio.get_running_loop(), _Turns())
    if turns.waiting[whose] >= _MOST_OF_ONE or turns.waiting.total() >= _MOST_WAITING:
        raise QuotaExceeded(scope=Scope.CREDENTIAL, retry_in=_WAIT)
    turns.waiting[whose] += 1
    try:
        async with turns.free:
            yield
    finally:
        turns.waiting[whose] -= 1
        turns.waiting += Counter()  # drops who waits no more


def _verify(kept: str, password: bytes) -> bool:
    try:
        return _hasher.verify(kept, password)
    except VerifyMismatchError:
        return False


def _text(password: str) -> bytes:
    return password.encode("utf-8", "surrogatepass")
