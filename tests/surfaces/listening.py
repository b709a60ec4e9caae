"""A bare server for the clients whose signatures we check: it keeps each request as it came."""

import socket
import threading
from typing import Any, Generic, NamedTuple, TypeVar

import uvicorn

DEADLINE_S = 20


class Arrival(NamedTuple):
    """A request as a surface gets it."""

    scope: dict[str, Any]
    body: bytes = b""

    def header(self, name):
        return dict(self.scope["headers"])[name]

    def but(self, **changes):
        return self._replace(scope={**self.scope, **changes})

    def but_headers(self, change):
        """Every header becomes the list of headers that `change` makes of it."""
        headers = self.scope["headers"]
        return self.but(headers=[new for header in headers for new in change(*header)])

    def but_header(self, wanted, *values):
        """One header has these values instead, or none."""
        return self.but_headers(
            lambda name, value: (
                [(name, new) for new in values] if name == wanted else [(name, value)]
            )
        )

    def and_header(self, name, value):
        return self.but(headers=[*self.scope["headers"], (name, value)])


Kind = TypeVar("Kind", bound=Arrival)


class Listener(Generic[Kind]):
    """A server that answers every request alike, and keeps the last that came."""

    def __init__(self, kind: type[Kind], answer: bytes = b"") -> None:
        self.last = kind({})
        self._kind, self._answer = kind, answer
        self._socket = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(
            self._keep, interface="asgi3", http="httptools", ws="none", lifespan="off",
            log_config=None, proxy_headers=False,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],))
        self.host = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self.url = f"http://{self.host}"

    async def _keep(self, scope, receive, send):
        message = await receive()
        body = message["body"]
        while message["more_body"]:
            message = await receive()
            body += message["body"]
        self.last = self._kind(dict(scope), body)
        status = 200 if self._answer else 204
        headers = [(b"content-length", b"%d" % len(self._answer))] if self._answer else []
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": self._answer})

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.should_exit = True
        self._thread.join(DEADLINE_S)
        self._socket.close()
