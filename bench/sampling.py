"""Where the CPU time of this process goes, function by function.

The main thread is looked at each time the process has spent a little: its present stack is charged
with the CPU time that it spent since the last look. Such looks happen when the main thread holds
the interpreter's lock, hence always find the others where they gave it up; so those are profiled
call by call instead, on their own CPU clocks, which makes them some tenths dearer than they are.
Waiting weighs nothing, and a call into C counts for the function that made it.
"""

from __future__ import annotations

import cProfile
import signal
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from types import CodeType, FrameType
from typing import Any

import msgspec

PERIOD = 0.001
Spot = tuple[str, str, str]
"""Thread, file and function."""


class Place(msgspec.Struct, frozen=True):
    """A function: seconds spent in itself, and in itself and whatever it called."""

    thread: str
    module: str
    function: str
    itself: float
    total: float


class Sampler:
    def __init__(self) -> None:
        """Also profiles whatever threads start from now on."""
        self._looks = Charged()
        self._before = Charged()
        self._spent = 0.0
        self._profiles: list[tuple[str, cProfile.Profile]] = []
        threading.setprofile(self._enter_thread)

    def start(self) -> None:
        """Begin anew."""
        self._looks, self._before = Charged(), self._profiled()
        self._spent = time.thread_time()
        signal.signal(signal.SIGPROF, self._look)
        signal.setitimer(signal.ITIMER_PROF, PERIOD, PERIOD)

    def stop(self) -> list[Place]:
        """The places, dearest first."""
        signal.setitimer(signal.ITIMER_PROF, 0)
        profiled = self._profiled()
        profiled.subtract(self._before)
        places = [*self._looks.places(), *profiled.places()]
        return sorted(places, key=lambda place: -place.itself)

    def _look(self, _: int, frame: FrameType | None) -> None:
        before, self._spent = self._spent, time.thread_time()
        stack = [("main", f.f_code.co_filename, f.f_code.co_qualname) for f in _frames(frame)]
        if stack:
            self._looks.charge(stack, self._spent - before)

    def _enter_thread(self, *_: Any) -> None:
        sys.setprofile(None)
        profile = cProfile.Profile(time.thread_time)
        self._profiles.append((threading.current_thread().name, profile))
        profile.enable()

    def _profiled(self) -> Charged:
        charged = Charged()
        for thread, profile in self._profiles:
            for entry in profile.getstats():
                if isinstance(entry.code, CodeType):
                    spot = (thread, entry.code.co_filename, entry.code.co_qualname)
                    into_c = (c.inlinetime for c in entry.calls or () if isinstance(c.code, str))
                    charged.itself[spot] += entry.inlinetime + sum(into_c)
                    charged.total[spot] += entry.totaltime
        return charged


class Charged:
    """Seconds by spot: in itself, and in all."""

    def __init__(self) -> None:
        self.itself: dict[Spot, float] = defaultdict(float)
        self.total: dict[Spot, float] = defaultdict(float)

    def charge(self, stack: list[Spot], seconds: float) -> None:
        """`stack` is innermost first."""
        self.itself[stack[0]] += seconds
        for spot in set(stack):
            self.total[spot] += seconds

    def subtract(self, other: Charged) -> None:
        for spot, seconds in other.itself.items():
            self.itself[spot] -= seconds
        for spot, seconds in other.total.items():
            self.total[spot] -= seconds

    def places(self) -> Iterator[Place]:
        for spot, total in self.total.items():
            thread, path, function = spot
            if total > 0:
                yield Place(thread, _module(path), function, max(0.0, self.itself[spot]), total)


def _frames(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _module(path: str) -> str:
    """The dotted name of the module in a file."""
    homes = (home for home in sys.path if home and path.startswith(home + "/"))
    name = path.removeprefix(max(homes, key=len, default="") + "/")
    return name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
