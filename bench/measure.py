"""One window of load on one server, and several of them boiled down to one figure."""

from __future__ import annotations

import gc
import time
from collections import Counter
from collections.abc import Callable, Sequence
from statistics import median

import msgspec

from bench.load import Answers, Client
from bench.process import Pinned, ServerProcess

BUSY = 0.9
CONSTANT, PLAIN = "constant", "plain constant"
CROWD = 32
"""From so many clients on, a figure counts only if the server was the one too slow."""


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """Rates a second, latencies in milliseconds, CPU in microseconds an answer; `busy` is the share
    of its core that the server used, `others` what others had of it, `client_busy` what our client
    used of its own."""

    rate: float
    p50: float
    p99: float
    cpu_us: float
    busy: float
    client_busy: float
    others: float
    statuses: dict[int, int]

    @property
    def answers(self) -> int:
        return sum(self.statuses.values())


class Delivered(msgspec.Struct, frozen=True):
    """The sends of a window with their delivery: a second until the last was received, and CPU
    microseconds each."""

    rate: float
    cpu_us: float


class Beside(msgspec.Struct, frozen=True, kw_only=True):
    """What a scenario does and spends as a share of a constant route, window by window; and that
    route's own p50."""

    rate: float
    cpu: float
    p50: float

    @classmethod
    def medians(cls, windows: Sequence[Window], routes: Sequence[Window]) -> Beside:
        pairs = list(zip(windows, routes, strict=True))
        return cls(
            rate=median(w.rate / r.rate for w, r in pairs),
            cpu=median(w.cpu_us / r.cpu_us for w, r in pairs),
            p50=median(r.p50 for r in routes),
        )


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """The medians of the windows of one scenario; a send or a check also beside the constant route
    of the stack and beside the plain one."""

    scenario: str
    clients: int
    worker: bool
    rate: float
    p50: float
    p99: float
    cpu_us: float
    busy: float
    client_busy: float
    others: float
    statuses: dict[int, int]
    to_constant: Beside | None = None
    to_plain: Beside | None = None
    rate_until_delivered: float | None = None
    cpu_us_until_delivered: float | None = None

    @property
    def counts(self) -> bool:
        return self.clients < CROWD or self.busy >= BUSY


def loaded(
    server: ServerProcess, client: Client, load: Callable[[], Answers]
) -> tuple[Window, Answers]:
    """Load the server, and see what it did and what it spent."""
    with Quiet():
        window, answers = spent_on(server, load)
        client.settle()
    return window, answers


def spent_on(process: Pinned, load: Callable[[], Answers]) -> tuple[Window, Answers]:
    """What a process did under a load, and what it spent."""
    before = _Spent.so_far(process)
    answers = load()
    return _window(answers, _Spent.so_far(process) - before), answers


class _Spent(msgspec.Struct, frozen=True):
    """Seconds: of CPU time by the server, by anybody on its core, and by us; and as they pass."""

    server: float
    core: float
    client: float
    elapsed: float

    @classmethod
    def so_far(cls, process: Pinned) -> _Spent:
        used = process.cpu_seconds(), process.core_seconds()
        return cls(*used, time.process_time(), time.perf_counter())

    def __sub__(self, other: _Spent) -> _Spent:
        mine, theirs = msgspec.structs.astuple(self), msgspec.structs.astuple(other)
        return _Spent(*(a - b for a, b in zip(mine, theirs, strict=True)))


def _window(answers: Answers, spent: _Spent) -> Window:
    return Window(
        rate=answers.rate,
        p50=answers.percentile(0.50) * 1e3,
        p99=answers.percentile(0.99) * 1e3,
        cpu_us=spent.server / len(answers.latencies) * 1e6 if answers.latencies else 0.0,
        busy=spent.server / spent.elapsed,
        client_busy=spent.client / spent.elapsed,
        others=max(0.0, spent.core - spent.server) / spent.elapsed,
        statuses=dict(answers.statuses),
    )


def figure(
    scenario: str,
    clients: int,
    windows: Sequence[Window],
    *,
    worker: bool = False,
    constant: Sequence[Window] = (),
    plain: Sequence[Window] = (),
    until_delivered: Sequence[Delivered] = (),
) -> Figure:
    return Figure(
        scenario=scenario,
        clients=clients,
        worker=worker,
        rate=median(w.rate for w in windows),
        p50=median(w.p50 for w in windows),
        p99=median(w.p99 for w in windows),
        cpu_us=median(w.cpu_us for w in windows),
        busy=median(w.busy for w in windows),
        client_busy=median(w.client_busy for w in windows),
        others=median(w.others for w in windows),
        statuses=dict(sum((Counter(w.statuses) for w in windows), Counter[int]())),
        to_constant=Beside.medians(windows, constant) if constant else None,
        to_plain=Beside.medians(windows, plain) if plain else None,
        rate_until_delivered=median(d.rate for d in until_delivered) if until_delivered else None,
        cpu_us_until_delivered=(
            median(d.cpu_us for d in until_delivered) if until_delivered else None
        ),
    )


class Quiet:
    """The client's own garbage collector stays out of the window."""

    def __enter__(self) -> None:
        gc.collect()
        gc.disable()

    def __exit__(self, *_: object) -> None:
        gc.enable()
