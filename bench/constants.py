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
_ID = "0" * 26
_SAID = {
    "status": "pending",
    "to": "+86*********00",
    "channel": "sms",
    "expires_at": "2026-01-01T00:10:00Z",
    "resend_at": "2026-01-01T00:01:00Z",
    "attempts_left": 5,
}


class EndUser(msgspec.Struct):
    ip: str
    fingerprint: str


class Asked(msgspec.Struct):
    """A send as it comes, no rule applied."""

    to: str
    channel: str
    purpose: str
    client: EndUser


def answer(challenge_id: str) -> Answer:
    """What a send is answered, of the challenge with this id."""
    location = (b"location", _location(challenge_id).encode())
    headers = [(b"content-type", _TYPE.encode()), location]
    return Answer(_STATUS, headers, _body(challenge_id))


def _body(challenge_id: str) -> bytes:
    return msgspec.json.encode({"id": challenge_id, **_SAID})


def _location(challenge_id: str) -> str:
    return f"/v1/verifications/{challenge_id}"


_read = msgspec.json.Decoder(Asked).decode
# Made once: a route that made it each time would be slower, and we would look better beside it.
_response = Response(_body(_ID), _STATUS, {"location": _location(_ID)}, media_type=_TYPE)


async def constant(request: Request) -> Response:
    """The stack alone: Starlette routes and reads, msgspec decodes, Starlette answers."""
    _read(await request.body())
    return _response


class Plain:
    """Less than the stack: our own Exchange on bare ASGI, and nobody looks into the body."""

    _answer = answer(_ID)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope, receive, send)
        await exchange.body()
        await exchange.answer(self._answer)


def owners() -> Sequence[tuple[str, Application]]:
    """Both, for the path table."""
    stack = pages.router([Route(CONSTANT_PATH, constant, methods=["POST"])])
    return [(CONSTANT_PATH, stack), (PLAIN_PATH, Plain())]
