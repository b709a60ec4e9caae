"""Huawei Cloud's table of routes, and the dialect as one application."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import msgspec

from watchword.directory.huawei.accounts import Caller
from watchword.errors import WatchwordError
from watchword.surfaces import exchange as asgi
from watchword.surfaces.exchange import Answer, Disconnected, Exchange
from watchword.surfaces.huawei import auth, keystone, partners, replies, wire
from watchword.surfaces.huawei.calls import Call, Refusal, Route
from watchword.surfaces.huawei.replies import REPLIES
from watchword.surfaces.running import Running
from watchword.surfaces.strict_json import decode, require_json
from watchword.surfaces.telling import tallied, tell_defect, tell_refused

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
    Route(
        name="huawei_version", method="GET", path="/v3", does=keystone.tell_version, is_open=True
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
        exchange = Exchange(scope, receive, send)
        # The vendor's clients follow no redirect: a path is served with a slash at its end too.
        route = _BY_PLACE.get((scope["method"], scope["path"].removesuffix("/")))
        if route:
            exchange.route = route.name
        await tallied(exchange, self._identified(exchange, route))

    async def _identified(self, exchange: Exchange, route: Route | None) -> Answer:
        request_id = uuid4().hex
        answer = await self._answered(exchange, route, request_id)
        answer.headers.append((b"x-request-id", request_id.encode()))
        return answer

    async def _answered(self, exchange: Exchange, route: Route | None, request_id: str) -> Answer:
        account, error = "", None
        try:
            if route is None:
                raise Refusal(replies.NOT_FOUND)
            body = await exchange.body()
            caller = await self._caller(exchange, body, route)
            if caller:
                account = caller.account.id
                auth.refuse_disabled(caller)
            return await route.does(self._call(exchange, body, route, caller))
        except Refusal as refusal:
            reply, error = refusal.reply, refusal.cause
        except WatchwordError as refused:
            reply, error = REPLIES[type(refused)], refused
        except Disconnected:
            raise
        except Exception as defect:
            tell_defect(defect)
            reply = REPLIES[WatchwordError]
        if route and (account or reply.status >= 500):  # else whoever comes could fill the log
            tell_refused(
                route.name,
                status=reply.status,
                code=reply.code,
                error=error,
                account=account,
                request_id=request_id,
            )
        shape = route.shape if route else replies.service_error
        return replies.refused(reply, error, request_id, shape)

    async def _caller(self, exchange: Exchange, body: bytes, route: Route) -> Caller | None:
        if route.is_open:
            return None
        return await auth.authenticate(exchange, body, self._service, self._service.clock())

    def _call(self, exchange: Exchange, body: bytes, route: Route, caller: Caller | None) -> Call:
        return Call(
            service=self._service,
            exchange=exchange,
            caller=caller,
            asked=_read(exchange, body, route.asks) if route.asks else None,
            now=self._service.clock(),
        )


def _read(exchange: Exchange, body: bytes, asks: msgspec.json.Decoder[Any]) -> Any:
    require_json(exchange.header(b"content-type"))
    return decode(body, asks)
