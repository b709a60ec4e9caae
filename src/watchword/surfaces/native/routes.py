"""The native dialect's table of routes, and what each call does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET

from watchword.directory.apps import Credential
from watchword.domain.app import Scope
from watchword.domain.challenge import Verdict
from watchword.domain.destination import read
from watchword.errors import ChallengeNotFound, QuotaExceeded, RequestInvalid, WatchwordError
from watchword.ports import Inbox, Issued, Once, Received
from watchword.service.cancel import cancel
from watchword.service.check import Check, check
from watchword.service.issue import Send, issue
from watchword.service.read_inbox import read_inbox
from watchword.service.resend import ResendWish, resend
from watchword.surfaces import exchange as asgi
from watchword.surfaces.exchange import Answer, Exchange
from watchword.surfaces.metrics import TALLY
from watchword.surfaces.native import auth, replies, wire
from watchword.surfaces.problems import NOT_FOUND, not_allowed, problem
from watchword.surfaces.running import Running
from watchword.surfaces.strict_json import decode, require_json
from watchword.surfaces.telling import tallied, tell_judged, tell_refused, tell_sent

_ID_LENGTH = 26


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One authenticated call. `asked` is what its body said, where its route takes one."""

    service: Running
    exchange: Exchange
    route: Route
    credential: Credential
    challenge_id: str
    body: bytes
    asked: Any
    now: datetime

    @property
    def app_id(self) -> str:
        return self.credential.app.id

    def once(self) -> Once | None:
        act = f"{self.route.name} {self.challenge_id}"
        return auth.once(self.exchange, self.service.keys, self.credential.key.id, act, self.body)


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """A call of the dialect: who may make it, what it asks, what does it."""

    name: str
    method: str
    path: str
    scope: Scope
    does: Callable[[Call], Awaitable[Answer]]
    asks: msgspec.json.Decoder[Any] | None = None
    may_be_empty: bool = False


async def create(call: Call) -> Answer:
    """Draw a code and queue its message; while a verification is open, send that one again."""
    asked: wire.NewVerification = call.asked
    issued = await issue(
        Send(
            app=call.credential.app,
            purpose=asked.purpose,
            destination=read(asked.to, field="/to"),
            channel=str(asked.channel),
            language=wire.language(asked.locale),
            code_length=None if asked.code_length is UNSET else asked.code_length,
            ttl=wire.ttl(asked.ttl),
            subject=wire.subject(asked.binding),
            client=wire.client(asked.client),
            once=call.once(),
        ),
        call.service.house,
        now=call.now,
    )
    return _sent(call, issued, asked.purpose)


async def send_again(call: Call) -> Answer:
    """Send an open verification again, over the same or another channel."""
    asked: wire.AnotherSend = call.asked
    issued = await resend(
        ResendWish(
            app=call.credential.app,
            challenge_id=call.challenge_id,
            channel=None if asked.channel is UNSET else asked.channel.value,
            client=wire.client(asked.client),
            once=call.once(),
        ),
        call.service.house,
        now=call.now,
    )
    return _sent(call, issued)


async def check_code(call: Call) -> Answer:
    """Say whether a code is right. Of many right answers at once exactly one is approved."""
    asked: wire.Answered = call.asked
    judged = await check(
        Check(
            app=call.credential.app,
            challenge_id=call.challenge_id,
            code=asked.code,
            subject=wire.subject(asked.binding),
            client=wire.client(asked.client),
            once=call.once(),
        ),
        call.service.house,
        now=call.now,
    )
    tell_judged(call.app_id, call.challenge_id, judged, call.now)
    if judged.verdict is Verdict.MATCH or judged.verdict is Verdict.MISMATCH:
        return replies.told(wire.checked(call.challenge_id, judged), replayed=judged.replayed)
    return replies.closed(judged.verdict, replayed=judged.replayed)


async def look(call: Call) -> Answer:
    """Say how a verification stands."""
    challenge = await call.service.store.challenge(call.app_id, call.challenge_id)
    return replies.told(wire.verification(challenge, call.now))


async def close(call: Call) -> Answer:
    """Cancel an open verification. One that is closed already stays as it is."""
    challenge = await cancel(call.app_id, call.challenge_id, call.service.house, now=call.now)
    return replies.told(wire.verification(challenge, call.now))


async def deliveries(call: Call) -> Answer:
    """Tell each hand-over of a verification: provider, state, times, no text."""
    found = await call.service.store.deliveries(call.app_id, call.challenge_id)
    return replies.told(wire.handovers(found))


async def inbox(call: Call) -> Answer:
    """What the virtual carrier's phones and mailboxes hold."""
    if call.service.inbox is None:
        return problem(NOT_FOUND, "No virtual carrier is in use.")
    query = wire.inbox_query(call.exchange.scope["query_string"])
    return replies.told(wire.inbox_page(await _received(call.service.inbox, query.to), query.limit))


ONE = "/v1/verifications/{id}"
ROUTES = (
    Route(
        name="create",
        method="POST",
        path="/v1/verifications",
        scope=Scope.SEND,
        does=create,
        asks=msgspec.json.Decoder(wire.NewVerification),
    ),
    Route(
        name="check",
        method="POST",
        path=f"{ONE}/check",
        scope=Scope.CHECK,
        does=check_code,
        asks=msgspec.json.Decoder(wire.Answered),
    ),
    Route(
        name="resend",
        method="POST",
        path=f"{ONE}/resend",
        scope=Scope.SEND,
        does=send_again,
        asks=msgspec.json.Decoder(wire.AnotherSend),
        may_be_empty=True,
    ),
    Route(name="look", method="GET", path=ONE, scope=Scope.READ, does=look),
    Route(name="cancel", method="DELETE", path=ONE, scope=Scope.SEND, does=close),
    Route(
        name="deliveries",
        method="GET",
        path=f"{ONE}/deliveries",
        scope=Scope.READ,
        does=deliveries,
    ),
    Route(name="inbox", method="GET", path="/v1/inbox", scope=Scope.INBOX, does=inbox),
)


class Native:
    """The dialect as an ASGI application."""

    def __init__(self, service: Running) -> None:
        self._service = service

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        exchange = Exchange(scope, receive, send)
        await tallied(exchange, self._answered(exchange))

    async def _answered(self, exchange: Exchange) -> Answer:
        path, challenge_id = _place(exchange.scope["path"])
        methods = _BY_PATH.get(path, {})
        route = methods.get(exchange.scope["method"])
        try:
            if route is None:
                return not_allowed(tuple(methods)) if methods else problem(NOT_FOUND)
            exchange.route = route.name
            return await self._answer(exchange, route, challenge_id)
        except WatchwordError as error:
            return replies.refused(error)

    async def _answer(self, exchange: Exchange, route: Route, challenge_id: str) -> Answer:
        service = self._service
        credential = await auth.authenticate(exchange, service, route.scope, service.clock())
        body = await _body(exchange, route) if route.asks else b""
        if challenge_id and len(challenge_id) != _ID_LENGTH:
            raise ChallengeNotFound
        call = Call(
            service=service,
            exchange=exchange,
            route=route,
            credential=credential,
            challenge_id=challenge_id,
            body=body,
            asked=decode(body, route.asks) if route.asks else None,
            now=service.clock(),
        )
        try:
            return await route.does(call)
        except WatchwordError as error:
            return _refused(call, error)


def _refused(call: Call, error: WatchwordError) -> Answer:
    """What a caller who may ask is refused, an operator can look up."""
    if isinstance(error, QuotaExceeded):
        TALLY.refused(call.app_id, error.scope)
    answer = replies.refused(error)
    tell_refused(
        call.route.name,
        status=answer.status,
        code=replies.slug(error),
        error=error,
        account=call.app_id,
        request_id="",
    )
    return answer


def guarded(application: asgi.Application, service: Running, scope: Scope) -> asgi.Application:
    """An application that only keys with this scope reach."""

    async def admit(asgi_scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        exchange = Exchange(asgi_scope, receive, send)
        try:
            await auth.authenticate(exchange, service, scope, service.clock())
        except WatchwordError as error:
            await exchange.answer(replies.refused(error))
        else:
            await application(asgi_scope, receive, send)

    return admit


async def _received(inbox: Inbox, to: str | None) -> Sequence[Received]:
    try:
        return await read_inbox(inbox, to)
    except RequestInvalid as error:
        raise RequestInvalid(str(error), field="/to") from None


async def _body(exchange: Exchange, route: Route) -> bytes:
    """The body, which has to be JSON. Where every member is optional it may be left out."""
    content_type = exchange.header(b"content-type")
    if route.may_be_empty and content_type is None and not await exchange.body():
        return b"{}"
    require_json(content_type)
    return await exchange.body()


def _sent(call: Call, issued: Issued, purpose: str = "") -> Answer:
    body = wire.sent(issued)
    if not issued.replayed:
        tell_sent(call.app_id, purpose, issued)
    if not issued.opened:
        return replies.told(body, replayed=issued.replayed)
    location = f"/v1/verifications/{issued.challenge_id}"
    return replies.made(body, location, replayed=issued.replayed)


def _place(path: str) -> tuple[str, str]:
    """The route's path, and the verification's id where it names one."""
    parts = path.split("/", 4)
    if len(parts) < 4 or parts[2] != "verifications" or not parts[3]:
        return path, ""
    return "/".join((ONE, *parts[4:])), parts[3]


def _by_path() -> dict[str, dict[str, Route]]:
    table: dict[str, dict[str, Route]] = {}
    for route in ROUTES:
        table.setdefault(route.path, {})[route.method] = route
        if route.method == "GET":
            table[route.path]["HEAD"] = route
    return table


_BY_PATH = _by_path()
