"""An HTTP connection that nobody can hold, or fill, by never ending the head of a request, or by
what follows its body.

uvicorn bounds the silence between two requests only, and takes trailer fields for headers.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_S = 10
LARGEST_HEAD = 64 * 1024
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


class Connection(HttpToolsProtocol):
    """Gives each request's head ten seconds and 64 KiB. What else is neither body nor the next head
    has 64 KiB too; trailer fields are dropped, for no header is read that came after the body."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deadline: asyncio.TimerHandle | None = None
        self._steps = 0
        self._idle_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_head()

    def on_message_begin(self) -> None:
        self._steps += 1
        super().on_message_begin()
        self._start_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Blanks around a value are no part of it (RFC 9110, 5.5), and the parser keeps those after
        it: a value that was signed has to be the one that is acted upon."""
        super().on_header(name, value.rstrip(b" \t"))

    def on_headers_complete(self) -> None:
        self._steps += 1
        self._end_head()
        super().on_headers_complete()
        self.headers = []  # where trailer fields go, and nobody looks

    def on_body(self, body: bytes) -> None:
        self._steps += 1
        super().on_body(body)

    def data_received(self, data: bytes) -> None:
        if self._idle_bytes > LARGEST_HEAD:
            return self._refuse()
        before = self._steps
        super().data_received(data)
        self._idle_bytes = self._idle_bytes + len(data) if self._steps == before else 0
        if self.cycle is not None and self.cycle.response_complete:
            self._start_head()  # what comes after an answer ends uvicorn's wait for the next head
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_head()
        super().connection_lost(exc)

    def _start_head(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_S, self.transport.abort)

    def _end_head(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _refuse(self) -> None:
        if self.transport.is_closing():
            return
        if self._deadline is not None:  # nothing of this request is answered yet
            self.transport.write(_TOO_LARGE)
        self.transport.close()
