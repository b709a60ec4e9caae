"""The CIAM dialect's table of routes, and the dialect as one application."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import msgspec

from watchword.errors import WatchwordError
from watchword.surfaces import exchange as asgi
from watchword.surfaces.ciam import aj, auth, captcha, codes, countries, replies, users, wire
from watchword.surfaces.ciam.calls import Call, Caller, Refusal, Route
from watchword.surfaces.ciam.replies import REPLIES, Language, Reply
from watchword.surfaces.exchange import Answer, Disconnected, Exchange, Headers
from watchword.surfaces.running import Running
from watchword.surfaces.strict_json import decode, require_json
from watchword.surfaces.telling import tallied, tell_defect, tell_refused

_SDK = "/api/v2/sdk"


def _post(name: str, path: str, does: Any, asks: type[msgspec.Struct]) -> Route:
    return Route(
        name=f"ciam_{name}",
        method="POST",
        path=f"{_SDK}/{path}",
        does=does,
        asks=msgspec.json.Decoder(asks),
    )


def _aj(name: str, does: Any) -> Route:
    return Route(
        name=f"aj_{name}",
        method="POST",
        path=f"/captcha/{name}",
        does=does,
        is_open=True,
        refuses=aj.refused_by,
    )


ROUTES = (
    Route(name="ciam_captcha", method="GET", path=f"{_SDK}/captcha", does=captcha.get),
    _post("captcha_verify", "captcha/verify", captcha.verify, wire.CaptchaSolved),
    _post("sms_send", "sms/send", codes.send_sms, wire.SmsWanted),
    _post("email_send", "email/send", codes.send_email, wire.EmailWanted),
    _post("sms_verify", "sms/verify", codes.verify_sms, wire.SmsTyped),
    _post("email_verify", "email/verify", codes.verify_email, wire.EmailTyped),
    *[_post(*each) for each in users.CALLS],
    Route(
        name="ciam_country_codes",
        method="GET",
        path=f"{_SDK}/country-codes",
        does=countries.country_codes,
        is_open=True,
    ),
    Route(name="ciam_jwks", method="GET", path=f"{_SDK}/jwks.json", does=users.jwks, is_open=True),
)
_SENDS = tuple(route for route in ROUTES if route.does in (codes.send_sms, codes.send_email))
AJ_ROUTES = (
    _aj("get", aj.get),
    _aj("check", aj.check),
)
_EXPOSED = b"retry-after, x-expires-in, x-request-id, x-resend-after"


class CiamSurface:
    """The dialect as an ASGI application. Pages of other hosts may call it where they are named in
    `origins`; no answer of it depends on a cookie, so "*" takes nobody's rights."""

    def __init__(self, service: Running) -> None:
        self._service = service
        routes = [*ROUTES, *(AJ_ROUTES if service.ciam.aj else ())]
        self._routes = {(route.method, route.path): route for route in routes}
        self._methods = {route.path: route.method for route in routes}
        self._origins = frozenset(service.ciam.origins)

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        exchange = Exchange(scope, receive, send)
        route = self._routes.get((scope["method"], scope["path"]))
        if route:
            exchange.route = route.name
        await tallied(exchange, self._shared(exchange, route))

    async def _shared(self, exchange: Exchange, route: Route | None) -> Answer:
        """The answer, readable by the page that asked for it."""
        origin = exchange.headers.get(b"origin", b"")
        is_welcome = bool(self._origins & {"*", origin.decode("latin-1")}) and bool(origin)
        if is_welcome and exchange.scope["method"] == "OPTIONS":
            return Answer(204, [*_allowing(origin), *_PREFLIGHT], b"")
        request_id = uuid4().hex
        answer = await self._answered(exchange, route, request_id)
        added = [(b"x-request-id", request_id.encode()), *(_allowing(origin) if is_welcome else ())]
        return Answer(answer.status, [*answer.headers, *added], answer.body)

    async def _answered(self, exchange: Exchange, route: Route | None, request_id: str) -> Answer:
        caller, error = None, None
        asked_for = auth.language(exchange)
        language = asked_for or self._service.ciam.language
        try:
            body = await exchange.body()
            if route is None:
                raise Refusal(self._missing(exchange))
            caller = await self._caller(exchange, route)
            return await route.does(self._call(exchange, body, route, caller, asked_for))
        except Refusal as refusal:
            reply, error = refusal.reply, refusal.cause
        except WatchwordError as refused:
            if route and route.refuses:
                return route.refuses(refused, route.name, language)
            reply, error = REPLIES[type(refused)], refused
        except Disconnected:
            raise
        except Exception as defect:
            tell_defect(defect)
            reply = REPLIES[WatchwordError]
        # A client's id is no secret: but for what took a pass, whoever comes could fill the log.
        is_unsent = route in _SENDS and reply is replies.UNSENT
        if route and (is_unsent or reply.status >= 500):
            tell_refused(
                route.name,
                status=reply.status,
                code=reply.code,
                error=error,
                account=caller.client.id if caller else "",
                request_id=request_id,
            )
        answer = replies.refused(reply, error, language)
        if reply is replies.NOT_ALLOWED:
            allowed = self._methods[exchange.scope["path"]].encode()
            answer.headers.append((b"allow", allowed))
        return answer

    def _missing(self, exchange: Exchange) -> Reply:
        known = exchange.scope["path"] in self._methods
        return replies.NOT_ALLOWED if known else replies.NOT_FOUND

    async def _caller(self, exchange: Exchange, route: Route) -> Caller | None:
        if route.is_open:
            return None
        return await auth.caller(exchange, self._service, self._service.clock())

    def _call(
        self,
        exchange: Exchange,
        body: bytes,
        route: Route,
        caller: Caller | None,
        language: Language | None,
    ) -> Call:
        service = self._service
        return Call(
            service=service,
            exchange=exchange,
            caller=caller,
            body=body,
            asked=_read(exchange, body, route.asks) if route.asks else None,
            language=language,
            network=auth.network(exchange, service.proxies),
            now=service.clock(),
        )


def _read(exchange: Exchange, body: bytes, asks: msgspec.json.Decoder[Any]) -> Any:
    content_type = exchange.header(b"content-type")
    if content_type is not None:
        require_json(content_type)
    return decode(body, asks)


def _allowing(origin: bytes) -> Headers:
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-expose-headers", _EXPOSED),
        (b"vary", b"origin"),
    ]


_PREFLIGHT: Headers = [
    (b"access-control-allow-methods", b"GET, POST"),
    (
        b"access-control-allow-headers",
        b"authorization, content-type, x-agent, x-client-id, x-device-fingerprint, x-device-ip, "
        b"x-l, x-operating-sys-version, x-tenant-id",
    ),
    (b"access-control-max-age", b"600"),
]
