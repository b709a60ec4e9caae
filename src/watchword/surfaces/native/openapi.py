"""The OpenAPI 3.1 document, made from the routes, the wire's structs and the table of replies."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import msgspec

from watchword import errors
from watchword.domain.app import Scope
from watchword.domain.challenge import Verdict
from watchword.surfaces import exchange, problems
from watchword.surfaces.native import wire
from watchword.surfaces.native.replies import REPLIES
from watchword.surfaces.native.routes import ROUTES, Route
from watchword.surfaces.problems import Kind, Problem

VERSION = "1"
_SCHEMAS = "#/components/schemas/{name}"

_EVERY = (errors.AccessDenied, errors.ScopeMissing, errors.StoreUnavailable, errors.WatchwordError)
_WITH_BODY = (
    exchange.BodyMalformed,
    exchange.HeaderInvalid,
    exchange.BodyTooSlow,
    exchange.BodyTooLarge,
    exchange.MediaTypeUnsupported,
    errors.RequestInvalid,
    errors.IdempotencyKeyReused,
)
_SEND = (
    *_WITH_BODY,
    errors.ChannelUnavailable,
    errors.QuotaExceeded,
    errors.ResendTooSoon,
    errors.FailureBudgetSpent,
)
_CLOSED = (Verdict.ALREADY_USED, Verdict.EXHAUSTED, Verdict.EXPIRED, Verdict.CANCELLED)
_ONE = (errors.ChallengeNotFound,)

REFUSALS: dict[str, tuple[type[errors.WatchwordError] | Verdict, ...]] = {
    "create": _SEND,
    "check": (*_WITH_BODY, *_ONE, *_CLOSED, errors.FailureBudgetSpent),
    "resend": (*_SEND, *_ONE, *_CLOSED),
    "look": _ONE,
    "cancel": (*_ONE, *_CLOSED),
    "deliveries": _ONE,
    "inbox": (*_ONE, errors.RequestInvalid),
}
"""What each route may answer besides success, in words of `REPLIES`."""

ANSWERS: dict[str, dict[int, type[msgspec.Struct]]] = {
    "create": {201: wire.Sent, 200: wire.Sent},
    "check": {200: wire.Checked},
    "resend": {200: wire.Sent},
    "look": {200: wire.Verification},
    "cancel": {200: wire.Verification},
    "deliveries": {200: wire.Handovers},
    "inbox": {200: wire.InboxPage},
}
ASKS: dict[str, type[msgspec.Struct]] = {
    "create": wire.NewVerification,
    "check": wire.Answered,
    "resend": wire.AnotherSend,
}
EXAMPLES: dict[str, dict[str, Any]] = {
    "create": {
        "to": "+8613800138000",
        "channel": "sms",
        "purpose": "sign_in",
        "locale": "zh-CN",
        "client": {"ip": "203.0.113.7"},
    },
    "check": {"code": "493817"},
    "resend": {"channel": "sms"},
}
_ID = {
    "name": "id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "pattern": "^[0-9a-f]{26}$"},
}
_TO = {
    "name": "to",
    "in": "query",
    "description": "A phone number or a mailbox in any spelling; without it, all of them",
    "schema": {"type": "string"},
}
_LIMIT = {
    "name": "limit",
    "in": "query",
    "description": "The newest so many",
    "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100},
}
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "For 24 hours the same key gives the same answer again, and does nothing.",
    "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
}
_HEADERS = {
    "Retry-After": {"schema": {"type": "integer", "minimum": 1}},
    "RateLimit": {"schema": {"type": "string"}, "description": "draft-ietf-httpapi-ratelimit"},
    "RateLimit-Policy": {"schema": {"type": "string"}},
    "Location": {"schema": {"type": "string"}},
    "Idempotency-Replayed": {
        "schema": {"type": "string", "enum": ["true"]},
        "description": "This answer was given before; nothing was done now.",
    },
    "WWW-Authenticate": {"schema": {"type": "string"}},
}
_HEADERS_OF = {
    200: ("Idempotency-Replayed",),
    201: ("Location", "Idempotency-Replayed"),
    401: ("WWW-Authenticate",),
    403: ("WWW-Authenticate",),
    429: ("Retry-After", "RateLimit", "RateLimit-Policy"),
    503: ("Retry-After",),
}


def document() -> dict[str, Any]:
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "watchword",
            "version": VERSION,
            "summary": "Sends one-time codes and says whether they are right.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": _paths(),
        "components": {
            "schemas": _schemas(),
            "headers": _HEADERS,
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": f"An API key; its scopes are of {', '.join(Scope)}.",
                }
            },
        },
    }


def _paths() -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return paths


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": (route.does.__doc__ or "").splitlines()[0],
        "description": f"Needs the scope `{route.scope}`.",
        "security": [{"key": []}],
        "parameters": list(_parameters(route)),
        "responses": _responses(route),
    }
    if route.name in ASKS:
        operation["requestBody"] = {
            "required": not route.may_be_empty,
            "content": {
                "application/json": {
                    "schema": _reference(ASKS[route.name]),
                    "examples": {"usual": {"value": EXAMPLES[route.name]}},
                }
            },
        }
    return operation


def _parameters(route: Route) -> Iterable[dict[str, Any]]:
    if "{id}" in route.path:
        yield _ID
    if route.name == "inbox":
        yield from (_TO, _LIMIT)
    if route.method == "POST":
        yield _IDEMPOTENCY_KEY


def _responses(route: Route) -> dict[str, Any]:
    answers = {
        str(status): _response(status, HTTPStatus(status).phrase, "application/json", struct)
        for status, struct in ANSWERS[route.name].items()
    }
    return {**answers, **_refusals(route)}


def _refusals(route: Route) -> dict[str, Any]:
    titles: dict[int, list[Kind]] = {}
    for outcome in (*_EVERY, *REFUSALS[route.name]):
        kind = REPLIES[outcome]
        if kind not in titles.setdefault(kind.status, []):
            titles[kind.status].append(kind)
    return {
        str(status): _response(
            status,
            "; ".join(f"{kind.title} (`{kind.type}`)" for kind in kinds),
            "application/problem+json",
            Problem,
        )
        for status, kinds in sorted(titles.items())
    }


def _response(
    status: int, description: str, media_type: str, struct: type[msgspec.Struct]
) -> dict[str, Any]:
    headers = {
        name: {"$ref": f"#/components/headers/{name}"} for name in _HEADERS_OF.get(status, ())
    }
    content = {media_type: {"schema": _reference(struct)}}
    return {"description": description, "headers": headers, "content": content}


def _schemas() -> dict[str, Any]:
    structs: set[type[msgspec.Struct]] = {*ASKS.values(), problems.Problem}
    for answers in ANSWERS.values():
        structs.update(answers.values())
    _, schemas = msgspec.json.schema_components(structs, ref_template=_SCHEMAS)
    return dict(sorted(schemas.items()))


def _reference(struct: type[msgspec.Struct]) -> dict[str, str]:
    return {"$ref": _SCHEMAS.format(name=struct.__name__)}
