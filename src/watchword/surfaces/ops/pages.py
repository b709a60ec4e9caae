"""Probes, metrics and the index page, as a table of Starlette routes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
from starlette.routing import Route, Router

from watchword.ports import Store
from watchword.surfaces.counting import Counted
from watchword.surfaces.exchange import Answer, Application, Exchange, Receive, Scope, Send
from watchword.surfaces.problems import NOT_FOUND, not_allowed, problem
from watchword.surfaces.running import Running

_READ = ("GET", "HEAD")
_METRICS_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
_JSON = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
_NOTHING_RUNS = b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_INDEX = b"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>watchword</title>
<h1>watchword</h1>
<p>This server sends one-time codes and says whether they are right.</p>
<ul>
<li><a href="/openapi.json">/openapi.json</a>: the native API, for programs; docs/native-api.md
explains it to people
<li><a href="/livez">/livez</a>: whether the process answers
<li><a href="/readyz">/readyz</a>: whether it can do its work
</ul>
</html>
"""


class Readiness(msgspec.Struct, frozen=True):
    """`sandbox` and `virtual` tell a rehearsal from a server meant for real people."""

    status: str
    sandbox: bool
    virtual: bool


class Page:
    """An ASGI application that answers GET and HEAD."""

    def __init__(self, show: Callable[[], Awaitable[Answer]]) -> None:
        self._show = show

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        allowed = scope["method"] in _READ
        exchange = Exchange(scope, receive, send)
        await exchange.answer(await self._show() if allowed else not_allowed(_READ))


class _Readiness:
    """Whether the store takes a write, which costs a COMMIT: all who ask while one is under way
    wait for the same."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._look: asyncio.Future[None] | None = None

    async def __call__(self) -> None:
        """Raises StoreUnavailable."""
        look = self._look
        if look is None or look.done():
            look = self._look = asyncio.ensure_future(self._store.ready())
            look.add_done_callback(_seen)
        await asyncio.shield(look)


def _seen(look: asyncio.Future[None]) -> None:
    """Whoever asked may be gone by now."""
    if not look.cancelled():
        look.exception()


def probes(service: Running, *, sandbox: bool) -> list[Route]:
    is_ready = _Readiness(service.store)

    async def ready() -> Answer:
        await is_ready()
        state = Readiness("ready", sandbox, service.virtual)
        return Answer(200, _JSON, msgspec.json.encode(state))

    return [Route("/livez", _live), Route("/readyz", Page(ready))]


def metrics(counted: Counted) -> Route:
    async def numbers() -> Answer:
        return Answer(200, [(b"content-type", _METRICS_TYPE)], await counted.told())

    return Route("/metrics", Page(numbers))


def router(routes: list[Route]) -> Application:
    return Router(routes, redirect_slashes=False, default=nothing_here)


async def nothing_here(scope: Scope, receive: Receive, send: Send) -> None:
    await Exchange(scope, receive, send).answer(problem(NOT_FOUND))


def constant(answer: Answer) -> Page:
    """A page that always says the same."""

    async def show() -> Answer:
        return answer

    return Page(show)


index = constant(
    Answer(
        200,
        [
            (b"content-type", b"text/html; charset=utf-8"),
            (b"content-security-policy", _NOTHING_RUNS),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
        ],
        _INDEX,
    )
)
_live = constant(Answer(200, _JSON, b'{"status":"alive"}'))
