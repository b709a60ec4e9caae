"""Another process on the same store: it is told on stdin what to do, and answers on stdout.

It opens the store by itself, says that it is ready, waits for the word, and then does all it was
told at once.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from tests.contract.acting import Acts, at_once, once, rotating
from tests.contract.places import Place
from watchword.directory import resealing
from watchword.domain.quota import Quota
from watchword.ports import Store
from watchword.service.guard import Guard

ROOT = Path(__file__).parent.parent.parent
DEADLINE_S = 30


class Job(msgspec.Struct, frozen=True, kw_only=True):
    place: Place
    does: str
    now: datetime
    times: int = 1
    quotas: tuple[Quota, ...] = ()
    challenge_id: str = ""
    code: str = ""
    key: str = ""


async def _check(acts: Acts, job: Job) -> list[str]:
    return await at_once(acts.check(job.challenge_id, job.code) for _ in range(job.times))


async def _send(acts: Acts, job: Job) -> list[str]:
    return await at_once(acts.send() for _ in range(job.times))


async def _guess(acts: Acts, job: Job) -> list[str]:
    guard = Guard(acts.house, "secret", job.quotas[0].amount, job.quotas[0].window)
    return await at_once(guard.count("ann", "", job.now) for _ in range(job.times))


async def _lease(acts: Acts, job: Job) -> list[int]:
    held: list[int] = []
    while leased := await acts.lease(most=1):
        held += [one.id for one in await acts.begin(leased)]
    return held


async def _send_and_die(acts: Acts, job: Job) -> None:
    """The act is done, and nobody ever hears the answer."""
    await acts.send(once=once(job.key))
    os.kill(os.getpid(), signal.SIGKILL)


async def _check_and_die(acts: Acts, job: Job) -> None:
    await acts.check(job.challenge_id, job.code, once=once(job.key))
    os.kill(os.getpid(), signal.SIGKILL)


async def _reseal(acts: Acts, job: Job) -> int:
    return await resealing.reseal(acts.store, rotating(2), job.key, job.now)


class _Dying:
    """The store, whose process is killed instead of a write after so many."""

    def __init__(self, store: Store, writes: int) -> None:
        self._store, self._left = store, writes

    def __getattr__(self, verb: str) -> Any:
        if verb == "write":
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            self._left -= 1
        return getattr(self._store, verb)


async def _reseal_and_die(acts: Acts, job: Job) -> None:
    store: Any = _Dying(acts.store, job.times)
    await resealing.reseal(store, rotating(2), job.key, job.now)


_VERBS: dict[str, Callable[[Acts, Job], Awaitable[Any]]] = {
    "check": _check,
    "send": _send,
    "guess": _guess,
    "lease": _lease,
    "send and die": _send_and_die,
    "check and die": _check_and_die,
    "reseal": _reseal,
    "reseal and die": _reseal_and_die,
}


async def _work(job: Job) -> None:
    store = await job.place.open()
    print("ready", flush=True)
    sys.stdin.readline()
    done = await _VERBS[job.does](Acts(store, now=job.now, quotas=job.quotas), job)
    await store.close()
    print(msgspec.json.encode(done).decode(), flush=True)


class Peer:
    """Such a process, as its parent sees it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.contract.peer"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def prepare(self, **job: Any) -> None:
        self._tell(msgspec.json.encode(Job(**job)).decode())

    def is_ready(self) -> None:
        assert self._line() == "ready\n"

    def go(self) -> None:
        self._tell("go")

    def answer(self) -> Any:
        return msgspec.json.decode(self._line())

    def died(self) -> int:
        """Wait for its end; by which signal it came."""
        return -self._process.wait(DEADLINE_S)

    def end(self) -> None:
        self._process.kill()
        self._process.communicate(timeout=DEADLINE_S)

    def _tell(self, line: str) -> None:
        assert self._process.stdin
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def _line(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline()


def main() -> None:
    while line := sys.stdin.readline():
        asyncio.run(_work(msgspec.json.decode(line, type=Job)))


if __name__ == "__main__":
    main()
