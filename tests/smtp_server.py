"""aiosmtpd's server, which leaves no connection open behind it."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiosmtpd.controller import Controller

from tests.doors import rounds, shut

GOODBYE_S = 5


class SmtpServer(Controller):
    """Its own stop would end the loop under who is just coming in, and leak that socket."""

    def stop(self, no_assert: bool = False) -> None:
        asyncio.run_coroutine_threadsafe(self._see_out(), self.loop).result(GOODBYE_S)
        super().stop(no_assert)

    async def _see_out(self) -> None:
        loop: Any = self.loop
        if isinstance(self.server, asyncio.Server):
            await shut(self.server)
        for transport in tuple(loop._transports.values()):
            transport.abort()
        await rounds()


@contextmanager
def receiving(handler: Any) -> Iterator[int]:
    """A mail server on a socket whose mails go to this handler; its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    server = SmtpServer(handler, hostname="127.0.0.1", port=port)
    server.start()
    try:
        yield port
    finally:
        server.stop()
