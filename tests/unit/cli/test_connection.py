"""A connection that nobody can hold open by being slow, nor fill by never ending."""

import asyncio
from contextlib import asynccontextmanager, suppress

import pytest
import uvicorn

from watchword.cli import connection
from watchword.cli.answering import Server

DEADLINE_S = 20
HEAD = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n"
MOST_READ = 1024 * 1024
MOST_SENT = 64 * 1024 * 1024


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


async def tell_headers(scope, receive, send):
    """Answers with the names of the headers, once the body is whole."""
    while (await receive()).get("more_body"):
        pass
    named = b" ".join(name for name, _ in scope["headers"])
    length = str(len(named)).encode()
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]}
    )
    await send({"type": "http.response.body", "body": named})


class Counting(connection.Connection):
    """Counts the bytes that it is given."""

    given = 0

    def data_received(self, data):
        Counting.given += len(data)
        super().data_received(data)


@asynccontextmanager
async def connected(application=echo, protocol=connection.Connection):
    """A connection to a server that gives a head a fifth of a second."""
    config = uvicorn.Config(
        application, port=0, http=protocol, ws="none", lifespan="off", log_config=None
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


@pytest.fixture
def patient(hurry, monkeypatch):
    """Time for a head, however busy this machine is."""
    monkeypatch.setattr(connection, "HEAD_S", DEADLINE_S)


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


async def answer_early(scope, receive, send):
    """Before the body was read."""
    await send(
        {"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]}
    )
    await send({"type": "http.response.body", "body": b""})


@pytest.mark.parametrize(
    ("application", "first", "more"),
    [
        (echo, b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n", b"\r\n"),
        (answer_early, b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 500\r\n\r\n", b"x"),
        (answer_early, CHUNKED + b"0\r\na: ", b"x"),
    ],
    ids=["an empty line", "a body nobody reads", "a trailer"],
)
async def test_what_comes_after_an_answer_holds_no_connection(application, first, more):
    """A single byte ends the wait for the next request; so it begins the next one's time."""
    async with connected(application) as (reader, writer):
        writer.write(first)
        async with asyncio.timeout(DEADLINE_S):
            await reader.readuntil(b"\r\n\r\n")
        writer.write(more)
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


# What follows a body


@pytest.mark.parametrize(
    ("begun", "more"),
    [
        (b"0\r\n", b"a: %s\r\n" % (b"y" * 8000)),
        (b"0\r\na: ", b"y" * 8000),
        (b"2;", b"y" * 8000),
        (b"", b"0" * 8000),
    ],
    ids=["trailer fields", "one trailer field", "a chunk's extension", "a chunk's size"],
)
async def test_what_never_ends_after_a_body_is_cut_off(begun, more):
    """Little more than 64 KiB of it are read, and the connection ends."""
    Counting.given = 0
    async with connected(protocol=Counting) as (reader, writer):
        writer.write(CHUNKED + begun)
        ended = asyncio.create_task(until_closed(reader))
        async with asyncio.timeout(DEADLINE_S):
            with suppress(OSError):
                for _ in range(MOST_SENT // len(more)):
                    writer.write(more)
                    await writer.drain()
                    if ended.done():
                        break
        assert Counting.given < MOST_READ
        assert b" 200 " not in await ended


@pytest.mark.usefixtures("patient")
async def test_nobody_reads_what_came_after_the_body():
    """A trailer field is no header, however it is called; and the next request has its own."""
    trailers = b"0\r\nauthorization: x\r\nx-forwarded-for: 192.0.2.1\r\nhost: y\r\n\r\n"
    async with connected(tell_headers) as (reader, writer):
        for _ in range(2):
            writer.write(CHUNKED + trailers)
            async with asyncio.timeout(DEADLINE_S):
                answer = await reader.readuntil(b"host transfer-encoding")
            assert answer.count(b"host") == 1
            assert b"authorization" not in answer
            assert b"forwarded" not in answer


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("piece", [1, 7, 4096])
async def test_a_large_body_may_come_in_small_pieces(piece):
    """64 KiB, with a length and in chunks, and then another request."""
    body = bytes(range(256)) * 256
    chunks = [b"%x\r\n%s\r\n" % (len(part), part) for part in in_pieces(body, 1000)]
    whole = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    chunked = CHUNKED[: -len(b"2\r\nhi\r\n")] + b"".join(chunks) + b"0\r\n\r\n"
    async with connected() as (reader, writer):
        for request in (whole, chunked, whole):
            for part in in_pieces(request, piece):
                writer.write(part)
                await writer.drain()
            async with asyncio.timeout(DEADLINE_S):
                assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
                assert await reader.readexactly(len(body)) == body


def in_pieces(whole, size):
    return (whole[at : at + size] for at in range(0, len(whole), size))


@pytest.mark.usefixtures("patient")
async def test_many_requests_may_come_at_once():
    """Pipelined, of both kinds, more of them than a head may hold; each is answered in its turn."""
    requests = [HEAD + b"\r\n%02d" % (n % 100) for n in range(1500)]
    requests[::2] = [CHUNKED + b"0\r\na: b\r\n\r\n"] * 750
    bodies = [b"hi" if n % 2 == 0 else b"%02d" % (n % 100) for n in range(1500)]
    assert sum(map(len, requests)) > connection.LARGEST_HEAD
    async with connected() as (reader, writer):
        writer.write(b"".join(requests))
        async with asyncio.timeout(DEADLINE_S):
            for body in bodies:
                assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
                assert await reader.readexactly(2) == body
