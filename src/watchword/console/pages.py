"""The demonstration page of the CIAM dialect, and the files that it and other sites are made of.

Where the service is not virtual, `/demo/ciam` is not found: without a virtual carrier and without
demo clients there is nothing to demonstrate on. The captcha component is always there, for sites
that embed it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from hashlib import sha256
from importlib.resources import files
from urllib.parse import parse_qs

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.routing import Route, Router

from watchword.directory.ciam.clients import Client
from watchword.domain.language import choose
from watchword.surfaces.exchange import Answer, Application, Exchange, Headers, Receive, Scope, Send
from watchword.surfaces.problems import NOT_FOUND, not_allowed, problem
from watchword.surfaces.running import Running

LANGUAGES = ("zh", "en")
SCENES = (
    "LOGIN_SMS",
    "REGISTER_SMS",
    "FORGET_PWD_SMS",
    "UPDATE_PWD_SMS",
    "UPDATE_MOBILE_SMS",
    "BIND_MOBILE_SMS",
)

_READ = ("GET", "HEAD")
_HERE = files(__package__)
_TYPES = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_PAGE: Headers = [
    (b"content-type", b"text/html; charset=utf-8"),
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"permissions-policy", b"otp-credentials=(self)"),
    (b"cache-control", b"no-store"),
    (b"vary", b"accept-language"),
]
_FROM_ANYWHERE = (b"access-control-allow-origin", b"*")


def application(service: Running) -> Application:
    """Every path below /demo and /static."""
    routes = [demo_page(service), *static_files()]
    return Router(routes, redirect_slashes=False, default=_nothing_here)


def demo_page(service: Running) -> Route:
    """`/demo/ciam`, with the demo clients there are; `?lang=` comes before Accept-Language."""
    return Route("/demo/ciam", _Demo(service))


def static_files() -> Iterator[Route]:
    """One route a file: what is not listed here cannot be asked for."""
    for file in (_HERE / "static").iterdir():
        if kind := _TYPES.get(file.name.rpartition(".")[2]):
            yield Route(f"/static/{file.name}", _File(file.read_bytes(), kind))


async def _nothing_here(scope: Scope, receive: Receive, send: Send) -> None:
    await Exchange(scope, receive, send).answer(problem(NOT_FOUND))


class _Demo:
    def __init__(self, service: Running) -> None:
        self._service = service
        self._words = json.loads((_HERE / "words.json").read_bytes())
        self._page = Environment(
            loader=FileSystemLoader(str(_HERE / "templates")),
            autoescape=True,
            undefined=StrictUndefined,
        ).get_template("ciam.html")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await Exchange(scope, receive, send).answer(await self._answer(scope))

    async def _answer(self, scope: Scope) -> Answer:
        if not self._service.virtual:
            return problem(NOT_FOUND)
        if scope["method"] not in _READ:
            return not_allowed(_READ)
        clients = await self._service.ciam.clients.clients(self._service.clock())
        text = self._page.render(
            words=self._words,
            language=_language(scope, self._service.ciam.language),
            scenes=SCENES,
            clients=_demonstrable(clients),
            virtual=self._service.inbox is not None,
        )
        return Answer(200, _PAGE, text.encode())


def _demonstrable(clients: Sequence[Client]) -> Sequence[Client]:
    """The demo's own, first the one that keeps its users elsewhere."""
    active = (each for each in clients if each.demo and not each.suspended)
    return sorted(active, key=lambda each: each.users)


def _language(scope: Scope, usual: str) -> str:
    query = parse_qs(scope["query_string"].decode("latin-1"))
    accepted = dict(scope["headers"]).get(b"accept-language", b"").decode("latin-1")
    asked = query.get("lang") or [accepted.split(",")[0].split(";")[0]]
    return choose(asked[-1], usual, LANGUAGES)


class _File:
    """A file of the package, the same until the package is another. Browsers ask whether theirs is
    still good; scripts and what they load may be taken by pages of other sites."""

    def __init__(self, content: bytes, kind: str) -> None:
        self._etag = b'"%s"' % sha256(content).hexdigest()[:32].encode()
        headers = [
            (b"etag", self._etag),
            (b"cache-control", b"no-cache"),
            (b"x-content-type-options", b"nosniff"),
        ]
        if kind == "text/javascript":
            headers.append(_FROM_ANYWHERE)
        self._kept = headers
        typed = (b"content-type", f"{kind}; charset=utf-8".encode())
        self._whole = Answer(200, [typed, *headers], content)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope, receive, send)
        if scope["method"] not in _READ:
            await exchange.answer(not_allowed(_READ))
        elif not _has(exchange.headers.get(b"if-none-match", b""), self._etag):
            await exchange.answer(self._whole)
        else:  # said here, as a 304 must not claim that what it leaves out is empty
            await send({"type": "http.response.start", "status": 304, "headers": self._kept})
            await send({"type": "http.response.body", "body": b""})


def _has(wanted: bytes, etag: bytes) -> bool:
    """Whether If-None-Match names it; a proxy that packs what it passes on marks it weak."""
    named = (each.strip().removeprefix(b"W/") for each in wanted.split(b","))
    return any(each in (etag, b"*") for each in named)
