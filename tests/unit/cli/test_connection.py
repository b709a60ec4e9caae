"""A connection that nobody can hold open by being slow."""

import asyncio
from contextlib import asynccontextmanager

import pytest
import uvicorn

from watchword.cli import connection
from watchword.cli.answering import Server

DEADLINE_S = 20
HEAD = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n"


async def echo(scope, receive, send):
    """Answers with the body it was sent."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    length = str(len(body)).encode()
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]}
    )
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def connected():
    """A connection to a server that gives a head a fifth of a second."""
    config = uvicorn.Config(
        echo, port=0, http=connection.Connection, ws="none", lifespan="off", log_config=None
    )
    server = Server(config)
    serving = asyncio.create_task(server.serve())
    await server.begun.wait()
    port = server.servers[0].sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        server.should_exit = True
        await serving


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    monkeypatch.setattr(connection, "HEAD_S", 0.2)


async def until_closed(reader):
    async with asyncio.timeout(DEADLINE_S):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


@pytest.mark.parametrize("begun", [b"", b"POST / HT", HEAD])
async def test_a_head_that_does_not_end_is_cut_off(begun):
    """Silence, half a line and half a head alike."""
    async with connected() as (reader, writer):
        writer.write(begun)
        assert await until_closed(reader) == b""


async def test_the_second_head_has_no_more_time_than_the_first():
    """A connection kept alive buys nothing."""
    async with connected() as (reader, writer):
        writer.write(HEAD + b"\r\nhi")
        async with asyncio.timeout(DEADLINE_S):
            assert (await reader.readuntil(b"hi")).startswith(b"HTTP/1.1 200")
        writer.write(b"POST / HTTP/1.1\r\nhost:")
        assert await until_closed(reader) == b""


async def test_a_body_may_come_later_than_a_head():
    """Only the head is in such a hurry; bodies have their own bound."""
    async with connected() as (reader, writer):
        writer.write(HEAD + b"\r\n")
        loop = asyncio.get_running_loop()
        later = loop.create_future()
        loop.call_later(2 * connection.HEAD_S, later.set_result, None)
        await later
        writer.write(b"hi")
        async with asyncio.timeout(DEADLINE_S):
            assert (await reader.readuntil(b"hi")).startswith(b"HTTP/1.1 200")


async def test_a_head_that_grows_too_large_is_refused():
    async with connected() as (reader, writer):
        writer.write(HEAD)
        for number in range(3):
            writer.write(b"x-%d: %s\r\n" % (number, b"y" * connection.LARGEST_HEAD))
        answer = await until_closed(reader)
        assert answer == b"" or b" 431 " in answer
