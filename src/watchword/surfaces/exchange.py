"""One request and its one answer, straight on ASGI, for every dialect to read and reply through."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator, MutableMapping
from typing import Any

import msgspec

from watchword.errors import RequestInvalid
from watchword.ports import PATIENCE, PATIENCE_S, Patience

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

LONGEST_BODY = 64 * 1024
SLOWEST_BODY_S = 10.0
_NO_CONTENT = 204


class BodyTooLarge(RequestInvalid):
    """A body has at most 64 KiB."""


class BodyTooSlow(RequestInvalid):
    """The body did not arrive within 10 seconds."""


class BodyMalformed(RequestInvalid):
    """The body is not well-formed."""


class MediaTypeUnsupported(RequestInvalid):
    """The body has to come as application/json."""


class HeaderInvalid(RequestInvalid):
    """A header is not valid."""


class Disconnected(Exception):
    """The caller went away before the request was whole: nothing was done, nobody listens."""


class Answer(msgspec.Struct, frozen=True):
    """What goes back. `headers` holds neither the content length nor what the server adds."""

    status: int
    headers: Headers
    body: bytes


class Exchange:
    """A request as it came, its headers looked through once, and the way to answer it. `route` is
    what the tally calls it. From here on the request has its patience with the store."""

    __slots__ = ("_receive", "_repeats", "_send", "headers", "route", "scope")

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        PATIENCE.set(Patience(PATIENCE_S))
        self.scope = scope
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self._repeats = len(self.headers) != len(scope["headers"])
        self.route = "none"
        self._receive = receive
        self._send = send

    def header(self, name: bytes) -> bytes | None:
        """The one value of a header, None without it. Raises HeaderInvalid when it came twice."""
        value = self.headers.get(name)
        if self._repeats and value is not None:
            self._refuse_repeated(name)
        return value

    def header_values(self, name: bytes) -> list[bytes]:
        """Every value of a header, in the order they came."""
        return [value for key, value in self.scope["headers"] if key == name]

    async def body(self) -> bytes:
        """The whole body. Raises BodyTooLarge, BodyTooSlow or Disconnected."""
        if int(self.headers.get(b"content-length", b"0")) > LONGEST_BODY:
            raise BodyTooLarge
        whole = self._whole()
        # Nearly always the body is here already, and a deadline would cost more than reading it.
        try:
            waiting_for = whole.send(None)
        except StopIteration as done:
            return bytes(done.value)
        try:
            async with asyncio.timeout(SLOWEST_BODY_S):
                return await _Resumed(whole, waiting_for)
        except TimeoutError:
            raise BodyTooSlow from None

    async def answer(self, answer: Answer) -> None:
        headers = answer.headers
        if answer.status != _NO_CONTENT:  # RFC 9110, 8.6: a 204 has no length either
            headers = [*headers, (b"content-length", b"%d" % len(answer.body))]
        await self._send(
            {"type": "http.response.start", "status": answer.status, "headers": headers}
        )
        await self._send({"type": "http.response.body", "body": answer.body})

    async def _whole(self) -> bytes:
        message = await self._receive()
        body: bytes = message.get("body", b"")
        while message.get("more_body") and len(body) <= LONGEST_BODY:
            message = await self._receive()
            body += message.get("body", b"")
        if message["type"] == "http.disconnect":
            raise Disconnected
        if len(body) > LONGEST_BODY:
            raise BodyTooLarge
        return body

    def _refuse_repeated(self, name: bytes) -> None:
        if len(self.header_values(name)) > 1:
            raise HeaderInvalid(f"The header {name.decode('latin-1')} came more than once.")


class _Resumed:
    """A coroutine that has run until its first wait, awaited from there on."""

    def __init__(self, coroutine: Coroutine[Any, Any, bytes], waiting_for: Any) -> None:
        self._coroutine, self._waiting_for = coroutine, waiting_for

    def __await__(self) -> Generator[Any, Any, bytes]:
        try:
            yield self._waiting_for
            return (yield from self._coroutine.__await__())
        finally:
            self._coroutine.close()
