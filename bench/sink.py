"""A relay that takes every mail and keeps none: `python -m bench.sink` says its port and serves.

Who is called `hang` is never answered, `trickle` a little at a time, `poison` is refused.
"""

from __future__ import annotations

import asyncio
import sys

_TRICKLES, _EVERY_S = 600, 0.05


async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    to = ""
    try:
        writer.write(b"220 sink\r\n")
        while line := await reader.readline():
            word = line[:4].upper()
            if word == b"EHLO":
                writer.write(b"250-sink\r\n250 8BITMIME\r\n")
            elif word == b"RCPT":
                to = line.partition(b"<")[2].decode()
                writer.write(b"550 no\r\n" if to.startswith("poison") else b"250 ok\r\n")
            elif word == b"DATA":
                writer.write(b"354 go on\r\n")
                await reader.readuntil(b"\r\n.\r\n")
                await _as_it_is_called(to, writer)
                writer.write(b"250 taken\r\n")
            else:
                writer.write(b"221 bye\r\n" if word == b"QUIT" else b"250 ok\r\n")
    except (ConnectionError, asyncio.IncompleteReadError):
        return
    finally:
        writer.close()


async def _as_it_is_called(to: str, writer: asyncio.StreamWriter) -> None:
    if to.startswith("hang"):
        await asyncio.Event().wait()
    if to.startswith("trickle"):
        for _ in range(_TRICKLES):
            writer.write(b"250-still here\r\n")
            await asyncio.sleep(_EVERY_S)


async def main() -> None:
    server = await asyncio.start_server(serve_one, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    # Until whoever started it is gone.
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
