"""Problem details (RFC 9457): how we say no wherever no vendor's dialect says how."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Annotated

import msgspec
from msgspec import Meta

from watchword.surfaces.exchange import Answer, Headers

TYPES = "urn:watchword:problem:"

_HEADERS: Headers = [
    (b"content-type", b"application/problem+json"),
    (b"cache-control", b"no-store"),
]
_encode = msgspec.json.Encoder().encode


class Mistake(msgspec.Struct, frozen=True):
    """One thing to change in the request."""

    pointer: Annotated[str, Meta(description="A JSON pointer to the member (RFC 6901)")]
    detail: str


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a request was refused. Programs compare `type`, which never changes; people read on."""

    type: Annotated[str, Meta(pattern=f"^{TYPES}[a-z-]+$", examples=[f"{TYPES}exhausted"])]
    title: str
    status: int
    detail: str = ""
    errors: tuple[Mistake, ...] = ()


class Kind(msgspec.Struct, frozen=True):
    """A kind of problem: its status, the end of its type, and what it is called."""

    status: int
    slug: str
    title: str

    @property
    def type(self) -> str:
        return TYPES + self.slug


NOT_FOUND = Kind(404, "not-found", "Nothing is here")
METHOD_NOT_ALLOWED = Kind(405, "method-not-allowed", "This path does not take that method")
UNAVAILABLE = Kind(503, "unavailable", "Not now: try again")
INTERNAL = Kind(500, "internal", "Something went wrong on our side")


def problem(
    kind: Kind, detail: str = "", *, field: str | None = None, headers: Headers | None = None
) -> Answer:
    """The answer that states a problem; `field` points at the member to change."""
    body = Problem(
        type=kind.type,
        title=kind.title,
        status=kind.status,
        detail=detail,
        errors=() if field is None else (Mistake(field, detail),),
    )
    return Answer(kind.status, [*_HEADERS, *(headers or ())], _encode(body))


def retry_after(span: timedelta) -> tuple[bytes, bytes]:
    """The header that says when to come back: whole seconds, never too early, at least one."""
    return b"retry-after", b"%d" % seconds(span)


def seconds(span: timedelta) -> int:
    return max(1, math.ceil(span.total_seconds()))


def not_allowed(methods: tuple[str, ...]) -> Answer:
    allow = (b"allow", ", ".join(methods).encode())
    return problem(METHOD_NOT_ALLOWED, headers=[allow])
