"""Huawei Cloud's table of routes, and the dialect as one application."""

from __future__ import annotations

from time import perf_counter
from typing import Any
from uuid import uuid4

import msgspec

from watchword import log
from watchword.errors import (
    WatchwordError,
)
from watchword.surfaces import exchange as asgi
from watchword.surfaces.exchange import Answer, Disconnected, Exchange
from watchword.surfaces.huawei import auth, keystone, partners, replies, wire
from watchword.surfaces.huawei.calls import Call, Refusal, Route
from watchword.surfaces.huawei.replies import REPLIES, Reply
from watchword.surfaces.metrics import TALLY
from watchword.surfaces.running import Running
from watchword.surfaces.strict_json import decode, require_json

_LEFT = 499
"""What the tally calls a request whose caller left before it was whole."""


ROUTES = (
    Route(
        name="huawei_send",
        method="POST",
        path="/v2/bases/verificationcode/send",
        does=partners.send_code,
        asks=msgspec.json.Decoder(wire.CodeWanted),
    ),
    Route(
        name="huawei_create_customer",
        method="POST",
        path="/v2/partners/sub-customers",
        does=partners.create_customer,
        asks=msgspec.json.Decoder(wire.NewCustomer),
    ),
    Route(
        name="huawei_check_identity",
        method="POST",
        path="/v2/partners/sub-customers/users/check-identity",
        does=partners.check_identity,
        asks=msgspec.json.Decoder(wire.Searched),
    ),
    Route(name="huawei_domains", method="GET", path="/v3/auth/domains", does=keystone.list_domains),
    Route(
        name="huawei_token",
        method="POST",
        path="/v3/auth/tokens",
        does=keystone.make_token,
        asks=msgspec.json.Decoder(keystone.TokenWanted),
        is_open=True,
        shape=replies.keystone_error,
    ),
)
_BY_PLACE = {(route.method, route.path): route for route in ROUTES}


class Huawei:
    """The dialect as an ASGI application."""

    def __init__(self, service: Running) -> None:
        self._service = service

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        started = perf_counter()
        exchange = Exchange(scope, receive, send)
        # The vendor's clients follow no redirect: a path is served with a slash at its end too.
        route = _BY_PLACE.get((scope["method"], scope["path"].removesuffix("/")))
        request_id = uuid4().hex
        status = 500
        try:
            answer = await self._answered(exchange, route, request_id)
            answer.headers.append((b"x-request-id", request_id.encode()))
            status = answer.status
            await exchange.answer(answer)
        except Disconnected:
            status = _LEFT
        finally:
            TALLY.request(route.name if route else "none", status, perf_counter() - started)

    async def _answered(self, exchange: Exchange, route: Route | None, request_id: str) -> Answer:
        shape = route.shape if route else replies.service_error
        try:
            if route is None:
                raise Refusal(replies.NOT_FOUND)
            return await self._called(exchange, route)
        except Refusal as refusal:
            return replies.refused(refusal.reply, refusal.cause, request_id, shape)
        except WatchwordError as error:
            return replies.refused(_reply(error), error, request_id, shape)
        except Disconnected:
            raise
        except Exception as defect:
            log.events().error("request_failed", error=type(defect).__name__)
            return replies.refused(REPLIES[WatchwordError], None, request_id, shape)

    async def _called(self, exchange: Exchange, route: Route) -> Answer:
        service = self._service
        body = await exchange.body()
        caller = None
        if not route.is_open:
            caller = await auth.authenticate(exchange, body, service, service.clock())
        call = Call(
            service=service,
            exchange=exchange,
            caller=caller,
            asked=_read(exchange, body, route.asks) if route.asks else None,
            now=service.clock(),
        )
        return await route.does(call)


def _reply(error: WatchwordError) -> Reply:
    reply = REPLIES[type(error)]
    if reply is REPLIES[WatchwordError]:
        log.events().error("request_failed", error=type(error).__name__)
    return reply


def _read(exchange: Exchange, body: bytes, asks: msgspec.json.Decoder[Any]) -> Any:
    require_json(exchange.header(b"content-type"))
    return decode(body, asks)
