"""What providers over HTTP share: one client a service, that can be led to no other place.

Scheme, host and port are those of the settings; what a message brings goes, encoded, into path,
form or body. No redirect is followed, no cookie kept, no proxy taken from the environment:
httpcore2, the engine of httpx2, does none of that. A name is resolved here, and what it gives is
connected to only where it is public, so that no name server can lead us into our own network; nor
can one that is silent hold up more than those who speak to this service.

A failure is ProviderUnavailable as long as nothing of the request has gone out, and OutcomeUnknown
from then on, until a whole answer is in. A reason holds our own words, never the service's.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import threading
from collections.abc import Iterable, Mapping
from contextlib import aclosing, suppress
from datetime import timedelta
from functools import partial
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import httpcore2
import msgspec

from watchword.errors import OutcomeUnknown, ProviderUnavailable

LONGEST_REPLY = 64 * 1024

_IDLE_S = 5.0
_DRAIN_S = 1.0
_PORTS = {"https": 443, "http": 80}
_MOST_ADDRESSES = 4
_BEGUN = "http11.send_request_headers.started"
_FAILURES = (
    httpcore2.NetworkError,
    httpcore2.TimeoutException,
    httpcore2.ProtocolError,
    OSError,
    UnicodeError,  # a name that no name server could be asked for
)

_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
_ALSO_PRIVATE = (  # which not every Python's registry has
    IPv4Network("192.0.0.0/24"),  # IETF's own, where Oracle's metadata are
    IPv4Network("168.63.129.16/32"),  # Azure's metadata
    IPv6Network("2001::/23"),  # IETF's own, Teredo among them
    IPv6Network("3fff::/20"),  # documentation
)


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer, whatever its status: 302 is one too."""

    status: int
    body: bytes


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a service answers."""

    scheme: str
    host: str
    port: int
    path: str = ""

    @property
    def authority(self) -> str:
        """Host and port as the Host header has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


class Http:
    """Speaks to one service. Use it on one event loop, and close it."""

    def __init__(
        self,
        place: Place,
        *,
        name: str,
        timeout: timedelta,
        allow_private: bool = False,
        connections: int = 10,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`timeout` bounds a whole exchange. `tls` None trusts whom the system trusts."""
        self._place = place
        self._name = name
        self._timeout_s = timeout.total_seconds()
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=tls or (ssl.create_default_context() if place.scheme == "https" else None),
            max_connections=connections,
            keepalive_expiry=_IDLE_S,
            network_backend=_Guarded(allow_private),
        )

    async def post(
        self,
        path: str = "",
        *,
        form: Mapping[str, str] | None = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        whole: bool = True,
    ) -> Reply:
        """Send a form, or else a value as JSON; bytes are JSON already, and go out as they are.
        `path` follows the place's, and is made of our own words and of what `segment` encoded.
        Unless the `whole` answer is wanted, its status decides, and there is no body.

        Raises ProviderUnavailable or OutcomeUnknown.
        """
        kind, body = _encoded(form, json)
        return await self._exchange(
            path,
            {
                "Host": self._place.authority,
                "Accept-Encoding": "identity",  # what is not packed is as long as it seems
                "Content-Type": kind,
                **(headers or {}),
            },
            body,
            whole=whole,
        )

    async def close(self) -> None:
        await self._pool.aclose()

    async def _exchange(
        self, path: str, headers: Mapping[str, str], body: bytes, *, whole: bool
    ) -> Reply:
        begun = _Begun()
        try:
            async with (
                asyncio.timeout(self._timeout_s) as bound,
                self._pool.stream(
                    "POST",
                    self._url(path),
                    headers=list(headers.items()),
                    content=body,
                    extensions={"trace": begun, "timeout": {"connect": self._timeout_s}},
                ) as response,
            ):
                if whole:
                    return Reply(status=response.status, body=await _body(response))
                bound.reschedule(None)
                with suppress(*_FAILURES):  # read to the end, its connection is used again
                    async with asyncio.timeout(_DRAIN_S):
                        await _body(response)
                return Reply(status=response.status, body=b"")
        except _FAILURES as error:
            raise self._failure(error, begun) from None

    def _url(self, path: str) -> httpcore2.URL:
        place = self._place
        return httpcore2.URL(
            scheme=place.scheme, host=place.host, port=place.port, target=place.path + path or "/"
        )

    def _failure(self, error: BaseException, begun: _Begun) -> ProviderUnavailable | OutcomeUnknown:
        if begun.is_set and not isinstance(error, httpcore2.LocalProtocolError):
            return OutcomeUnknown(f"{self._name}: the request went out, and {_no_answer(error)}.")
        return ProviderUnavailable(f"{self._name}: {_no_connection(error)}.")


def place_of(address: str, *, allow_private: bool = False) -> Place:
    """Read the address of a service as the settings have it. It is https, but for one in our own
    network.

    Raises ValueError for what is none.
    """
    parts = urlsplit(address)
    if parts.scheme not in ("https", "http") or not _is_plain(address):
        raise ValueError("it is an https:// address")
    if parts.scheme == "http" and not allow_private:
        raise ValueError("http:// would send secrets readable, so it needs allow_private")
    if not parts.hostname or "@" in parts.netloc or "?" in address or "#" in address:
        raise ValueError("it is scheme, host, port and path, nothing else")
    port = _PORTS[parts.scheme] if parts.port is None else parts.port
    return Place(scheme=parts.scheme, host=parts.hostname, port=port, path=parts.path)


def segment(value: str) -> str:
    """A value as one segment of a path. Raises ValueError for one that would lead elsewhere."""
    if value in ("", ".", ".."):
        raise ValueError("no segment of a path")
    return quote(value, safe="")


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether it belongs to the public Internet, and so to nobody's own network. An IPv6 address
    that leads to an IPv4 one is what that one is."""
    if isinstance(address, IPv6Address):
        within = address.ipv4_mapped or address.sixtofour or _behind_nat64(address)
        if within is not None:
            return is_public(within)
        if address not in _GLOBAL_UNICAST:
            return False
    if any(address in network for network in _ALSO_PRIVATE):
        return False
    return address.is_global and not address.is_multicast


class _Refused(OSError):
    """The name gives private addresses alone."""


class _TooMuch(OSError):
    """The answer is longer than any that is meant for us, or packed so that nobody can tell."""


class _Begun:
    """Whether the first byte of a request may have gone out, as httpcore2 traces it."""

    is_set = False

    async def __call__(self, event: str, details: Mapping[str, Any]) -> None:
        self.is_set = self.is_set or event == _BEGUN


class _Guarded(httpcore2.AsyncNetworkBackend):
    """Resolves the name of one service itself, and connects to the very addresses that it looked
    at."""

    def __init__(self, allow_private: bool) -> None:
        self._allow_private = allow_private
        self._sockets = httpcore2.AnyIOBackend()
        self._looking: asyncio.Future[list[str]] | None = None

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  (httpcore2 hands it in)
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        addresses = await self._addresses(host, port)
        share = timeout and timeout / len(addresses)
        for address in addresses:
            try:
                return await self._sockets.connect_tcp(address, port, timeout=share)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure

    async def _addresses(self, host: str, port: int) -> list[str]:
        """In the order in which the system would try them, the first few. Whoever comes while one
        waits for them waits with him. Raises _Refused."""
        if self._looking is None or self._looking.done():
            self._looking = _looked_up(host, port)
        addresses = await asyncio.shield(self._looking)
        allowed = [each for each in addresses if self._allow_private or is_public(ip_address(each))]
        if not allowed:
            raise _Refused
        return allowed[:_MOST_ADDRESSES]


def _looked_up(host: str, port: int) -> asyncio.Future[list[str]]:
    """All addresses of a name, asked for in a thread of its own: a silent name server keeps it for
    ten seconds and more, and the few that the event loop has are everybody's."""
    loop = asyncio.get_running_loop()
    addresses: asyncio.Future[list[str]] = loop.create_future()
    addresses.add_done_callback(_seen)

    def look() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            told = partial(addresses.set_exception, error)
        else:
            told = partial(addresses.set_result, list(dict.fromkeys(str(e[0]) for *_, e in found)))
        with suppress(RuntimeError):  # the event loop has ended meanwhile
            loop.call_soon_threadsafe(told)

    threading.Thread(target=look, name=f"look up {host}", daemon=True).start()
    return addresses


def _seen(future: asyncio.Future[list[str]]) -> None:
    """Whoever waited may be gone by now."""
    if not future.cancelled():
        future.exception()


def _behind_nat64(address: IPv6Address) -> IPv4Address | None:
    return IPv4Address(int(address) & 0xFFFF_FFFF) if address in _NAT64 else None


async def _body(response: httpcore2.Response) -> bytes:
    if any(name.lower() == b"content-encoding" for name, _ in response.headers):
        raise _TooMuch
    body = bytearray()
    async with aclosing(response.aiter_stream()) as parts:
        async for part in parts:
            body += part
            if len(body) > LONGEST_REPLY:
                raise _TooMuch
    return bytes(body)


def _encoded(form: Mapping[str, str] | None, json: Any) -> tuple[str, bytes]:
    if form is not None:
        return "application/x-www-form-urlencoded", urlencode(form).encode()
    return "application/json", json if isinstance(json, bytes) else msgspec.json.encode(json)


def _is_plain(address: str) -> bool:
    return re.fullmatch(r"[!-~]+", address) is not None


def _no_connection(error: BaseException) -> str:
    if isinstance(error, _Refused):
        return "its name gives private addresses, and allow_private is not set"
    if isinstance(error, TimeoutError | httpcore2.TimeoutException):
        return "it cannot be reached in time"
    if any(isinstance(each, ssl.SSLError) for each in _causes(error)):
        return "its certificate is not to be trusted, or we find no common TLS"
    return "it cannot be reached"


def _no_answer(error: BaseException) -> str:
    if isinstance(error, _TooMuch):
        return "the answer is longer than 64 KiB, or packed"
    if isinstance(error, TimeoutError | httpcore2.TimeoutException):
        return "no answer came in time"
    return "no answer can be read"


def _causes(error: BaseException | None) -> Iterable[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
