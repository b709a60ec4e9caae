"""Every outcome and its answer, in one table; docs/native-api.md lists the same types."""

from __future__ import annotations

from collections.abc import Iterable

from watchword import errors
from watchword.domain.challenge import CLOSED, State, Verdict
from watchword.surfaces import exchange, problems
from watchword.surfaces.exchange import Answer, Headers
from watchword.surfaces.problems import Kind, problem, retry_after, seconds

REPLIES: dict[type[errors.WatchwordError] | Verdict, Kind] = {
    Verdict.MATCH: Kind(200, "approved", "The code is right"),
    Verdict.MISMATCH: Kind(200, "pending", "The code is wrong"),
    Verdict.ALREADY_USED: Kind(409, "already-approved", "This verification was approved before"),
    Verdict.EXHAUSTED: Kind(409, "exhausted", "No tries are left"),
    Verdict.EXPIRED: Kind(409, "expired", "The code has expired"),
    Verdict.CANCELLED: Kind(409, "cancelled", "This verification was cancelled"),
    errors.WatchwordError: problems.INTERNAL,
    errors.RequestInvalid: Kind(422, "invalid", "The request is not valid"),
    exchange.BodyMalformed: Kind(400, "malformed", "The body is not well-formed JSON"),
    exchange.HeaderInvalid: Kind(400, "header-invalid", "A header is not valid"),
    exchange.BodyTooSlow: Kind(408, "too-slow", "The body took too long"),
    exchange.BodyTooLarge: Kind(413, "too-large", "The body is too large"),
    exchange.MediaTypeUnsupported: Kind(415, "media-type", "The body is not application/json"),
    errors.AccessDenied: Kind(401, "unauthorized", "No valid API key came with the request"),
    errors.ScopeMissing: Kind(403, "scope-missing", "The API key may not do this"),
    errors.ChallengeNotFound: problems.NOT_FOUND,
    errors.ChallengeClosed: Kind(409, "closed", "This verification is closed"),
    errors.QuotaExceeded: Kind(429, "limit-reached", "A limit is reached"),
    errors.ResendTooSoon: Kind(429, "resend-too-soon", "A code was sent a moment ago"),
    errors.FailureBudgetSpent: Kind(429, "too-many-failures", "Too many wrong codes"),
    errors.IdempotencyKeyReused: Kind(
        422, "idempotency-key-reused", "The idempotency key came with another request"
    ),
    errors.RecordConflict: Kind(409, "conflict", "Something else changed meanwhile"),
    errors.DeliveryFailed: Kind(422, "undeliverable", "The message cannot be delivered"),
    errors.ProviderRefused: Kind(422, "undeliverable", "The message cannot be delivered"),
    errors.ProviderUnavailable: problems.UNAVAILABLE,
    errors.OutcomeUnknown: problems.UNAVAILABLE,
    errors.ChannelUnavailable: Kind(422, "channel-unavailable", "No provider has this channel"),
    errors.StoreUnavailable: problems.UNAVAILABLE,
    errors.KeyUnknown: problems.INTERNAL,
    errors.ConfigInvalid: problems.INTERNAL,
}

REPLAYED = (b"idempotency-replayed", b"true")
_JSON = (b"content-type", b"application/json")
_NO_STORE = (b"cache-control", b"no-store")
_PLAIN: Headers = [_JSON, _NO_STORE]
_PLAIN_REPLAYED: Headers = [*_PLAIN, REPLAYED]


def told(body: bytes, *, replayed: bool = False) -> Answer:
    return Answer(200, _PLAIN_REPLAYED if replayed else _PLAIN, body)


def made(body: bytes, location: str, *, replayed: bool = False) -> Answer:
    at = (b"location", location.encode())
    return Answer(201, [*(_PLAIN_REPLAYED if replayed else _PLAIN), at], body)


def closed(verdict: Verdict, *, replayed: bool = False) -> Answer:
    """The answer to a check of a challenge that takes no more answers."""
    return problem(REPLIES[verdict], headers=[REPLAYED] if replayed else None)


def refused(error: errors.WatchwordError) -> Answer:
    """The answer to a request that is refused. Raises what is our own mistake, to be logged."""
    match error:
        case errors.QuotaExceeded():
            return problem(REPLIES[type(error)], str(error), headers=_limit_headers(error))
        case errors.ChallengeClosed():
            return closed(CLOSED[State(error.state)])
        case errors.ChannelUnavailable():
            return problem(REPLIES[type(error)], str(error), field="/channel")
        case errors.StoreUnavailable():
            return problem(problems.UNAVAILABLE, headers=[retry_after(error.retry_in)])
        case errors.AccessDenied():
            return problem(REPLIES[type(error)], str(error), headers=_challenge(error))
        case exchange.BodyTooSlow():
            return problem(REPLIES[type(error)], str(error), headers=[(b"connection", b"close")])
        case errors.RequestInvalid() if type(error) is errors.RequestInvalid:
            return problem(REPLIES[type(error)], str(error), field=error.field)
    kind = REPLIES[type(error)]
    if kind is problems.INTERNAL:
        raise error
    return problem(kind, "" if kind.status >= 500 else str(error))


def slug(error: errors.WatchwordError) -> str:
    """The end of the problem's type that `refused` answers with."""
    if isinstance(error, errors.ChallengeClosed):
        return REPLIES[CLOSED[State(error.state)]].slug
    return REPLIES[type(error)].slug


def kinds() -> Iterable[Kind]:
    """Every problem that this dialect may answer with."""
    found = (*REPLIES.values(), problems.METHOD_NOT_ALLOWED)
    return {kind.slug: kind for kind in found if kind.status >= 400}.values()


def _challenge(error: errors.AccessDenied) -> Headers:
    """RFC 6750, section 3: which scheme, and why where a key was known."""
    if isinstance(error, errors.ScopeMissing):
        value = f'Bearer error="insufficient_scope", scope="{error.scope}"'
        return [(b"www-authenticate", value.encode())]
    return [(b"www-authenticate", b"Bearer")]


def _limit_headers(error: errors.QuotaExceeded) -> Headers:
    """Retry-After, and draft-ietf-httpapi-ratelimit-headers for clients that read it."""
    headers = [
        retry_after(error.retry_in),
        (b"ratelimit", f'"{error.scope}";r=0;t={seconds(error.retry_in)}'.encode()),
    ]
    if error.amount:
        window = f";w={seconds(error.window)}" if error.window else ""
        headers.append((b"ratelimit-policy", f'"{error.scope}";q={error.amount}{window}'.encode()))
    return headers
