"""Things made ahead, so that nobody waits for their making."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

_Waiting = tuple[asyncio.AbstractEventLoop, "asyncio.Future[T]"]


class Pool(Generic[T]):
    """Keeps up to `most` things made by `make`, each handed out once.

    One daemon thread makes them. It starts at the first take, so a process that never takes pays
    nothing; it sleeps until fewer than half are left, and then makes up what is missing.
    """

    def __init__(self, make: Callable[[], T], *, most: int, rest_s: float, name: str) -> None:
        """Between two things it rests for `rest_s` while half of them are there, to leave the
        processor to those who serve."""
        self._make = make
        self._most = most
        self._mark = max(1, most // 2)
        self._rest_s = rest_s
        self._name = name
        self._made: deque[T] = deque()
        self._waiting: deque[_Waiting[T]] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    async def take(self, *, patience_s: float) -> T:
        """One thing, at once as a rule. Raises TimeoutError where none comes in time."""
        with self._changed:
            if self._closed:
                raise TimeoutError
            self._keep_making()
            if self._made:
                return self._taken()
            mine = self._queued()
        try:
            async with asyncio.timeout(patience_s):
                return await mine[1]
        finally:
            self._leave(mine)

    async def close(self) -> None:
        """End the thread after the thing in its hands. Whoever waits is turned away."""
        with self._changed:
            self._closed = True
            turned_away = [*self._waiting]
            self._waiting.clear()
            self._changed.notify()
        for waiting in turned_away:
            _turn_away(waiting)
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    def _keep_making(self) -> None:
        # A thread that died of an error, or was left behind by a fork, is followed by another.
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()

    def _taken(self) -> T:
        thing = self._made.popleft()
        if len(self._made) < self._mark:
            self._changed.notify()
        return thing

    def _queued(self) -> _Waiting[T]:
        loop = asyncio.get_running_loop()
        mine = (loop, loop.create_future())
        self._waiting.append(mine)
        self._changed.notify()
        return mine

    def _leave(self, mine: _Waiting[T]) -> None:
        with self._changed:
            if mine in self._waiting:
                self._waiting.remove(mine)

    def _run(self) -> None:
        while self._wait_until_wanted():
            while self._give(self._make()):
                pass

    def _wait_until_wanted(self) -> bool:
        """False where nothing will be wanted any more."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or self._waiting or len(self._made) < self._mark
            )
            return not self._closed

    def _give(self, thing: T) -> bool:
        """To the one who waits longest, or on the pile. False where no more are missing."""
        with self._changed:
            if self._closed:
                return False
            if self._waiting:
                _hand_over(self._waiting.popleft(), thing)
                return True
            self._made.append(thing)
            if len(self._made) >= self._mark:
                self._changed.wait_for(self._in_haste, timeout=self._rest_s)
            return not self._closed and len(self._made) < self._most

    def _in_haste(self) -> bool:
        return self._closed or len(self._made) < self._mark


def _hand_over(waiting: _Waiting[T], thing: T) -> None:
    loop, future = waiting
    _tell(loop, lambda: None if future.done() else future.set_result(thing))


def _turn_away(waiting: _Waiting[T]) -> None:
    loop, future = waiting
    _tell(loop, lambda: None if future.done() else future.set_exception(TimeoutError()))


def _tell(loop: asyncio.AbstractEventLoop, what: Callable[[], None]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(what)
