"""The measured process: watchword as `serve` runs it, and two routes that always say the same.

Answers its commands, one a line on stdin, with JSON lines on stdout; ends when stdin ends.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from typing import BinaryIO, cast

import msgspec

from bench import constants, floor
from bench.inside import Home, settings
from bench.sampling import Place, Sampler
from watchword import web
from watchword.bootstrap import Service, bootstrap
from watchword.cli import answering
from watchword.cli.serve import listen
from watchword.errors import StoreUnavailable
from watchword.ports import Store, Swept
from watchword.service.sweep import sweep
from watchword.surfaces.exchange import Application

CHANNELS = ("sms", "email")
_LOOK_EVERY_S = 0.02
_A_MINUTE_S = 60.0
_ARMFUL = 500


class Counted:
    """A store that only sweeps, counts, and says when it found nothing more."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.sweeping_shares = store.sweeping_shares
        self.rows = 0
        self.done = asyncio.Event()

    async def sweep(self, now: datetime, *, most: int) -> Swept:
        swept = await self._store.sweep(now, most=most)
        self.rows += swept.rows
        if not swept.more:
            self.done.set()
        return swept


class Commands:
    """What the measurement asks of a server beside its load."""

    def __init__(self, service: Service, *, delivers: bool, sampler: Sampler | None) -> None:
        self._service = service
        self._delivers = delivers
        self._sampler = sampler

    async def obey(self, command: str) -> object:
        commands: dict[str, Callable[[], Awaitable[object]]] = {
            "wait until delivered": self.wait_until_delivered,
            "sweep": self.sweep,
            "sweep a minute": lambda: self.sweep(_A_MINUTE_S),
            "sweep at once": self.sweep_at_once,
            "sample": self.sample,
            "end sampling": self.end_sampling,
        }
        return await commands[command]()

    async def wait_until_delivered(self) -> None:
        """Until nothing is queued or under way; not at all where this server does not deliver."""
        while self._delivers and await self._is_under_way():  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_EVERY_S)

    async def sweep(self, within: float | None = None) -> dict[str, float]:
        """Sweep as the service does, until nothing is left or the time is over; how many rows, in
        how many seconds."""
        started_at = time.perf_counter()
        counted = Counted(self._service.store)
        sweeping = asyncio.create_task(sweep(cast("Store", counted), self._service.clock))
        with suppress(TimeoutError):
            await asyncio.wait_for(counted.done.wait(), within)
        sweeping.cancel()
        return {"rows": counted.rows, "seconds": time.perf_counter() - started_at}

    async def sweep_at_once(self) -> None:
        """Sweep without a rest what is left."""
        more = True
        while more:
            with suppress(StoreUnavailable):  # a server that is asked so much may be slow to answer
                more = (await self._service.store.sweep(self._service.clock(), most=_ARMFUL)).more

    async def sample(self) -> None:
        assert self._sampler
        self._sampler.start()

    async def end_sampling(self) -> list[Place]:
        assert self._sampler
        return self._sampler.stop()

    async def _is_under_way(self) -> bool:
        store = self._service.store
        return any([await store.next_due(channel) for channel in CHANNELS])


async def serve(options: argparse.Namespace, answers: BinaryIO) -> None:
    """Answer requests and commands until stdin ends."""
    listening = listen("127.0.0.1", 0)
    sampler = Sampler() if options.profile else None
    async with bootstrap(settings(Home.from_options(options)), deliver=options.deliver) as service:
        server = answering.server_for(application(service), None)
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        commands = Commands(service, delivers=options.deliver, sampler=sampler)
        _tell(answers, {"port": listening.getsockname()[1]})
        async for command in _lines_of_stdin():
            _tell(answers, await commands.obey(command))
        server.should_exit = True
        await serving


def application(service: Service) -> Application:
    return web.application(service, extra=[*constants.owners(), *floor.owners(service.store)])


async def _lines_of_stdin() -> AsyncIterator[str]:
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    async for line in reader:
        yield line.decode().strip()


def _tell(answers: BinaryIO, answer: object) -> None:
    answers.write(msgspec.json.encode(answer) + b"\n")
    answers.flush()


def _answers_apart_from_logs() -> BinaryIO:
    """Our stdout, to ourselves: whatever else prints, prints to stderr."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answers


def main() -> None:
    parser = argparse.ArgumentParser("python -m bench.server")
    Home.declare(parser)
    parser.add_argument("--cores", type=lambda text: {int(word) for word in text.split(",")})
    parser.add_argument("--deliver", action="store_true")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    os.sched_setaffinity(0, options.cores)
    answering.run(settings(Home.from_options(options)), serve(options, _answers_apart_from_logs()))


if __name__ == "__main__":
    main()
