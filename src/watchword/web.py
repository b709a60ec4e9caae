"""Surfaces put on one application: which path is whose, and what becomes of a stray error."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from urllib.parse import parse_qsl

import msgspec
from starlette.routing import Route

from watchword import log
from watchword.bootstrap import Service
from watchword.console import pages as console
from watchword.domain.app import Scope as KeyScope
from watchword.errors import StoreUnavailable
from watchword.surfaces.aliyun.routes import Aliyun
from watchword.surfaces.ciam.routes import CiamSurface
from watchword.surfaces.counting import About, Counted, Place
from watchword.surfaces.counting import counting as counted_by
from watchword.surfaces.exchange import (
    Answer,
    Application,
    Exchange,
    Receive,
    Scope,
    Send,
)
from watchword.surfaces.huawei.routes import Huawei
from watchword.surfaces.native import openapi
from watchword.surfaces.native.routes import Native, guarded
from watchword.surfaces.ops import pages
from watchword.surfaces.problems import INTERNAL, UNAVAILABLE, problem, retry_after
from watchword.surfaces.tracing import tracing as traced_to

OWNERS = {
    "/v1": "native",
    "/openapi.json": "openapi",
    "/livez": "ops",
    "/readyz": "ops",
    "/metrics": "metrics",
    "/receipts": "receipts",
    "/demo": "console",
    "/static": "console",
    "/v2/bases": "huawei",
    "/v2/partners": "huawei",
    "/v3": "huawei",
    "/api/v2": "ciam",
    "/captcha": "ciam",
    "/": "aliyun",
}
"""Every path below one of these is its owner's alone. An owner who has not moved in yet answers
as everything else does: nothing is here. "/" is the path itself."""

_HTML = b"text/html"


def counting(service: Service, place: Place | None = None) -> AbstractAsyncContextManager[Counted]:
    """Count what this process does, for the metrics of both ports."""
    return counted_by(service, _about(service), place)


def tracing(service: Service) -> AbstractAsyncContextManager[None]:
    """Send traces of what this process does, where the settings say to whom."""
    return traced_to(service, service.settings.tracing.endpoint)


def application(
    service: Service,
    extra: Sequence[tuple[str, Application]] = (),
    *,
    counted: Counted | None = None,
) -> Application:
    """The main port. `extra` adds owners, each with a prefix that nobody has yet."""
    sandbox = service.settings.sandbox
    probes = pages.router(pages.probes(service, sandbox=sandbox))
    counted = counted or Counted(service, _about(service))
    metrics = pages.router([pages.metrics(counted)])
    owners: dict[str, Application] = {
        "native": Native(service),
        "huawei": Huawei(service),
        "openapi": _openapi(),
        "ops": probes,
        "metrics": guarded(metrics, service, KeyScope.ADMIN),
        "ciam": CiamSurface(service),
        "console": console.application(service),
        "aliyun": _Root(Aliyun(service)),
    }
    table = {prefix: owners[owner] for prefix, owner in OWNERS.items() if owner in owners}
    return _Web({**table, **dict(extra)})


def admin_application(service: Service, counted: Counted | None = None) -> Application:
    """The admin port: metrics and probes, for whoever reaches it."""
    sandbox = service.settings.sandbox
    counted = counted or Counted(service, _about(service))
    routes = [*pages.probes(service, sandbox=sandbox), pages.metrics(counted)]
    router = pages.router(routes)
    return _Web({route.path: router for route in routes})


class _Web:
    """Hands each request to the owner of its path, and answers for an owner who stumbles."""

    def __init__(self, table: dict[str, Application]) -> None:
        self._table = table

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await _other_than_http(scope, receive, send)
        owner = self._owner(scope["path"])
        try:
            await owner(scope, receive, send)
        except StoreUnavailable as error:
            after = [retry_after(error.retry_in)]
            await _apologise(problem(UNAVAILABLE, headers=after), scope, receive, send)
        except Exception as error:
            log.events().error("request_failed", error=type(error).__name__)
            await _apologise(problem(INTERNAL), scope, receive, send)

    def _owner(self, path: str) -> Application:
        table = self._table
        first = path.find("/", 1)
        if first == 1:  # a second slash names nothing, and is not the root
            return pages.nothing_here
        owner = table.get(path if first < 0 else path[:first])
        if owner is None and first > 0:
            second = path.find("/", first + 1)
            owner = table.get(path if second < 0 else path[:second])
        return owner or pages.nothing_here


async def _apologise(answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
    # Where an answer had begun the server refuses a second one, and drops the connection.
    with contextlib.suppress(RuntimeError):
        await Exchange(scope, receive, send).answer(answer)


class _Root:
    """A person with a browser gets a page; all others are programs, and speak Alibaba Cloud's."""

    def __init__(self, programs: Application) -> None:
        self._programs = programs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        owner = pages.index if _is_a_visitor(scope) else self._programs
        await owner(scope, receive, send)


def _is_a_visitor(scope: Scope) -> bool:
    if scope["method"] not in ("GET", "HEAD"):
        return False
    headers = dict(scope["headers"])
    if _HTML not in headers.get(b"accept", b"").lower() or b"x-acs-action" in headers:
        return False
    query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    return all(name != "Action" for name, _ in query)


def _about(service: Service) -> About:
    settings = service.settings
    return About(
        store="sqlite" if settings.address.is_embedded else "postgresql",
        folder=settings.folder,
        sandbox=settings.sandbox,
        virtual=service.virtual,
    )


def _openapi() -> Application:
    body = msgspec.json.encode(openapi.document())
    answer = Answer(200, [(b"content-type", b"application/json")], body)
    return pages.router([Route("/openapi.json", pages.constant(answer))])


async def _other_than_http(scope: Scope, receive: Receive, send: Send) -> None:
    """Lifespan is acknowledged, for the service lives elsewhere; a websocket is closed."""
    if scope["type"] == "websocket":
        return await send({"type": "websocket.close", "code": 1000})
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return None
