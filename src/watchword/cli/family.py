"""`serve --workers N`: a parent that owns the sockets and raises children that use them.

The parent only watches: it never opens the store and runs no event loop, so that forking it is
safe at any time. A child that dies is born again, later each time it dies young. A pipe that only
the parent holds open tells the children when it is gone, even by kill -9.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import msgspec

from watchword.cli import answering
from watchword.cli.answering import Looked, Ties
from watchword.cli.board import Board, Place
from watchword.cli.refusal import Refused, explained
from watchword.config import Settings

LONGEST_PAUSE_S = 30.0
GROWN_UP_S = 60.0
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)

Task = Callable[[Ties], None]


class Child(msgspec.Struct, kw_only=True):
    """One of the family: what it does, and how often it died young."""

    task: Task
    pid: int = 0
    born_at: float = 0.0
    reborn_at: float = 0.0
    deaths: int = 0


def looked_at(settings: Settings) -> Looked:
    """Open the service once, in a child of its own: it is made ready, and its mistakes are told
    once."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        _live(lambda: os.write(writer, msgspec.json.encode(answering.look(settings))))
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        told = pipe.read()
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0:
        raise Refused("The server did not start.")
    return msgspec.json.decode(told, type=Looked)


def raise_all(tasks: Sequence[Task], *, grace_s: float, on_ready: Callable[[], None]) -> int:
    """Keep every task alive in a child until a signal; then end them all, by force whoever has not
    within the grace. Gives the exit code."""
    return Family([Child(task=task) for task in tasks], grace_s, on_ready).live()


class Family:
    """The parent's view."""

    def __init__(
        self, children: Sequence[Child], grace_s: float, on_ready: Callable[[], None]
    ) -> None:
        self.children = children
        self.grace_s = grace_s
        self.on_ready = on_ready
        self.ready = 0
        self.alive, self.parent = os.pipe()
        self.greetings, self.greeting = os.pipe()
        self.signals: set[int] = set()
        self.board = Board(len(children))

    def live(self) -> int:
        gc.freeze()  # what is shared stays shared: no child's collector writes to it
        with self._woken_by_signals() as bell:
            self._bear_again()
            while not self.signals & {signal.SIGTERM, signal.SIGINT}:
                self._wait(bell)
                if self._bury() and self.ready < len(self.children):
                    self._end_all()
                    return 1
                self._bear_again()
            self._end_all()
        return 0

    def _wait(self, bell: int) -> None:
        """Until a signal, a greeting, or the next birth."""
        pauses = [child.reborn_at - time.monotonic() for child in self.children if not child.pid]
        timeout = max(0.0, min(pauses)) if pauses else None
        found, _, _ = select.select([bell, self.greetings], [], [], timeout)
        if bell in found:
            self.signals.update(os.read(bell, 64))
        if self.greetings in found:
            self._count(len(os.read(self.greetings, 64)))

    def _count(self, greetings: int) -> None:
        was_ready, self.ready = self.ready, self.ready + greetings
        if was_ready < len(self.children) <= self.ready:
            self.on_ready()

    def _bury(self) -> bool:
        """Note who died. True when somebody did."""
        dead = False
        while (pid := _some_dead()) != 0:
            for child in self.children:
                if child.pid == pid:
                    self._mourn(child)
                    dead = True
        return dead

    def _mourn(self, child: Child) -> None:
        now = time.monotonic()
        child.deaths = 1 if now - child.born_at > GROWN_UP_S else child.deaths + 1
        child.pid = 0
        child.reborn_at = now + min(LONGEST_PAUSE_S, 0.25 * 2 ** (child.deaths - 1))

    def _bear_again(self) -> None:
        for child, place in zip(self.children, self.board.places, strict=True):
            if not child.pid and child.reborn_at <= time.monotonic():
                self._bear(child, place)

    def _bear(self, child: Child, place: Place) -> None:
        child.born_at = time.monotonic()
        child.pid = os.fork()
        if child.pid == 0:
            os.close(self.parent)
            _live(lambda: child.task(Ties(self.alive, self.greeting, place)))

    def _end_all(self) -> None:
        """Ask each to finish; those that cannot within the grace are ended."""
        self._tell(signal.SIGTERM)
        deadline = time.monotonic() + self.grace_s
        while any(child.pid for child in self.children):
            if time.monotonic() > deadline:
                self._tell(signal.SIGKILL)
            self._bury()
            time.sleep(0.02)

    def _tell(self, number: int) -> None:
        for child in self.children:
            if child.pid:
                os.kill(child.pid, number)

    @contextmanager
    def _woken_by_signals(self) -> Iterator[int]:
        bell, ringer = os.pipe()
        os.set_blocking(ringer, False)
        signal.set_wakeup_fd(ringer, warn_on_full_buffer=False)
        before = {number: signal.signal(number, lambda *_: None) for number in _SIGNALS}
        try:
            yield bell
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in before.items():
                signal.signal(number, handler)


def _some_dead() -> int:
    try:
        return os.waitpid(-1, os.WNOHANG)[0]
    except ChildProcessError:
        return 0


def _live(work: Callable[[], object]) -> None:
    """A child's whole life. It never returns into what its parent was doing."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        work()
        code = 0
    except BaseException as error:
        sentence = explained(error)
        print(sentence or traceback.format_exc(), file=sys.stderr)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
