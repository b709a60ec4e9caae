"""Huawei Cloud's table of routes, and what each call does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from time import perf_counter
from typing import Any
from uuid import uuid4

import msgspec

from watchword import log
from watchword.directory.huawei import Huawei as Directory
from watchword.directory.huawei import customers
from watchword.directory.huawei.accounts import Caller
from watchword.directory.huawei.customers import Prepared
from watchword.domain.app import App
from watchword.domain.challenge import Verdict
from watchword.domain.delivery import DeliveryState
from watchword.domain.destination import Destination
from watchword.domain.purpose import Purpose
from watchword.errors import (
    AccessDenied,
    ChallengeNotFound,
    FailureBudgetSpent,
    ProviderRefused,
    QuotaExceeded,
    RecordConflict,
    RequestInvalid,
    WatchwordError,
)
from watchword.service.check import Check, check, latest
from watchword.service.issue import Send, issue
from watchword.surfaces import exchange as asgi
from watchword.surfaces.addresses import caller_network
from watchword.surfaces.exchange import Answer, Disconnected, Exchange
from watchword.surfaces.huawei import auth, replies, wire
from watchword.surfaces.huawei.replies import REPLIES, Reply, Shape
from watchword.surfaces.metrics import TALLY
from watchword.surfaces.running import Running
from watchword.surfaces.strict_json import decode, require_json

_LEFT = 499
"""What the tally calls a request whose caller left before it was whole."""


class Refusal(Exception):
    """A refusal whose answer depends on where it was met."""

    def __init__(self, reply: Reply, cause: WatchwordError | None = None) -> None:
        super().__init__(reply.code)
        self.reply, self.cause = reply, cause


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One call. `asked` is what its body said; `caller` is there where the route wants one."""

    service: Running
    exchange: Exchange
    caller: Caller | None
    asked: Any
    now: datetime

    @property
    def directory(self) -> Directory:
        return self.service.huawei

    @property
    def known(self) -> Caller:
        if self.caller is None:
            raise AccessDenied
        return self.caller

    @property
    def network(self) -> str:
        return caller_network(self.exchange.scope, self.service.proxies)


LogIn = Callable[[Call, wire.Identity], Awaitable[Caller]]


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """A call of the dialect: what it asks, what does it, and how it says no."""

    name: str
    method: str
    path: str
    does: Callable[[Call], Awaitable[Answer]]
    asks: msgspec.json.Decoder[Any] | None = None
    is_open: bool = False
    shape: Shape = replies.service_error


async def send_code(call: Call) -> Answer:
    """Send a code, and wait a moment for a carrier that refuses it (DESIGN, section 4)."""
    app, account = auth.partner(call.known), call.known.account
    wanted = wire.wanted(call.asked, call.directory.language)
    try:
        issued = await issue(
            Send(
                app=app,
                purpose=wanted.purpose,
                destination=wanted.destination,
                channel=wanted.channel,
                language=wanted.language,
                ttl=wanted.ttl,
                subject=_subject(account.id, wanted.customer_id),
                account=account.id,
                cancel_if_refused=True,
            ),
            call.directory.house,
            now=call.now,
        )
    except QuotaExceeded as error:
        TALLY.refused(app.id, error.scope)
        raise
    TALLY.sent(app.id, issued.channel)
    if issued.delivery is None:
        log.events().info("test_number_used", app=app.id, to=issued.masked)
    elif await _outcome(call, issued.delivery) is DeliveryState.FAILED:
        raise ProviderRefused
    return replies.done()


async def create_customer(call: Call) -> Answer:
    """Make a customer; where an address comes along its code is burnt in the same act."""
    partner = auth.partner(call.known)
    asked, code = wire.registration(call.asked)
    while True:
        prepared = await call.directory.customers.prepare(call.known.account, asked, call.now)
        try:
            await _register(call, partner, asked.destination, code, prepared)
        except RecordConflict as conflict:
            if await _has_another_place(call, conflict, asked.destination):
                continue
            raise Refusal(_taken(call, conflict), conflict) from None
        return replies.told(wire.registered(prepared.customer))


async def check_identity(call: Call) -> Answer:
    """Say whether a mailbox, a phone or a log-in name is somebody's already."""
    auth.partner(call.known)
    kind, value = wire.searched(call.asked)
    used = await call.directory.customers.used(kind, value, call.now)
    return replies.told(wire.found(kind, used, call.directory.customers.per_phone))


async def list_domains(call: Call) -> Answer:
    """The one domain that a caller works in: the vendor's clients look it up before they send."""
    host = (call.exchange.header(b"host") or b"").decode("latin-1")
    endpoint = f"{call.exchange.scope['scheme']}://{host}"
    return replies.told(wire.domains(call.known.account, endpoint))


async def make_token(call: Call) -> Answer:
    """Log somebody in by password or by access key, and give a token for 24 hours."""
    asked: wire.Auth = call.asked.auth
    caller = await _logged_in(call, asked.identity)
    _refuse_another_domain(caller, asked.wanted)
    token, ends_at = await call.directory.credentials.issue_token(caller, call.now)
    body = wire.token(caller, asked.wanted, asked.identity.methods, call.now, ends_at)
    return replies.told(body, (b"x-subject-token", token.encode()), status=201)


ROUTES = (
    Route(
        name="huawei_send",
        method="POST",
        path="/v2/bases/verificationcode/send",
        does=send_code,
        asks=msgspec.json.Decoder(wire.CodeWanted),
    ),
    Route(
        name="huawei_create_customer",
        method="POST",
        path="/v2/partners/sub-customers",
        does=create_customer,
        asks=msgspec.json.Decoder(wire.NewCustomer),
    ),
    Route(
        name="huawei_check_identity",
        method="POST",
        path="/v2/partners/sub-customers/users/check-identity",
        does=check_identity,
        asks=msgspec.json.Decoder(wire.Searched),
    ),
    Route(name="huawei_domains", method="GET", path="/v3/auth/domains", does=list_domains),
    Route(
        name="huawei_token",
        method="POST",
        path="/v3/auth/tokens",
        does=make_token,
        asks=msgspec.json.Decoder(wire.TokenWanted),
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


def _read(exchange: Exchange, body: bytes, asks: msgspec.json.Decoder[Any]) -> Any:
    require_json(exchange.header(b"content-type"))
    return decode(body, asks)


def _reply(error: WatchwordError) -> Reply:
    reply = REPLIES[type(error)]
    if reply is REPLIES[WatchwordError]:
        log.events().error("request_failed", error=type(error).__name__)
    return reply


def _subject(partner_id: str, customer_id: str = "") -> bytes:
    """What a code is bound to besides its address: the partner, and whose bank card it is about."""
    return f"huawei {partner_id} {customer_id}".encode()


async def _outcome(call: Call, delivery: int) -> DeliveryState:
    return await call.service.outcomes.outcome(delivery, call.service.store)


async def _register(
    call: Call, app: App, destination: Destination | None, code: str, prepared: Prepared
) -> None:
    """Judge in the contract's order (section 5): none or expired, too many failures, wrong; a right
    code is burnt in the act that makes the customer. Raises Refusal, RecordConflict."""
    if destination is None:
        await call.directory.customers.add(prepared, call.now)
        return
    house, subject = call.directory.house, _subject(call.known.account.id)
    challenge = await latest(app, Purpose.SIGN_UP, destination, subject, house, now=call.now)
    if challenge.expires_at <= call.now:
        raise ChallengeNotFound
    try:
        judged = await check(
            Check(app=app, challenge_id=challenge.id, code=code, effect=prepared.writes),
            house,
            now=call.now,
        )
    except FailureBudgetSpent as error:
        TALLY.refused(app.id, error.scope)
        raise Refusal(replies.GUESSED, error) from None
    TALLY.judged(app.id, judged.verdict)
    if judged.verdict is not Verdict.MATCH:
        raise Refusal(REPLIES[judged.verdict])


async def _has_another_place(
    call: Call, conflict: RecordConflict, destination: Destination | None
) -> bool:
    """Whether only the place of a phone was taken meanwhile that this customer was to have."""
    if conflict.kind != customers.PHONE or destination is None:
        return False
    used = await call.directory.customers.used("mobile", destination, call.now)
    return used < call.directory.customers.per_phone


def _taken(call: Call, conflict: RecordConflict) -> Reply:
    if conflict.kind == customers.PHONE and call.directory.customers.per_phone > 1:
        return replies.TOO_MANY
    return replies.TAKEN.get(conflict.kind) or _reply(conflict)


async def _logged_in(call: Call, identity: wire.Identity) -> Caller:
    """Raises LogInFailed, LogInLocked, RequestInvalid for another method."""
    log_in = _LOG_INS.get(identity.methods)
    if log_in is None:
        raise RequestInvalid("methods is one of password and hw_ak_sk.", field="/auth")
    try:
        return await log_in(call, identity)
    except AccessDenied:
        raise auth.LogInFailed from None
    except QuotaExceeded as error:
        raise auth.LogInLocked(scope=error.scope, retry_in=error.retry_in) from None


async def _by_access_key(call: Call, identity: wire.Identity) -> Caller:
    pair = identity.hw_ak_sk
    if pair is None:
        raise RequestInvalid("hw_ak_sk is required by its method.", field="/auth")
    return await call.directory.credentials.log_in_by_key(
        pair.access.key, pair.secret.key, call.network, call.now
    )


async def _by_password(call: Call, identity: wire.Identity) -> Caller:
    if identity.password is None:
        raise RequestInvalid("password is required by its method.", field="/auth")
    user = identity.password.user
    domain = user.domain or wire.Name()
    return await call.directory.credentials.log_in(
        user_id=user.id or "",
        user_name=user.name or "",
        account_name=domain.name or "",
        account_id=domain.id or "",
        password=user.password or "",
        network=call.network,
        now=call.now,
    )


_LOG_INS: dict[tuple[str, ...], LogIn] = {
    ("password",): _by_password,
    ("hw_ak_sk",): _by_access_key,
}


def _refuse_another_domain(caller: Caller, scope: wire.Scope) -> None:
    if scope.domain is None:
        return
    account = caller.account
    domain_id, name = scope.domain.id or account.id, scope.domain.name or account.name
    if (domain_id, name.casefold()) != (account.id, account.name.casefold()):
        raise auth.LogInFailed
