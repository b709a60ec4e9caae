"""Where the CPU time of this process goes: its stacks, looked at each time it has spent a little.

Each thread's present stack is charged with the CPU time that this thread spent since the last look,
so that waiting weighs nothing. A call into C counts for the line of Python that made it.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from types import FrameType

import msgspec

PERIOD = 0.001


class Place(msgspec.Struct, frozen=True):
    """A function: seconds spent in itself, and in itself and whatever it called."""

    thread: str
    module: str
    function: str
    itself: float
    total: float


class Sampler:
    def __init__(self) -> None:
        self._itself: dict[tuple[int, str, str], float] = defaultdict(float)
        self._total: dict[tuple[int, str, str], float] = defaultdict(float)
        self._spent: dict[int, float] = {}

    def start(self) -> None:
        """Begin anew."""
        self._itself.clear()
        self._total.clear()
        self._charge_threads()
        signal.signal(signal.SIGPROF, self._look)
        signal.setitimer(signal.ITIMER_PROF, PERIOD, PERIOD)

    def stop(self) -> list[Place]:
        """The places, dearest first."""
        signal.setitimer(signal.ITIMER_PROF, 0)
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        places = [
            Place(
                names.get(thread, "?"), _module(path), function, self._itself.get(key, 0.0), total
            )
            for key, total in self._total.items()
            for thread, path, function in [key]
        ]
        return sorted(places, key=lambda place: -place.itself)

    def _look(self, _: int, interrupted: FrameType | None) -> None:
        frames = sys._current_frames()
        if interrupted is not None:
            frames[threading.get_ident()] = interrupted
        for thread, spent in self._charge_threads():
            frame = frames.get(thread)
            if spent > 0 and frame is not None:
                self._charge(thread, frame, spent)

    def _charge_threads(self) -> Iterator[tuple[int, float]]:
        """CPU seconds of each thread since the last look."""
        now = {
            thread.ident: time.clock_gettime(time.pthread_getcpuclockid(thread.ident))
            for thread in threading.enumerate()
            if thread.ident is not None
        }
        before, self._spent = self._spent, now
        return iter([(thread, at - before.get(thread, at)) for thread, at in now.items()])

    def _charge(self, thread: int, frame: FrameType, spent: float) -> None:
        stack = list(_stack(frame))
        self._itself[thread, *stack[0]] += spent
        for place in set(stack):
            self._total[thread, *place] += spent


def _stack(frame: FrameType | None) -> Iterator[tuple[str, str]]:
    while frame is not None:
        yield frame.f_code.co_filename, frame.f_code.co_qualname
        frame = frame.f_back


def _module(path: str) -> str:
    """The dotted name of the module in a file."""
    homes = (home for home in sys.path if home and path.startswith(home + "/"))
    name = path.removeprefix(max(homes, key=len, default="") + "/")
    return name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
