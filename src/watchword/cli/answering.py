"""What a serving process does: open the service, answer on its sockets, stop when told.

uvicorn would take the signals of each server for itself; here one stop ends all.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import ssl
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import msgspec
import uvicorn
import uvloop

from watchword import log, web
from watchword.bootstrap import Service, bootstrap, wording
from watchword.cli.board import Place
from watchword.cli.connection import Connection
from watchword.cli.refusal import Refused
from watchword.config import Settings

GRACE_S = 10
"""For how long a stop waits for requests that are being answered."""
_LAST_S = 5
"""Then for the journal and for what is kept open."""
_YOUNG_OBJECTS = 20_000
Outcome = TypeVar("Outcome")


class Ties(msgspec.Struct, frozen=True):
    """What a child holds of its parent: a pipe that ends with it, one to say hello on, and its
    place on the board."""

    alive: int
    greeting: int
    place: Place

    def say_hello(self) -> None:
        os.write(self.greeting, b".")


class Tls(msgspec.Struct, frozen=True):
    """The files of a certificate chain and its key."""

    cert: str
    key: str

    @classmethod
    def checked(cls, cert: str, key: str) -> Tls:
        """Raises Refused when the two cannot be used."""
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key)
        except (OSError, ssl.SSLError) as error:
            raise Refused(
                f"The certificate {cert} and key {key} cannot be used: {error}."
            ) from None
        return cls(cert, key)


class Server(uvicorn.Server):
    """uvicorn without its own hands on the signals; it says when it has begun."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.begun = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        spare_the_collector()
        self.begun.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def spare_the_collector() -> None:
    """Cycles are looked for more rarely than Python does, and not among what was loaded so far: it
    stays for good, and requests leave hardly any."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS)


def run(settings: Settings, main: Coroutine[Any, Any, Outcome]) -> Outcome:
    """Run to the end on the fast loop, with events going out as the settings say."""
    log.configure(settings.log, settings.log_level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


async def answer(
    service: Service,
    api: socket.socket | None,
    admin: socket.socket | None,
    tls: Tls | None,
    *,
    on_ready: Callable[[], None],
    ties: Ties | None = None,
) -> None:
    """Answer until a signal, or the end of the parent, asks to stop; then finish what was begun."""
    stop = told_to_stop(ties)
    servers = {}
    place = ties.place if ties else None
    async with web.counting(service, place) as counted, web.tracing(service):
        if api is not None:
            servers[server_for(web.application(service, counted=counted), tls)] = api
        if admin is not None:
            servers[server_for(web.admin_application(service, counted), None)] = admin
        await _serve(service, servers, stop, on_ready)


async def _serve(
    service: Service,
    servers: dict[Server, socket.socket],
    stop: asyncio.Event,
    on_ready: Callable[[], None],
) -> None:
    async with asyncio.TaskGroup() as group:
        for server, listening in servers.items():
            group.create_task(server.serve(sockets=[listening]))
        for server in servers:
            await server.begun.wait()
        holding = group.create_task(service.hold_ring())
        on_ready()
        await stop.wait()
        holding.cancel()
        for server in servers:
            server.should_exit = True


def server_for(application: Any, tls: Tls | None) -> Server:
    """The HTTP server as every port has it; with `tls`, over https."""
    config = uvicorn.Config(
        application,
        http=Connection,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=GRACE_S,
        ssl_certfile=tls.cert if tls else None,
        ssl_keyfile=tls.key if tls else None,
    )
    return Server(config)


class Looked(msgspec.Struct, frozen=True):
    """What lets codes be read here, in words, and for how many seconds a stop may go on: for the
    requests, then for what is being handed over."""

    readable_by: str
    stops_in_s: float


def look(settings: Settings) -> Looked:
    """Open the service and close it again. Raises ConfigInvalid, for wrong texts, too."""

    async def looked() -> Looked:
        async with bootstrap(settings, deliver=False) as service:
            wording.texts(settings, await service.apps.apps(service.clock()))
            leases = [lane.lease.total_seconds() for lane in service.lanes]
            return Looked(readable_by(service), GRACE_S + max(leases, default=0.0) + _LAST_S)

    return run(settings, looked())


def readable_by(service: Service) -> str:
    """What lets codes be read here, in words; "" when nothing does."""
    active = ["the virtual carrier is active"] if service.inbox is not None else []
    if service.demo:
        active.append("a demo credential is active")
    return ", ".join(active)


def answer_only(settings: Settings, api: socket.socket, tls: Tls | None, ties: Ties) -> None:
    """The life of one of several answering processes."""

    async def living() -> None:
        async with bootstrap(settings, deliver=False) as service:
            await answer(service, api, None, tls, on_ready=ties.say_hello, ties=ties)

    run(settings, living())


def deliver_only(settings: Settings, admin: socket.socket | None, ties: Ties) -> None:
    """The life of the one delivering process; it also tells the metrics."""

    async def living() -> None:
        async with bootstrap(settings, deliver=True) as service:
            await answer(service, None, admin, None, on_ready=ties.say_hello, ties=ties)

    run(settings, living())


def told_to_stop(ties: Ties | None = None) -> asyncio.Event:
    """Set by SIGTERM, by SIGINT, and when the pipe from the parent closes with it."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if ties is not None:
        loop.add_reader(ties.alive, _orphaned, loop, ties.alive, stop)
    return stop


def _orphaned(loop: asyncio.AbstractEventLoop, alive: int, stop: asyncio.Event) -> None:
    loop.remove_reader(alive)
    stop.set()
