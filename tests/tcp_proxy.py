"""A TCP proxy whose weather a test makes: it delays, trickles, freezes, cuts, refuses, and loses
the one reply that says whether something was done."""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from tests.doors import shut

DEADLINE_S = 20
_MOST = 65536
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, for no time at all
Ear = Callable[[bytes], bool]
"""Hears what one client says, piece by piece. True: the reply to this must not come back."""


class Proxy:
    """Stands between clients and a server. Whatever the weather, connections stay until it cuts
    them or an end closes its own."""

    def __init__(self, host: str, port: int) -> None:
        self._to = (host, port)
        self.port = 0
        self.ears: Callable[[], Ear] = _deaf
        """Makes what listens to a connection; only those made later get a new one."""
        self.lost = 0
        """How many replies were kept back, each with its connection."""
        self.passed = 0
        """How many connections reached the server."""
        self._delay_s = self._trickle_s = 0.0
        self._loop = asyncio.new_event_loop()
        self._links: set[_Link] = set()

    def pass_on(self) -> None:
        """Fair weather: everything goes through at once, what was held up included."""
        self._do(self._set())

    def delay(self, each_way_s: float) -> None:
        """Every piece takes so long to the other side."""
        self._do(self._set(delay_s=each_way_s))

    def trickle(self, each_byte_s: float) -> None:
        """One byte at a time, and a rest after each."""
        self._do(self._set(trickle_s=each_byte_s))

    def freeze(self) -> None:
        """Half-open: connections stay, and can be made, and nothing comes through."""
        self._do(self._set(flows=False))

    def cut(self) -> None:
        """Reset every connection; new ones pass."""
        self._do(self._cut())

    def refuse(self) -> None:
        """Reset every connection, and take no new one."""
        self._do(self._refuse())

    def run(self, is_up: threading.Event) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve(is_up))

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(DEADLINE_S)

    async def _serve(self, is_up: threading.Event) -> None:
        self._stop, self._flows = asyncio.Event(), asyncio.Event()
        self._flows.set()
        await self._listen()
        is_up.set()
        await self._stop.wait()
        await self._refuse()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._take, "127.0.0.1", self.port)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def _set(
        self, *, delay_s: float = 0.0, trickle_s: float = 0.0, flows: bool = True
    ) -> None:
        if not self._server.is_serving():
            await self._listen()
        self._delay_s, self._trickle_s = delay_s, trickle_s
        if flows:
            self._flows.set()
        else:
            self._flows.clear()

    async def _cut(self) -> None:
        links = tuple(self._links)
        for link in links:
            link.reset()
        await asyncio.gather(*(link.task for link in links), return_exceptions=True)

    async def _refuse(self) -> None:
        await shut(self._server)
        await self._cut()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Both directions of one connection, until it ends."""
        link = _Link(writer)
        self._links.add(link)
        try:
            with suppress(OSError, asyncio.CancelledError):  # an end went away, or it was cut
                await self._flows.wait()
                upstream, to_server = await asyncio.open_connection(*self._to)
                link.writers.append(to_server)
                self.passed += 1
                ear = self.ears()
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._asking(reader, to_server, link, ear))
                    both.create_task(self._replying(upstream, writer, link))
        except* OSError:
            pass
        finally:
            link.reset()
            self._links.discard(link)

    async def _asking(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, link: "_Link", ear: Ear
    ) -> None:
        while data := await reader.read(_MOST):
            link.loses_reply = ear(data) or link.loses_reply
            await self._carry(data, writer)
        await self._flows.wait()
        writer.write_eof()

    async def _replying(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, link: "_Link"
    ) -> None:
        while data := await reader.read(_MOST):
            if link.loses_reply:
                self.lost += 1
                link.reset()
                return
            await self._carry(data, writer)
        await self._flows.wait()
        writer.write_eof()

    async def _carry(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        await self._flows.wait()
        await asyncio.sleep(self._delay_s)
        while self._trickle_s and data:
            writer.write(data[:1])
            data = data[1:]
            await asyncio.sleep(self._trickle_s)
            await self._flows.wait()
        writer.write(data)
        await writer.drain()


class _Link:
    """A connection and the one behind it, which end together."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writers = [writer]
        self.loses_reply = False
        task = asyncio.current_task()
        assert task is not None
        self.task = task

    def reset(self) -> None:
        """End both at once, as a machine does that fails."""
        for writer in self.writers:
            end = writer.get_extra_info("socket")
            with suppress(OSError):  # it is closed already
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()
        if self.task is not asyncio.current_task():
            self.task.cancel()


@contextmanager
def proxying(host: str, port: int) -> Iterator[Proxy]:
    """A proxy in front of this address, for as long as the block lasts."""
    proxy, is_up = Proxy(host, port), threading.Event()
    thread = threading.Thread(target=proxy.run, args=(is_up,))
    thread.start()
    assert is_up.wait(DEADLINE_S), "the proxy did not come up"
    try:
        yield proxy
    finally:
        proxy.stop()
        thread.join(DEADLINE_S)


def _deaf() -> Ear:
    return lambda _: False
