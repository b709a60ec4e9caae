"""Two routes that always say the same: what sends and checks are measured against.

Both take the same request and give the same answer, on the server and through the path table that
every dialect uses. One is what anybody would write on this stack; the other is the least that
anybody could.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bench.traffic import CONSTANT_PATH, PLAIN_PATH
from watchword.surfaces.exchange import Answer, Application, Exchange, Receive, Scope, Send
from watchword.surfaces.ops import pages

_STATUS = 201
_TYPE = "application/json"
_LOCATION = "/v1/verifications/" + "0" * 26
_BODY = msgspec.json.encode(
    {
        "id": "0" * 26,
        "status": "pending",
        "to": "+86*********00",
        "channel": "sms",
        "expires_at": "2026-01-01T00:10:00Z",
        "resend_at": "2026-01-01T00:01:00Z",
        "attempts_left": 5,
    }
)


class _EndUser(msgspec.Struct):
    ip: str
    fingerprint: str


class _Asked(msgspec.Struct):
    """A send as it comes, no rule applied."""

    to: str
    channel: str
    purpose: str
    client: _EndUser


_read = msgspec.json.Decoder(_Asked).decode
# Made once: a route that made it each time would be slower, and we would look better beside it.
_response = Response(_BODY, _STATUS, {"location": _LOCATION}, media_type=_TYPE)


async def constant(request: Request) -> Response:
    """The stack alone: Starlette routes and reads, msgspec decodes, Starlette answers."""
    _read(await request.body())
    return _response


class Plain:
    """Less than the stack: our own Exchange on bare ASGI, and nobody looks into the body."""

    _answer = Answer(
        _STATUS,
        [(b"content-type", _TYPE.encode()), (b"location", _LOCATION.encode())],
        _BODY,
    )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope, receive, send)
        await exchange.body()
        await exchange.answer(self._answer)


def owners() -> Sequence[tuple[str, Application]]:
    """Both, for the path table."""
    stack = pages.router([Route(CONSTANT_PATH, constant, methods=["POST"])])
    return [(CONSTANT_PATH, stack), (PLAIN_PATH, Plain())]
