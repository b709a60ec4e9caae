"""One request sent as it is, over a connection of its own, and its answer as it came."""

import http.client
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import Any, TypeVar

DEADLINE_S = 20
HERE = "127.0.0.1"
R = TypeVar("R")


class Came:
    """An answer as it came; header names in small letters."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()


def travel(
    server: Any,
    method: str,
    target: str,
    headers: Iterable[tuple[str, str | bytes]],
    body: bytes,
    *,
    shape: Callable[[http.client.HTTPResponse], R],
    source: str = HERE,
) -> R:
    """`headers` go in their order; what an ordinary client adds is added where they lack it."""
    address = http.client.HTTPConnection(
        HERE, server.port, timeout=DEADLINE_S, source_address=(source, 0)
    )
    with closing(address) as connection:
        pairs = list(headers)
        names = {name.lower() for name, _ in pairs}
        connection.putrequest(method, target, skip_host="host" in names, skip_accept_encoding=True)
        for name, value in pairs:
            connection.putheader(name, value.encode("latin-1") if isinstance(value, str) else value)
        if not names & {"content-length", "transfer-encoding"}:
            connection.putheader("content-length", str(len(body)))
        connection.endheaders(body)
        return shape(connection.getresponse())
