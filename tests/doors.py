"""How a server of ours stops listening."""

import asyncio

_ROUNDS = 3


async def shut(server: asyncio.Server) -> None:
    """Take nobody in any more, and lose nobody who is just coming in: a server of asyncio that
    closes between letting somebody in and attending to them leaves their connection open."""
    loop = asyncio.get_running_loop()
    for listening in server.sockets:
        loop.remove_reader(listening.fileno())
    await rounds()
    server.close()


async def rounds() -> None:
    """Let the loop do what it has begun: to take a connection in takes it two rounds, to close one
    takes it another."""
    for _ in range(_ROUNDS):
        await asyncio.sleep(0)
